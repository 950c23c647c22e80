#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The header rule: who may include whom, as one table. A file that breaks it does not land."""
import os, re, sys
NOUNS = ['telemetry', 'intent', 'quote', 'agreement', 'order', 'plan', 'enforce']  # include only leftwards
AGENTS = ['ent_requirement', 'ent_policy', 'bss_policy', 'bss_negotiation',
          'oss_negotiation', 'oss_planning', 'oss_assurance']
INC = 'include/treaty'
A = 'agent'
ALLOW = {INC: {INC}, 'bpf': {INC, 'bpf'}, 'netlink': {INC, 'netlink'},
         'ctl': {INC, 'ctl', 'agent/wire', 'agent/codec', 'agent/crypto', 'agent/store', 'agent/state',
                 'agent/signer', A},
         'agent/state': {INC, 'agent/state'}, 'agent/crypto': {INC, 'agent/crypto'},
         'agent/store': {INC, 'agent/store', 'agent/crypto'},
         'agent/codec': {INC, 'agent/codec', 'agent/crypto'},
         'agent/tools': {INC, 'agent/state', 'agent/store', 'agent/crypto', 'agent/codec', 'agent/tools', A},
         'agent/wire': {INC, 'agent/codec', 'agent/crypto', 'agent/wire', A},
         'agent/enforcer': {INC, 'bpf', 'netlink', 'agent/enforcer', A},
         'agent/signer': {INC, 'agent/crypto', 'agent/signer', A},
         A: {INC, A, 'agent/state', 'agent/store', 'agent/tools', 'agent/wire', 'agent/enforcer',
             'agent/signer', 'agent/codec', 'agent/crypto'} | {'agent/' + a for a in AGENTS}}
ALLOW |= {'agent/' + a: {INC, A, 'agent/' + a, 'agent/state', 'agent/tools', 'agent/codec', 'agent/crypto',
                         'agent/store', 'agent/wire'} for a in AGENTS}
LIBS = {'jansson': {'agent/codec', 'agent/tools', 'agent/wire', 'ctl', A} | {'agent/' + a for a in AGENTS},
        'sodium': {'agent/crypto', 'agent/store', 'agent/signer'}, 'libmnl': {'netlink'}, 'netlink/': {'netlink'},
        'bpf/': {'bpf'}, 'sqlite3': {'agent/store'}, 'curl/': {'agent/wire'}, 'llhttp': {'agent/wire'},
        'event2/': {'agent/wire', A}, 'openssl/': {'agent/wire', 'agent/crypto'}}
bad, graph = [], {}


def check_system(p, d, core, inc):
    if core:
        bad.append(f'{p}: <{inc}>: a core includes no system header')
    for lib, homes in LIBS.items():
        if inc.startswith(lib) and d not in homes:
            bad.append(f'{p}: <{inc}>: only in {", ".join(sorted(homes))}')


def check_own(p, d, core, inc):
    if inc.startswith('bpf/') and inc.endswith('.skel.h'):
        return
    t = next((t for b in (d, 'include', '.') if os.path.exists(t := os.path.normpath(os.path.join(b, inc)))), None)
    if not t:
        bad.append(f'{p}: "{inc}": not found')
        return
    graph[p].append(t)
    td = os.path.dirname(t)
    if td not in ALLOW[d]:
        bad.append(f'{p}: "{inc}": {d}/ may not include {td}/')
    if core and td not in (INC, d):
        bad.append(f'{p}: "{inc}": a core sees only include/ and its own folder')
    a, b = (os.path.splitext(os.path.basename(x))[0] for x in (p, t))
    if d == INC and a in NOUNS and b in NOUNS and NOUNS.index(b) >= NOUNS.index(a):
        bad.append(f'{p}: "{inc}": data flows {" -> ".join(NOUNS)}, never back')


for d, _, fs in os.walk('.'):
    d = os.path.relpath(d)
    if d not in ALLOW:
        continue
    for f in fs:
        if not f.endswith(('.c', '.h', '.def')) or f.endswith('.bpf.c'):
            continue
        p = os.path.join(d, f)
        graph[p], core = [], '_core.' in f
        for q, inc in re.findall(r'^\s*#\s*include\s*([<"])([^">]+)', open(p).read(), re.M):
            (check_system if q == '<' else check_own)(p, d, core, inc)
        heads = [t for t in graph[p] if t.endswith('.h')]  # a .def may be expanded later
        if core and f.endswith('.c') and (not heads or os.path.basename(heads[-1]) != 'pure.h'):
            bad.append(f'{p}: a core ends its includes with treaty/pure.h')


def cycle(n, path):
    if n in path:
        return path[path.index(n):] + [n]
    return next((c for k in graph.get(n, []) if (c := cycle(k, path + [n]))), None)


if c := next((c for n in graph if (c := cycle(n, []))), None):
    bad.append('include cycle: ' + ' -> '.join(c))
print('\n'.join(bad + [f'layers: {len(graph)} files, {len(bad)} violations']))
sys.exit(bool(bad))
