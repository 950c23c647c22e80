#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The size budget: functions <= 60 lines, files <= 600. Waivers: tests/lint/size.allow, each with a reason."""
import os, re, subprocess, sys
allow = {}
if os.path.exists('tests/lint/size.allow'):
    for line in open('tests/lint/size.allow'):
        if line.strip() and not line.startswith('#'):
            name, reason = line.split(None, 1)
            allow[name] = reason
dirs = [d for d in ('agent', 'netlink', 'ctl', 'bpf', 'include', 'tests') if os.path.isdir(d)]
out = subprocess.run(['ctags', '--options=NONE', '--languages=C', '--kinds-C=f', '--fields=+ne', '-R',
                      '-f', '-', *dirs], capture_output=True, text=True, check=True).stdout
sizes, bad, seen = [], [], set()
for line in out.splitlines():
    a, b = re.search(r'\tline:(\d+)', line), re.search(r'\tend:(\d+)', line)
    if not a or not b:
        continue
    name, path = line.split('\t')[:2]
    n = int(b[1]) - int(a[1]) + 1
    sizes.append(n)
    if n > 60:
        key = f'{path}:{name}'
        seen.add(key)
        if key not in allow:
            bad.append(f'{key}: {n} lines, 60 allowed')
for root, _, files in (t for d in dirs for t in os.walk(d)):
    for f in files:
        p = os.path.join(root, f)
        if f.endswith(('.c', '.h', '.py', '.sh', '.def')):
            n = sum(1 for _ in open(p, errors='replace'))
            if n > 600:
                seen.add(p)
                if p not in allow:
                    bad.append(f'{p}: {n} lines, 600 allowed')
bad += [f'tests/lint/size.allow: {k}: no longer needed' for k in allow if k not in seen]
sizes.sort()
if sizes:
    print(f'size: {len(sizes)} functions, p50={sizes[len(sizes)//2]} p90={sizes[int(.9*len(sizes))]} max={sizes[-1]}')
print('\n'.join(bad), end='\n' if bad else '')
sys.exit(bool(bad))
