#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The shipped daemons in the lab with the two worst advisers, and two things that need a living daemon: the event
stream of the unix socket, and the passive round trip time of a real TCP flow, against the sender's own kernel.

test_advised.py BUILD"""
import http.client
import json
import os
import re
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from demo_lab import DemoError, Lab, Traffic, UnixHTTP, conf, wait_for  # noqa: E402

CLASSES = list(conf.CLASSES)
ROUNDS = 3
TCP = 'bulk-transfer'
failed = []


def check(name, ok, detail=''):
    print(f'[{"  OK  " if ok else "FAILED"}] {name}' + (f': {detail}' if detail != '' else ''), flush=True)
    if not ok:
        failed.append(name)


def log_of(lab, node):
    rows, more = [], [None]
    while more:
        more = lab.tool(node, 'log_read', after=rows[-1]['seq'] if rows else 0, limit=1000)['rows']
        rows += more
    return rows


def paths_well(lab):
    return all(p['alive'] and not p['lossPpm'] for p in lab.tool('op', 'path_list')['paths'])


# --- advisers ----------------------------------------------------------------------------------
def deals(lab, node):
    return lab.tool(node, 'deal_list')['deals']


def quiet(lab):
    """Every deal has ended, or runs on both sides."""
    ends = {n: {d['negotiation']: d for d in deals(lab, n)} for n in ('edge', 'op')}
    return all(d['life'].upper() == 'TERMINATED' or (d['active'] and ends['op'].get(k, {}).get('active'))
               for k, d in ends['edge'].items())


def accepted_within(rows):
    """(how many choices, what is wrong with them): each against the menu that it chose from."""
    quotes, bad, n = {}, [], 0
    for r in rows:
        o = r['output']
        if r['event'] == 'QUOTE_RECEIVED':
            quotes[(o['id'], o['version'])] = o
        if r['event'] != 'QUOTE_ACCEPTED':
            continue
        n += 1
        q = quotes[(o['quote'], o['version'])]
        item = next((i for i in q['item'] if i['no'] == o['item']), None)
        worth = conf.CLASSES[q['class_name']]['value']
        if not item or item['withdrawn'] or o['price'] != item['scarcity'] + item['margin'] or o['price'] > worth:
            bad.append(o)
    return n, bad


def captured(lab, node):
    side = 'gate' if node == 'edge' else 'shadow'
    return sum(w['captured'] for w in lab.tool(node, 'ledger_show')['wallets'] if w['side'] == side)


def advised(lab, adviser):
    for _ in range(ROUNDS):
        for c in CLASSES:
            if not any(d['class'] == c and d['life'].upper() != 'TERMINATED' for d in deals(lab, 'edge')):
                lab.tool('edge', 'intent_declare', **{'class': c})
        wait_for(f'{adviser}: an outcome of each intent', lambda: quiet(lab), 40)
        if adviser == 'hostile':
            break
    rows = log_of(lab, 'edge')
    said = [r['output'] for r in rows if r['event'] == 'ADVICE_GIVEN']
    n, bad = accepted_within(rows)
    check(f'{adviser}: it was asked', len(said) >= len(CLASSES) and all(s['adviser'] == adviser for s in said),
          f'{len(said)} times, heeded {sum(s["heeded"] for s in said)}, choices {n}')
    check(f'{adviser}: every choice is an item for sale, at its price, within its worth', not bad, bad or n)
    money = captured(lab, 'edge'), captured(lab, 'op')
    check(f'{adviser}: both ledgers agree', money[0] == money[1], money)
    for node in ('edge', 'op'):
        r = lab.ctl(node, 'log', 'redecide', '--state', f'{lab.home(node)}/state/agents', check=False)
        check(f'{adviser}: {node} decides alike without it', r.returncode == 0, (r.stdout + r.stderr).strip()[-200:])
    return n


# --- the event stream --------------------------------------------------------------------------
class Events:
    """A reader of /events: (id, event, data) of each block."""

    def __init__(self, lab, node, path='/events', **headers):
        self.c = UnixHTTP(lab.socket(node), 10)
        self.c.request('GET', path, headers=headers)
        self.r = self.c.getresponse()

    def next(self):
        block = {}
        while True:
            line = self.r.readline().decode().rstrip('\n')
            if line and not line.startswith(':'):
                key, _, value = line.partition(': ')
                block[key] = value
            elif not line and block:
                return int(block['id']), block['event'], json.loads(block['data'])

    def close(self):
        self.c.close()


def stream(lab):
    rows = log_of(lab, 'edge')
    last = rows[-1]['seq']
    s = Events(lab, 'edge', '/events?after=0')
    got = [s.next() for _ in range(last)]
    s.close()
    check('events: ids are the log\'s numbers, without a gap', [g[0] for g in got] == list(range(1, last + 1)), last)
    check('events: names and bodies are the log\'s', all(
        (g[1], g[2]['seq'], g[2]['output']) == (r['event'], r['seq'], r['output']) for g, r in zip(got, rows)))
    s = Events(lab, 'edge', **{'Last-Event-ID': str(last - 3)})
    again = [s.next() for _ in range(3)]
    check('events: Last-Event-ID resumes behind it', again == got[-3:], [g[0] for g in again])
    live = Events(lab, 'edge')  # without either: only what comes
    lab.ctl('edge', 'intent', 'declare', '--class', CLASSES[0], check=False)
    new = s.next(), live.next()
    check('events: what happens comes to both readers, under the next number',
          new[0] == new[1] and new[0][0] == last + 1, [n[0] for n in new])
    s.close()
    live.close()
    for word in ('x', '-1', '99999999999999999999'):
        bad = Events(lab, 'edge', **{'Last-Event-ID': word})
        check(f'events: Last-Event-ID {word} is refused', bad.r.status == 400, bad.r.status)
        bad.close()


# --- passive round trip time -------------------------------------------------------------------
def kernel_rtt(lab, port):
    """What the sender's own TCP measured: (least, smoothed) in milliseconds."""
    out = lab.inside('lan', 'ss', '-tin', 'dport', '=', f':{port}')
    least, now = re.search(r'minrtt:([\d.]+)', out), re.search(r'\brtt:([\d.]+)/', out)
    return (float(least[1]), float(now[1])) if least and now else None


