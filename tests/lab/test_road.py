#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The whole road in a lab, in the demo's short form: every row of its table is one test here, and nothing stays.

test_road.py BUILD"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
# Rows that measure rates and delays: a machine that stands still for a moment breaks them by itself, so they count
# as broken when a second run breaks them again. Loss, money, logs and refusals get no second chance.
SOFT = ('rate:', 'raised:', 'delay:', 'reroute:delay:')
EXCUSED = 'ended early'
LEAST = 35  # rows of a whole story: fewer means that something was not told


def left_behind():
    runs = sorted(x for x in os.listdir('/run') if x.startswith('treaty-lab-demo'))
    names = subprocess.run(['ip', 'netns', 'list'], capture_output=True, text=True, check=False).stdout
    mounts = sum('treaty' in x for x in open('/proc/self/mountinfo', encoding='utf-8'))
    return runs, names, mounts


def demo(build, steps='', breaks=''):
    """({row: (what, promised, measured, kept)}, trouble, exit status, output) of one short run. Trouble on a machine
    that stood still is EXCUSED."""
    with tempfile.NamedTemporaryFile('r', suffix='.json') as f:
        env = dict(os.environ, SHORT='1', TABLE=f.name, STEPS=steps, BREAK=breaks)
        r = subprocess.run([os.path.join(HERE, 'demo'), build], env=env, capture_output=True, text=True,
                           check=False)
        try:
            told = json.load(f)
        except ValueError:
            told = {'rows': [], 'trouble': r.stderr[-2000:] or 'no table', 'excuse': ''}
    trouble = told['trouble']
    if trouble and told['excuse']:
        trouble = f'{EXCUSED}, {told["excuse"]}: {trouble}'
    return {x[0]: x[1:] for x in told['rows']}, trouble, r.returncode, r.stdout


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else 'build'
    before = left_behind()
    rows, trouble, status, out = demo(build)
    if status == 77:
        return 77
    unknown = [k for k, r in rows.items() if r[3] is None]
    broken = [k for k, r in rows.items() if r[3] is False]
    again = unknown + broken if all(k.startswith(SOFT) or k in ('spur', 'back') for k in broken) else []
    if trouble.startswith(EXCUSED) or again and not trouble:
        print(f'test_road: {trouble or ", ".join(again) + " not kept"}; once more')
        rows, trouble, status, out = demo(build)
    if trouble.startswith(EXCUSED):
        print(f'test_road: {trouble}')
        return 77
    for what, promised, measured, kept in rows.values():
        print(f'[{" SKIP " if kept is None else "  OK  " if kept else "FAILED"}] {what}: {promised}: {measured}')
    after = left_behind()
    checks = [('told to its end', not trouble, trouble), (f'at least {LEAST} promises', len(rows) >= LEAST, len(rows)),
              ('exit status 0', status == 0, status), ('nothing stays behind', before == after, after)]
    for what, good, detail in checks:
        print(f'[{"  OK  " if good else "FAILED"}] {what}' + ('' if good else f': {detail}'))
    bad = [r for r in rows.values() if r[3] is False] or [c for c in checks if not c[1]]
    if bad:
        print(out[-6000:])
    print(f'test_road: {len(rows)} promises, {sum(r[3] is False for r in rows.values())} broken, '
          f'{sum(r[3] is None for r in rows.values())} not measured')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
