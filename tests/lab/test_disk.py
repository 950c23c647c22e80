#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The shipped daemon on a disk that is full, that fails its writes or its fsync, and that became read-only before and
while it runs: it refuses or stops, what it acknowledged is there afterwards, and the labels of the data plane stay.

test_disk.py BUILD"""
import os
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from demo_lab import DemoError, Lab, conf, wait_for  # noqa: E402
import daemons  # noqa: E402  vagrant/lib, by way of demo_lab

STEPS = 4  # of a deal at the edge, at most: label, class, rule, steering
failed = []


def check(name, ok, detail=''):
    print(f'[{"  OK  " if ok else "FAILED"}] {name}' + (f': {detail}' if detail != '' else ''), flush=True)
    if not ok:
        failed.append(name)


class Disk:
    """A small file system of its own under the edge's state directory."""

    def __init__(self, lab, node):
        self.lab, self.node, self.status = lab, node, {'dir': lab.dir, 'pids': lab.pids}
        self.at = f'{lab.home(node)}/state'
        self.nodes = (str(lab.pids[node]),)

    def inside(self, *argv):
        """In the mount namespace that the daemon is started in."""
        r = subprocess.run(['nsenter', '-t', self.nodes[0], '-m', *argv], capture_output=True, text=True, check=False)
        if r.returncode:
            raise DemoError(f'{" ".join(argv)}: {r.stderr.strip()}')
        return r.stdout

    def mount(self):
        daemons.kill(self.status, self.node, 'tree')
        self.inside('sh', '-c', f'cp -a {self.at} {self.at}.old && mount -t tmpfs -o size=16M,mode=755 disk {self.at}'
                                f' && cp -a {self.at}.old/. {self.at}/')
        self.start()

    def shim(self):
        """The disk's faults, from here on: a mounted disk does not fail when it is told to."""
        os.environ['LD_PRELOAD'] = os.path.join(self.lab.build, 'tests/lab/diskfault.so')
        os.environ['TREATY_FAULT_DIR'] = self.at
        try:
            daemons.kill(self.status, self.node, 'tree')
            self.start()
        finally:
            del os.environ['LD_PRELOAD'], os.environ['TREATY_FAULT_DIR']

    def fault(self, name, present):
        self.inside(*(['touch'] if present else ['rm', '-f']), f'{self.at}/fault.{name}')

    def start(self):
        since = daemons.log_size(self.status, self.node)
        daemons.start(self.status, self.node)
        daemons.wait_ready(self.status, self.node, since)

    def fill(self):
        """Up to a few pages: what is under way may still end."""
        self.inside('sh', '-c', f'dd if=/dev/zero of={self.at}/filler bs=4096 2>/dev/null; '
                                f'truncate -s -256K {self.at}/filler')

    def free(self):
        self.inside('rm', '-f', f'{self.at}/filler')

    def readonly(self, on):
        """The last of a killed tree may hold a file for a moment yet."""
        def done():
            try:
                self.inside('mount', '-o', f'remount,{"ro" if on else "rw"}', self.at)
            except DemoError as e:
                if 'busy' not in str(e):
                    raise
                return False
            return True
        wait_for('the disk lets go', done, 20)

    def said(self, since):
        with open(daemons.log_file(self.lab.dir, self.node), encoding='utf-8', errors='replace') as f:
            f.seek(since)
            return f.read()


def declare(lab, acked, limit):
    """Declares until the daemon is no longer there, or refuses; what it answered well is kept."""
    for _ in range(limit):
        for c in conf.CLASSES:
            try:
                acked.append(lab.tool('edge', 'intent_declare', **{'class': c})['intent'])
            except DemoError as e:
                if 'Errno' in str(e) or 'Remote end' in str(e) or 'refused' in str(e).lower():
                    return True
        time.sleep(0.05)
    return False


def declared(lab):
    """Intents that the edge's log names."""
    found, last = set(), 0
    while True:
        got = lab.tool('edge', 'log_read', after=last, limit=1000)['rows']
        if not got:
            return found
        last = got[-1]['seq']
        found |= {r['output'].get('id') for r in got if r['event'] == 'INTENT_DECLARED'}


def agreed(lab):
    """Asks again for as long as it is refused: the paths' first probes found nobody."""
    deals = [d for d in lab.tool('edge', 'deal_list')['deals'] if d['life'].upper() != 'TERMINATED']
    if not deals:
        lab.tool('edge', 'intent_declare', **{'class': 'market-data'})
    return any(d['active'] for d in deals)


def settled(lab):
    """Every deal has ended, or is in force here and at the operator."""
    there = {d['negotiation'] for d in lab.tool('op', 'deal_list')['deals'] if d['active']}
    return all(d['life'].upper() == 'TERMINATED' or (d['active'] and d['negotiation'] in there)
               for d in lab.tool('edge', 'deal_list')['deals'])


