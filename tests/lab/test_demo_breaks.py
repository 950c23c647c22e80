#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each fault that the demo can inject must break its own promise and no other.

test_demo_breaks.py BUILD [FAULT...]"""
import concurrent.futures
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.dont_write_bytecode = True
from demo_faults import ROWS  # noqa: E402
from test_road import EXCUSED, demo, left_behind  # noqa: E402

# The part of the story in which the fault is placed. Those that measure traffic run alone.
STEPS = {'rate': 'deliver', 'delay': 'deliver', 'loss': 'change', 'reorder': 'change', 'debit': 'refusals',
         'log': 'refusals', 'wallet': 'refusals', 'still': 'deliver'}
ALONE = ('rate', 'delay', 'loss', 'reorder', 'still')
STILL = 'not measured: this machine could not'


def broken_by(build, fault):
    """'' when the fault broke exactly its row; else what happened instead. Where the machine stood still by itself,
    so that the row could not be measured, STILL."""
    want = [ROWS[fault]] if ROWS[fault] else []
    for _ in range(2):  # a measurement of a busy machine may break a row by itself: once more
        rows, trouble, status, _ = demo(build, STEPS[fault], fault)
        broken, unknown = ([k for k, r in rows.items() if r[3] is state] for state in (False, None))
        if status == 77:
            return 'skip'
        if not trouble and broken == want and status == bool(want) and bool(unknown) >= (not want):
            return ''
    if trouble.startswith(EXCUSED) or want and not trouble and set(broken) <= set(want) and want[0] in broken + unknown:
        return STILL
    return (f'broken: {broken or "none"}, not measured: {unknown or "none"}, wanted {ROWS[fault]}, exit {status} '
            f'{trouble}')


def main():
    build, faults = (sys.argv[1] if len(sys.argv) > 1 else 'build'), sys.argv[2:] or list(ROWS)
    before = left_behind()
    said = {f: broken_by(build, f) for f in faults if f in ALONE}
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        rest = [f for f in faults if f not in ALONE]
        said.update(zip(rest, pool.map(lambda f: broken_by(build, f), rest)))
    if 'skip' in said.values():
        return 77
    for f in faults:
        print(f'[{" SKIP " if said[f] == STILL else "FAILED" if said[f] else "  OK  "}] BREAK={f} breaks '
              f'{ROWS[f] or "nothing"} and nothing else'
              + (f': {said[f]}' if said[f] else ''))
    left = left_behind()
    print(f'[{"  OK  " if left == before else "FAILED"}] nothing stays behind'
          + ('' if left == before else f': {left}'))
    bad = sum(x not in ('', STILL) for x in said.values()) + (left != before)
    print(f'test_demo_breaks: {len(faults)} faults, {bad} failed')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
