#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""treaty.conf.5 against agent/config_keys.c, both ways: every section, every key, and of each key whether it is
required, its default, and its range where the table gives one in digits."""
import re
import sys

TABLE, PAGE = 'agent/config_keys.c', 'docs/man/treaty.conf.5'


def number(s):
    return int(s, 0) if re.fullmatch(r'0x[0-9a-f]+|\d+', s) else None


def row(text):
    """(key, marks) of one row of a key table, in the page's words."""
    key, parser, rest = re.match(r'"([a-z0-9-]+)", (\w+),(.*)', text, re.S).groups()
    marks, rule = [], re.search(r'BETWEEN\((\w+), (\w+)\)', rest)
    if rule and None not in (lim := [number(x) for x in rule.groups()]):
        marks.append(f'{lim[0]}..{lim[1]}')
    if 'REQUIRED' in rest:
        marks.append('required')
    rest = re.sub(r'\bNAMES\([^)]*\)', '', rest)
    if default := re.search(r'"([^"]*)"', rest):
        marks.append(f'default {default[1]}')
    return key, '; '.join(marks)


def table():
    text = open(TABLE).read()
    keys = {name: dict(row(r) for r in re.split(r'^\t\{ ', body, flags=re.M)[1:])
            for name, body in re.findall(r'struct cfg_key (\w+)_keys\[\] = \{\n(.*?)\n\};', text, re.S)}
    sections = re.findall(r'\t(?:ONE|MANY)\("([\w-]+)",.*?(\w+)_keys\)', text)
    return {name: keys[at] for name, at in sections}


def page():
    found, here = {}, None
    for line in open(PAGE):
        if m := re.match(r'\.SS "\[([\w-]+)[^\]]*\]"', line):
            here = found.setdefault(m[1], {})
        elif m := re.match(r'\.BI "([a-z0-9-]+)" " = [^"]+" "(?: \((.*)\))?"$', line):
            if here is None or m[1] in here:
                sys.exit(f'{PAGE}: {m[1]}: twice, or before a section')
            here[m[1]] = m[2] or ''
    return found


def main():
    want, have, bad = table(), page(), []
    if not want or not all(want.values()):
        sys.exit(f'{TABLE}: not understood')
    for sec in sorted(want.keys() | have.keys()):
        a, b = want.get(sec), have.get(sec)
        if a is None or b is None:
            bad.append(f'[{sec}]: only in {TABLE if b is None else PAGE}')
            continue
        for key in sorted(a.keys() | b.keys()):
            if key not in b or key not in a:
                bad.append(f'[{sec}] {key}: only in {TABLE if key in a else PAGE}')
            elif a[key] != b[key]:
                bad.append(f'[{sec}] {key}: the table says "{a[key]}", the page "{b[key]}"')
    print('\n'.join(bad + [f'man: {len(want)} sections, {sum(map(len, want.values()))} keys, {len(bad)} differences']))
    sys.exit(bool(bad))


main()
