#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/DRAFT-MAP.md names only what there is: each file, each name in it, each test case, each row of the demo; each
row has one of three states, and the counts are right. What a row claims is for people to judge."""
import glob
import re
import sys

PAGE = 'docs/DRAFT-MAP.md'
text, bad = open(PAGE).read(), []


def read(paths):
    return {p: open(p).read() for p in paths}


def files(name):
    """Every file that a short name can mean."""
    name = re.sub(r'^bss/', 'bss_negotiation/', name)
    found = set(glob.glob(name) + glob.glob('agent/' + name) + glob.glob('include/treaty/' + name))
    if '/' not in name:
        found |= set(glob.glob('agent/**/' + name, recursive=True) + glob.glob('bpf/' + name))
    return read(found)


def check_rows():
    count = {'yes': 0, 'partly': 0, 'missing': 0}
    for line in text.splitlines():
        if not line.startswith('|') or re.match(r'\|(---| the draft )', line):
            continue
        cells = line.strip('|').split(' | ')
        state = cells[-1].split()[0] if cells[-1].split() else ''
        if len(cells) != 4 or state not in count:
            bad.append(f'not a row of four with a state: {line[:80]}')
        else:
            count[state] += 1
    want = (f'Of {sum(count.values())} rows, {count["yes"]} are yes, {count["partly"]} partly, '
            f'{count["missing"]} missing.')
    if want not in text:
        bad.append(f'the counts are: {want}')
    return sum(count.values())


def check_tests():
    src = {re.sub(r'.*/|\.c$', '', p): t for p, t in read(glob.glob('tests/*/test_*.c')).items()}
    lab = {re.sub(r'.*/|\.py$', '', p) for p in glob.glob('tests/lab/test_*.py')}
    for test, case in sorted(set(re.findall(r'\b(test_[a-z0-9_]+)\b:?([a-z0-9_]*)', text))):
        if test in src and case and not re.search(rf'^static void {case}\(void \*\*\w+\)', src[test], re.M):
            bad.append(f'{test}: has no case {case}')
        elif test not in src and test not in lab and not any(f'static void {test}(' in t for t in src.values()):
            bad.append(f'{test}: no such test')


def check_demo():
    src = ''.join(read(glob.glob('tests/lab/demo_*.py')).values())
    known = [re.sub(r'\{[^}]*\}', r'\\w+', re.escape(k).replace(r'\{', '{').replace(r'\}', '}'))
             for k in re.findall(r"f?'([a-z]+(?::[a-z{}]+)*)'", src)]
    for part in re.findall(r'demo: ([^|]*)', text):
        for row in re.findall(r'`([a-zA-Z]+(?::[a-zA-Z*]+)*)`', part):
            if not any(re.fullmatch(k, row.replace('*', 'x')) for k in known):
                bad.append(f'demo: no row {row}')


def check_files():
    for name, word in sorted(set(re.findall(r'`([\w/]+\.(?:c|h|def|py|md))(?::(\w+))?`', text))):
        found = files(name)
        if not found:
            bad.append(f'{name}: no such file')
        elif word and not any(re.search(rf'\b{word}\b', t) for t in found.values()):
            bad.append(f'{name}: has no {word}')


rows = check_rows()
check_tests()
check_demo()
check_files()
print('\n'.join(bad + [f'draft map: {rows} rows, {len(bad)} wrong']))
sys.exit(bool(bad))
