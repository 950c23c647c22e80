# SPDX-License-Identifier: Apache-2.0
"""BREAK=rate|delay|loss|reorder|debit|log|wallet|still: faults that are really there, each placed so that one promise
breaks and no other. The wires, the kernel and copies of the databases are touched behind treatyd's back."""
import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import threading

from demo_lab import DemoError

# fault -> the row that must break
ROWS = {'rate': 'rate:risk-replication', 'delay': 'delay:order-execution', 'loss': 'change:loss',
        'reorder': 'change:order', 'debit': 'debit:operator', 'log': 'log:enterprise', 'wallet': 'wallet:honest',
        'still': None}  # no row: what a machine that stands still cannot measure is not called broken


@contextlib.contextmanager
def standing_still(build, breaks):
    """still: all processors are held for 20 ms of every 60."""
    if 'still' not in breaks:
        yield
        return
    p = subprocess.Popen([os.path.join(build, 'tests/lab/standstill'), 'cause', '20ms', '60ms'])
    try:
        yield
    finally:
        p.terminate()
        p.wait()


@contextlib.contextmanager
def shaped(story, name):
    """rate: the class of risk-replication on the access link is narrowed with tc, and put back."""
    if 'rate' not in story.breaks or name != 'risk-replication':
        yield
        return
    found = tc_class(story, 50e6)
    change_class(story, found, '40Mbit')
    try:
        yield
    finally:
        change_class(story, found, '50Mbit')


def tc_class(story, rate):
    """The HTB class of that rate on the enterprise's access device: (classid, parent)."""
    for line in story.lab.inside('edge', 'tc', 'class', 'show', 'dev', 'acc0').splitlines():
        m = re.search(r'class htb (\S+) parent (\S+) .*rate (\d+)Mbit', line)
        if m and int(m[3]) * 1e6 == rate:
            return m[1], m[2]
    raise DemoError(f'no class of {rate / 1e6:g} Mbit/s on the access link')


def change_class(story, where, rate):
    story.lab.inside('edge', 'tc', 'class', 'change', 'dev', 'acc0', 'parent', where[1], 'classid', where[0],
                     'htb', 'rate', rate, 'ceil', rate, 'burst', '15k')


@contextlib.contextmanager
def delay_pulses(story, name):
    """delay: the short wire is 20 ms longer for moments, ten times a second. Too short for the probes' medians, so
    that assurance stays out of it, and far too often for the 95th percentile of a flow."""
    if 'delay' not in story.breaks or name != 'order-execution':
        yield
        return
    ending = threading.Event()

    def pulse():
        while not ending.is_set():
            story.lab.wire_soon('short.ab', 'delay=25ms')
            ending.wait(0.01)
            story.lab.wire_soon('short.ab', 'delay=5ms')
            ending.wait(0.08)
    t = threading.Thread(target=pulse)
    t.start()
    try:
        yield
    finally:
        ending.set()
        t.join()


@contextlib.contextmanager
def wire_fault(story):
    """loss, reorder: the short wire's own faults, one packet in 250, while market-data changes."""
    keys = [k for k in ('loss', 'reorder') if k in story.breaks]
    if not keys:
        yield
        return
    story.lab.wire('short.ab', *[f'{k}=4000' for k in keys])
    try:
        yield
    finally:
        story.lab.wire('short.ab', *[f'{k}=0' for k in keys])


# --- copies of the databases -------------------------------------------------------------------
def database(directory):
    """The event log's file in a state directory."""
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        with open(path, 'rb') as f:
            if f.read(16) == b'SQLite format 3\0':
                return path
    raise DemoError(f'{directory}: no database')


def copy_state(story, node, to):
    """A consistent copy of a daemon's database directory, taken while it may be running."""
    src = f'{story.lab.home(node)}/state/agents'
    os.makedirs(to, exist_ok=True)
    for name in os.listdir(src):
        path = os.path.join(src, name)
        if not os.path.isfile(path) or name.endswith(('-wal', '-shm')):
            continue
        with open(path, 'rb') as f:
            is_db = f.read(16) == b'SQLite format 3\0'
        if not is_db:
            shutil.copyfile(path, os.path.join(to, name))
            continue
        with contextlib.closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True)) as a, \
                contextlib.closing(sqlite3.connect(os.path.join(to, name))) as b:
            a.backup(b)
    return to


def flip_a_byte(directory):
    """One digit of one row in the middle of the log becomes another, in the file itself."""
    path = database(directory)
    with contextlib.closing(sqlite3.connect(path)) as c:
        row = c.execute("SELECT body FROM event WHERE body LIKE '%\"price\":%' ORDER BY seq LIMIT 1").fetchone()
    at = re.search(r'"price":\d', row[0]).end() - 1
    with open(path, 'r+b') as f:
        data = f.read()
        start = data.index(row[0][:200].encode())
        old = row[0].encode()[at:at + 1]
        f.seek(start + len(row[0][:at].encode()))
        f.write(b'1' if old != b'1' else b'2')


def tamper_debit(directory):
    """One captured amount in a copied database becomes another, past the triggers that guard it."""
    with contextlib.closing(sqlite3.connect(database(directory))) as c:
        names = [r[0] for r in c.execute("SELECT name FROM sqlite_master WHERE type='trigger' AND tbl_name='lineage'")]
        for n in names:
            c.execute(f'DROP TRIGGER "{n}"')
        c.execute('UPDATE lineage SET captured = captured + 1 WHERE lineage = (SELECT min(lineage) FROM lineage)')
        c.commit()