def round_trip(lab):
    """Two routers and a wire of known delay lie between; the sender's kernel is the oracle."""
    port = conf.CLASSES[TCP]['dport']
    flows = Traffic(lab, 'rtt', 'lan', 'exch', str(port), [f'class={TCP},proto=tcp,dst=fd10:2::2,dport={port},rate=500k'])
    try:
        deal = next(d for d in deals(lab, 'op') if d['class'] == TCP and d['active'])
        wire = 2 * {p['path']: p['baseMicros'] for p in lab.tool('op', 'path_list')['paths']}[deal['path']] / 1000
        seen = {}

        def agrees():
            tcp = kernel_rtt(lab, port)
            rows = [f for f in lab.tool('edge', 'flow_list')['flows'] if f['label'] == deal['label']]
            if not tcp or not rows or not rows[0]['rttMicros']:
                return False
            seen.update(tcp=tcp, passive=rows[0]['rttMicros'] / 1000, wire=wire)
            return seen['passive'] >= wire - 1 and tcp[0] - 1 <= seen['passive'] <= max(tcp[1], tcp[0]) + 15
        try:
            wait_for('rtt', agrees, 15, every=0.2)
            good = True
        except DemoError:
            good = False
        check('passive TCP round trip time agrees with the sender\'s kernel', good, seen)
    finally:
        flows.stop()


def confined(lab):
    """Enforcers that have given up their rights still know their own programs from others'."""
    for node in ('edge', 'popA', 'popB'):
        def sound(node=node):
            return lab.ctl(node, 'dataplane', 'check', check=False).returncode == 0
        try:
            wait_for('a sound data plane', sound, 10, every=0.2)
            good = True
        except DemoError:
            good = False
        check(f'{node}: the data plane holds what is committed, programs included', good,
              '' if good else lab.ctl(node, 'dataplane', 'check', check=False).stdout)


def one(build, adviser):
    lab = Lab(build, f'adv-{adviser}{os.getpid()}')
    start = time.monotonic()
    try:
        lab.up({'advice': adviser})
        wait_for('the paths', lambda: paths_well(lab), 20)
        n = advised(lab, adviser)
        if adviser == 'hostile':
            check('hostile: it buys nothing that is not for sale', n <= len(CLASSES), n)
            stream(lab)
            confined(lab)
            if any(d['class'] == TCP and d['active'] for d in deals(lab, 'op')):
                round_trip(lab)
            else:
                check('a TCP flow has an agreement', False)
    except (DemoError, OSError, http.client.HTTPException) as e:
        check(f'{adviser}: the story goes on', False, str(e) + ''.join(lab.tails()))
    finally:
        lab.down()
    print(f'{adviser}: {time.monotonic() - start:.1f} s')


def main():
    if os.geteuid():
        print('test_advised: needs root')
        return 77
    for adviser in ('random', 'hostile'):
        one(sys.argv[1] if len(sys.argv) > 1 else 'build', adviser)
    print(f'test_advised: {len(failed)} failed')
    return 1 if failed else 0


sys.exit(main())
