#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The road's own numbers, in the lab with its daemons: JSON lines on standard output.

  intent to first labelled packet: from the declaration to the first packet of the flow that leaves the
    enterprise's edge with its flow label, with the bargaining, the signatures and the provisioning between
  negotiation: from the intent in the enterprise's log to the accepted agreement there, with all commits of both
    sides in between; once without a counter-offer, once haggling over the margin; beside it what one fdatasync takes
    on this disk, and the processor's time of both daemons from the declaration to the service
  negotiations per second: five at once, from the first intent to the last accepted agreement, by the log
  agreements per second: five at once, from the declarations to the last service in force
  packets lost per in-place change and per reroute, of how many tried"""
import datetime
import json
import os
import socket
import struct
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'lab'))
sys.dont_write_bytecode = True
import demo_lab  # noqa: E402
from demo_lab import DemoError, Lab, Traffic, wait_for  # noqa: E402
from demo_story import FLOWS  # noqa: E402
from disk import fdatasync_ms  # noqa: E402

ROUNDS, CHANGES, PORT = 10, 10, 7001


def say(name, value, unit, **more):
    print(json.dumps({'metric': name if '.' in name else 'road.' + name, 'value': value, 'unit': unit, **more}), flush=True)


class Watch:
    """The first UDP packet to the flow's port that carries a flow label, on the PoP's access device."""

    def __init__(self, lab):
        def listen():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86dd))
            s.bind(('acc0', 0x86dd))
            s.settimeout(0.2)
            return s
        self.sock = demo_lab.in_namespace(lab.pids['popA'], listen)
        self.seen, self.ending = 0.0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ending and not self.seen:
            try:
                p = self.sock.recv(128)
            except TimeoutError:
                continue
            label = struct.unpack('!I', p[14:18])[0] & 0xfffff
            if label and p[20] == socket.IPPROTO_UDP and p[56:58] == struct.pack('!H', PORT):
                self.seen = time.monotonic()

    def stop(self):
        self.ending = True
        self.thread.join()
        self.sock.close()


def deal(lab, node, name):
    """The newest deal of a class that has not ended."""
    rows = [d for d in lab.tool(node, 'deal_list')['deals']
            if d['class'] == name and d['life'].upper() != 'TERMINATED']
    return rows[-1] if rows else None


def in_force(lab, name, rev=1):
    d = deal(lab, 'edge', name)
    return d if d and d['active'] and d['rev'] >= rev and d['life'].upper() != 'RENEGOTIATED' else None


def end(lab, names):
    for n in names:
        d = deal(lab, 'edge', n)
        if d:
            lab.tool('edge', 'agreement_terminate', id=d['lineage'], reason='bench')
    wait_for('all have ended', lambda: not any(deal(lab, x, n) for x in ('edge', 'op') for n in names), 20)
    wait_for('their labels are gone', lambda: not lab.tool('popA', 'telemetry_read')['labels'], 20)


def first_packet(lab):
    took = []
    for _ in range(ROUNDS):
        w = Watch(lab)
        try:
            start = time.monotonic()
            lab.tool('edge', 'intent_declare', **{'class': 'market-data'})
            wait_for('a labelled packet', lambda w=w: w.seen, 10, every=0.01)
            took.append((w.seen - start) * 1000)
        finally:
            w.stop()
        wait_for('the service', lambda: in_force(lab, 'market-data'), 10)
        end(lab, ['market-data'])
    took.sort()
    say('intent_to_labelled_packet_ms', round(took[len(took) // 2], 1), 'ms', rounds=ROUNDS,
        least=round(took[0], 1), most=round(took[-1], 1))


def rows_since(lab, node, seq):
    return lab.tool(node, 'log_read', after=seq, limit=1000)['rows']


def last_seq(lab, node):
    seq = 0
    while rows := rows_since(lab, node, seq):
        seq = rows[-1]['seq']
    return seq


def at(row):
    return datetime.datetime.fromisoformat(row['time'].replace('Z', '+00:00')).timestamp() * 1000


def cpu_ms(lab):
    """What all processes of both sides' daemons have used, without their enforcers."""
    total = 0
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', encoding='utf-8') as f:
                cmd = f.read()
            if '--child' in cmd and any(f'{lab.home(n)}/' in cmd for n in ('edge', 'op')):
                for t in os.listdir(f'/proc/{pid}/task'):
                    with open(f'/proc/{pid}/task/{t}/schedstat', encoding='utf-8') as f:
                        total += int(f.read().split()[0])
        except OSError:
            continue
    return total / 1e6


def idle_ms_per_s(lab):
    begin, start = cpu_ms(lab), time.monotonic()
    time.sleep(2)
    return (cpu_ms(lab) - begin) / (time.monotonic() - start)