def unsettled(lab):
    """What keeps them from being so, as both sides tell it."""
    there = {d['negotiation']: d for d in lab.tool('op', 'deal_list')['deals']}
    return [(d, there.get(d['negotiation'])) for d in lab.tool('edge', 'deal_list')['deals']
            if d['life'].upper() != 'TERMINATED' and not (d['active'] and there.get(d['negotiation'], {}).get('active'))]


def recovered(lab, disk, name, acked, flows, since):
    """After the disk was mended and the daemon came back."""
    wait_for(f'{name}: the daemon answers again', lambda: alive(lab), 40)
    kept = re.findall(r'(\d+) wanted steps, (\d+) of them were not in the kernel', disk.said(since))
    now = set(labels(lab))
    # What was decided when the disk failed may not have come to the kernel: of labels that are new since, no more.
    under_way = len(now - set(flows)) * STEPS
    check(f'{name}: the kernel had kept every step', kept and int(kept[-1][0]) > 0 and int(kept[-1][1]) <= under_way,
          (kept[-1:], f'{under_way} under way'))
    lost = set(flows) - now
    check(f'{name}: no label was lost', flows and not lost, f'{len(flows)} labels')
    missing = set(acked) - declared(lab)
    check(f'{name}: everything acknowledged is there', acked and not missing, f'{len(acked)} intents')
    where = os.path.dirname(disk.inside('find', disk.at, '-name', 'treaty.db').split()[0])
    r = subprocess.run(['nsenter', '-t', disk.nodes[0], '-m', os.path.join(lab.build, 'treatyctl'), 'log', 'verify',
                        '--state', where], capture_output=True, text=True, check=False)
    check(f'{name}: the log and the ledger verify', r.returncode == 0, r.stderr.strip()[-120:])


def labels(lab):
    return [f['label'] for f in lab.tool('edge', 'flow_list')['flows']]


def full(lab, disk, acked):
    flows, since = labels(lab), daemons.log_size(disk.status, 'edge')
    disk.fill()
    check('full: the daemon stops', declare(lab, acked, 200), f'{len(acked)} acknowledged by then')
    disk.free()
    recovered(lab, disk, 'full', acked, flows, since)


def readonly(lab, disk, acked):
    """An open file keeps its mount writable, so the daemon meets this one at its start."""
    try:
        # What was under way when the disk was full may end only with its quote, which stands for 60 s.
        wait_for('read-only: the deals', lambda: settled(lab), 150)
    except DemoError as e:
        raise DemoError(f'{e}: {unsettled(lab)}') from e
    flows = labels(lab)
    daemons.kill(disk.status, 'edge', 'tree')
    disk.readonly(True)
    since = daemons.log_size(disk.status, 'edge')
    daemons.start(disk.status, 'edge')
    wait_for('read-only: it ends, and is tried again', lambda: disk.said(since).count('the tree ended') >= 2, 40)
    check('read-only: it never serves', ' agents: info: ready' not in disk.said(since) and not alive(lab))
    check('read-only: it says why', 'ead-only' in disk.said(since), disk.said(since).strip().splitlines()[-2][-100:])
    disk.readonly(False)
    recovered(lab, disk, 'read-only', acked, flows, since)


def failing(lab, disk, name, words):
    """While it runs, and when it starts again; words are what it must say."""
    acked = [lab.tool('edge', 'intent_declare', **{'class': 'market-data'})['intent']]
    flows, since = labels(lab), daemons.log_size(disk.status, 'edge')
    disk.fault(name, True)
    check(f'{name}: the daemon stops', declare(lab, acked, 20), f'{len(acked)} acknowledged by then')
    wait_for(f'{name}: it is tried again', lambda: disk.said(since).count('the tree ended') >= 2, 40)
    said = [x for x in disk.said(since).splitlines() if words in x]
    check(f'{name}: it says why', said, said[:1])
    check(f'{name}: it does not serve', not alive(lab))
    disk.fault(name, False)
    recovered(lab, disk, name, acked, flows, since)


def alive(lab):
    try:
        return lab.tool('edge', 'status')
    except DemoError:
        return None


def main():
    if os.geteuid():
        return 77
    lab = Lab(sys.argv[1], f'disk{os.getpid()}')
    try:
        lab.up({})
        disk = Disk(lab, 'edge')
        disk.mount()
        wait_for('an agreement', lambda: agreed(lab), 60, every=0.5)
        # One at least, however soon the daemon meets the full disk.
        acked = [lab.tool('edge', 'intent_declare', **{'class': 'market-data'})['intent']]
        full(lab, disk, acked)
        readonly(lab, disk, acked)
        disk.shim()
        failing(lab, disk, 'eio', 'I/O error')
        failing(lab, disk, 'rofs', 'ead-only')
        failing(lab, disk, 'sync', 'I/O error')
    except (DemoError, daemons.LabError) as e:
        check('the story', False, str(e) + ''.join(lab.tails()))
    finally:
        lab.down()
    return 1 if failed else 0


os.environ['TREATY_BUILD'] = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ''
sys.exit(main())