def negotiation(lab):
    took, commits, counters, cpu = [], [], [], []
    idle = idle_ms_per_s(lab)
    for _ in range(ROUNDS):
        seqs = {n: last_seq(lab, n) for n in ('edge', 'op')}
        used, start = cpu_ms(lab), time.monotonic()
        lab.tool('edge', 'intent_declare', **{'class': 'order-execution'})
        time.sleep(1)
        cpu.append(cpu_ms(lab) - used - idle * (time.monotonic() - start))
        wait_for('the service', lambda: in_force(lab, 'order-execution'), 10)
        rows = {n: rows_since(lab, n, q) for n, q in seqs.items()}
        begin, over = (at(next(r for r in rows['edge'] if r['event'] == e))
                       for e in ('INTENT_DECLARED', 'AGREEMENT_ACCEPTED'))
        took.append(over - begin)
        commits.append(len({(n, at(r)) for n in rows for r in rows[n] if begin <= at(r) <= over}))
        counters.append(sum(r['event'] == 'QUOTE_COUNTERED' for r in rows['edge']))
        end(lab, ['order-execution'])
    took.sort()
    say('wires.negotiation_p50_ms', round(took[len(took) // 2], 1), 'ms', rounds=ROUNDS, least=round(took[0], 1),
        most=round(took[-1], 1), counterOffers=sorted(counters)[ROUNDS // 2], commits=sorted(commits)[ROUNDS // 2],
        cpuMs=round(sorted(cpu)[ROUNDS // 2], 1),
        fdatasyncMs=round(fdatasync_ms(f'{lab.home("op")}/bench'), 2))


def at_once(lab):
    """The enterprise has a deal a class: five are what the lab's can have under way."""
    rates = []
    for _ in range(4):
        seq = last_seq(lab, 'edge')
        for n in FLOWS:
            lab.tool('edge', 'intent_declare', **{'class': n})
        wait_for('five services', lambda: all(in_force(lab, n) for n in FLOWS), 30)
        rows = rows_since(lab, 'edge', seq)
        begin = min(at(r) for r in rows if r['event'] == 'INTENT_DECLARED')
        over = max(at(r) for r in rows if r['event'] == 'AGREEMENT_ACCEPTED')
        rates.append(len(FLOWS) * 1000 / max(over - begin, 1))
        end(lab, list(FLOWS))
    say('wires.negotiations_burst_per_s', round(sorted(rates)[len(rates) // 2], 1), '1/s', at_once=len(FLOWS),
        fdatasyncMs=round(fdatasync_ms(f'{lab.home("op")}/bench'), 2))


def per_second(lab):
    names, seconds = list(FLOWS), 0.0
    for _ in range(4):
        start = time.monotonic()
        for n in names:
            lab.tool('edge', 'intent_declare', **{'class': n})
        wait_for('five services', lambda: all(in_force(lab, n) for n in names), 30, every=0.01)
        seconds += time.monotonic() - start
        end(lab, names)
    say('agreements_per_s', round(4 * len(names) / seconds, 1), '1/s', at_once=len(names))


def lost(name, flow, traffic, w, count):
    got = traffic.report(w)[flow]
    say(name, got['lost'] / count, 'packets', changes=count, lost=got['lost'], tried=got['sent'],
        duplicated=got['duplicated'])


def changes(lab, traffic):
    lab.tool('edge', 'intent_declare', **{'class': 'market-data'})
    d = wait_for('the service', lambda: in_force(lab, 'market-data'), 10)
    wait_for('its first measurement', lambda: deal(lab, 'op', 'market-data')['life'].upper() == 'ASSURED', 10)
    w = traffic.mark()
    for i in range(CHANGES):
        lab.tool('edge', 'intent_declare', **{'class': 'market-data', 'agreementId': d['lineage'],
                                              'bandwidthBps': 40000000 if i % 2 == 0 else 20000000})
        wait_for('the change', lambda i=i: in_force(lab, 'market-data', i + 2), 10)
        wait_for('calm', lambda: deal(lab, 'op', 'market-data')['life'].upper() == 'ASSURED', 20)
    lost('lost_per_change', 'market-data', traffic, w, CHANGES)
    end(lab, ['market-data'])


def reroutes(lab, traffic):
    """risk-replication may be on either path: its ceiling is above the long one's delay."""
    lab.tool('edge', 'intent_declare', **{'class': 'risk-replication'})
    d = wait_for('the service', lambda: in_force(lab, 'risk-replication'), 10)
    wait_for('its first measurement', lambda: deal(lab, 'op', 'risk-replication')['life'].upper() == 'ASSURED', 10)
    w = traffic.mark()
    for i in range(CHANGES):
        lab.tool('op', 'path_swap', agreementId=d['lineage'], path=1 if i % 2 == 0 else 2)
        time.sleep(0.2)
    lost('lost_per_reroute', 'risk-replication', traffic, w, CHANGES)
    end(lab, ['risk-replication'])


def plain(build):
    """The same road without counter-offers, in a lab of its own."""
    lab = Lab(build, f'demo-plain{os.getpid()}')
    try:
        lab.up({'bargain': 'off'})
        ready(lab)
        negotiation(lab)
        at_once(lab)
    finally:
        lab.down()


def ready(lab):
    wait_for('the paths', lambda: all(p['alive'] and not p['lossPpm'] for p in
                                      lab.tool('op', 'path_list')['paths']), 20)
    time.sleep(1.5)


def main():
    if os.geteuid():
        print('bench_road: needs root', file=sys.stderr)
        return 0
    try:
        plain(sys.argv[1] if len(sys.argv) > 1 else 'build')
    except DemoError as e:
        print(f'bench_road: {e}', file=sys.stderr)
        return 1
    lab = Lab(sys.argv[1] if len(sys.argv) > 1 else 'build', f'demo-bench{os.getpid()}')
    traffic = None
    try:
        lab.up({})
        traffic = Traffic(lab, 'flows', 'lan', 'exch', '7001-7003',
                          [f'class={c},dst=fd10:2::2,dport={p},rate=8M,size=500,count=4'
                           for c, p in (('market-data', PORT), ('risk-replication', 7003))])
        ready(lab)
        first_packet(lab)
        negotiation(lab)
        per_second(lab)
        changes(lab, traffic)
        reroutes(lab, traffic)
        return 0
    except DemoError as e:
        print(f'bench_road: {e}' + ''.join(lab.tails()), file=sys.stderr)
        return 1
    finally:
        if traffic:
            traffic.stop()
        lab.down()


if __name__ == '__main__':
    sys.exit(main())
