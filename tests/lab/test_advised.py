#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The shipped daemons in the lab with the two worst advisers, and two things that need a living daemon: the event
stream of the unix socket and as a consumer may read it, and the passive round trip time of a real TCP flow, against the sender's own kernel.

test_advised.py BUILD"""
import http.client
import json
import os
import re
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from consumer_events import consumer_events  # noqa: E402
from demo_lab import DemoError, Lab, Traffic, UnixHTTP, conf, wait_for  # noqa: E402

CLASSES = list(conf.CLASSES)
ROUNDS = 3
TCP = 'bulk-transfer'
SYNC = 'block-sync'
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


def settled(lab):
    """Every path well for a second: what a node's agent missed while it worked is told a moment later."""
    for _ in range(10):
        if not paths_well(lab):
            return False
        time.sleep(0.1)
    return True


# --- advisers ----------------------------------------------------------------------------------
def deals(lab, node):
    return lab.tool(node, 'deal_list')['deals']


def quiet(lab):
    """Every deal has ended, or runs on both sides."""
    ends = {n: {d['negotiation']: d for d in deals(lab, n)} for n in ('edge', 'op')}
    return all(d['life'].upper() == 'TERMINATED' or (d['active'] and ends['op'].get(k, {}).get('active'))
               for k, d in ends['edge'].items())


def sold(lab, c):
    """The class has an agreement; asked for again once none is on its way."""
    if any(d['class'] == c and d['active'] for d in deals(lab, 'op')):
        return True
    if quiet(lab):
        lab.ctl('edge', 'intent', 'declare', '--class', c, check=False)
    return False


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
        rows = log_of(lab, 'edge')
        said = [r['output'] for r in rows if r['event'] == 'ADVICE_GIVEN']
        # an intent of a moment in which a busy machine heard of no path has no menu to be asked about
        if adviser == 'hostile' and len(said) >= len(CLASSES):
            break
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


# --- exact loss between two daemons ------------------------------------------------------------
COLOURS = 46, 34  # the first code points of two pairs
PACKET = 800  # bytes: the wire drops nothing smaller, so probes live and its counter is the flows' alone


def udp_deals(lab):
    """{class: label} of UDP classes with one agreement, once no other is on its way, which would take the class's
    traffic; what this adviser did not buy is asked for again."""
    found = {}
    for d in deals(lab, 'op'):
        if d['active'] and d['class'] != TCP:
            found.setdefault(d['class'], []).append(d['label'])
    single = {c: k[0] for c, k in found.items() if len(k) == 1}
    for c in CLASSES:
        if len(single) < 2 and c != TCP and c not in found and quiet(lab):
            lab.ctl('edge', 'intent', 'declare', '--class', c, check=False)
    return quiet(lab) and len(single) >= 2 and single


def reported(lab, labels):
    """{class: (packets lost, blocks without a figure)} as treatyctl says, edge to far end."""
    rows = {r['label']: r for r in lab.ctl_json('op', 'loss')
            if r['dir'] == 'up' and r['between'] == 'network'}
    if not all(k in rows and rows[k]['allSent'] for k in labels.values()):
        return None
    return {c: (rows[k]['allLost'], rows[k]['missing']) for c, k in labels.items()}


def dropped(lab):
    return sum(w['loss_drops'] for k, w in lab.wire('stat')['links'].items() if k in ('short.ab', 'longa.ab'))


def loss_round(lab, flows, labels):
    """(wire's drops, per class by sender and receiver, per class as reported, blocks without a figure)."""
    first = wait_for('a compared block of each class', lambda: reported(lab, labels), 30)
    wire, window = dropped(lab), flows.mark()
    for way in ('short.ab', 'longa.ab'):
        lab.wire_soon(way, 'loss=100000', f'loss-min={PACKET}')
    wait_for('drops', lambda: dropped(lab) - wire > 100, 20)
    for way in ('short.ab', 'longa.ab'):
        lab.wire_soon(way, 'loss=0')
    wire = dropped(lab) - wire
    seen = {c: r['lost'] for c, r in flows.report(window).items()}

    def agreed():
        now = reported(lab, labels)
        return now and {c: now[c][0] - first[c][0] for c in now} == seen and now
    try:
        now = wait_for('loss', agreed, 8, every=0.2)
    except DemoError:
        now = reported(lab, labels)
    return (wire, seen, {c: now[c][0] - first[c][0] for c in now},
            sum(now[c][1] - first[c][1] for c in now))


def exact_loss(lab):
    """RFC 9341 between two daemons: the wire's own counter, and sender against receiver, are the oracles."""
    if not os.path.exists(f'{lab.dir}/delayline'):
        print('exact loss: the wires are netem: not asked')
        return
    labels = dict(list(wait_for('two classes with agreements', lambda: udp_deals(lab), 60).items())[:2])
    flows = Traffic(lab, 'loss', 'lan', 'exch', '7001-7004', [
        f'class={c},proto=udp,dst=fd10:2::2,dport={conf.CLASSES[c]["dport"]},size={PACKET},rate={rate},dscp={code}'
        for c, rate, code in zip(labels, ('1600k', '800k'), COLOURS)])
    try:
        wire, seen, said, missing = loss_round(lab, flows, labels)
        if missing:  # an overloaded machine told of no block for seconds: no figure is no wrong figure
            print(f'exact loss: {missing} blocks without a figure; once more')
            wire, seen, said, missing = loss_round(lab, flows, labels)
    finally:
        flows.stop()
    check('loss: sender and receiver miss what the wire dropped', sum(seen.values()) == wire > 100, (wire, seen))
    check('loss: treatyctl loss says the same of each class, exactly', said == seen, {'said': said, 'blocks missing': missing})


# --- a table is filled -------------------------------------------------------------------------
def rules_of(lab):
    return next(t for t in lab.ctl_json('popB', 'dataplane', 'tables') if t['table'] == 'rules')


NO_RULE = {'src': '0' * 32, 'dst': '0' * 32, **dict.fromkeys(
    ('id', 'prio', 'family', 'proto', 'src_len', 'dst_len', 'sport_lo', 'sport_hi', 'dport_lo', 'dport_hi', 'dscp', 'class_id',
     'label', 'dir', 'label_in', 'cgroup'), 0)}
NO_STEP = {'device': '', 'in_up': '', 'in_down': '', 'src_up': '0' * 32, 'src_down': '0' * 32, **dict.fromkeys(
    ('kind', 'label', 'dir', 'path', 'minor', 'rate', 'ceil', 'burst_ms', 'prio', 'dscp', 'valid_until', 'wait_ms', 'customer',
     'excess', 'ceiling', 'src_family', 'src_up_len', 'src_down_len'), 0)}


def whole(step):
    """A step of the log, which leaves zeros out, as a node wants it."""
    return {**step, 'step': {**NO_STEP, **step['step'], 'rule': {**NO_RULE, **step['step'].get('rule', {})}}}


def fill(lab, kind, n, sample, base):
    """n rules more (or less) at the far end, by a human's hand, as a copy of one of the planner's."""
    for at in range(0, n, 60):
        steps = []
        for i in range(at, min(n, at + 60)):
            s = json.loads(json.dumps(sample))
            s['no'], s['step']['kind'] = len(steps) + 1, kind
            s['step']['rule'].update(id=900000 + i, prio=9, dport_lo=20000 + i, dport_hi=20000 + i)
            steps.append(s)
        plan = {**base, 'id': f'pln-fill-{kind}-{at}', 'rev': 1, 'step': steps}
        got = lab.tool('popB', 'step_apply', plan=plan)['receipts']
        if len(got) != len(steps) or any(r['refusal'] for r in got):
            raise DemoError(f'filling: {got[-1]}')


def room(lab):
    p = lab.tool('op', 'path_list')['paths'][0]
    return p['roomFor'], p['table'], p['tableNode']


def full_table(lab):
    """A far end whose rules are nearly all taken: no intent is sold there, and again once there is room. Asked by the
    class that bears any path's delay, in the room that it has just given back."""
    deal = next(d for d in deals(lab, 'op') if d['class'] == SYNC and d['active'])
    plan = next(r['output'] for r in log_of(lab, 'op') if r['event'] == 'PLAN_COMMITTED'
                and any(s['node'] == 'popB' and 'rule' in s['step'] for s in r['output']['step']))
    sample = whole(next(s for s in plan['step'] if s['node'] == 'popB' and 'rule' in s['step']))
    kind = sample['step']['kind']
    lab.ctl('edge', 'agreement', 'terminate', deal['id'], '--reason=a test', check=False)
    wait_for('its end', lambda: not any(d['id'] == deal['id'] and d['active'] for d in deals(lab, 'op')), 20)
    before = rules_of(lab)
    n = before['max'] - before['used'] - 1
    fill(lab, kind, n, sample, plan)
    wait_for('no room', lambda: room(lab)[0] == 0 and settled(lab), 30)
    check('full: the operator names the table and its node', room(lab) == (0, 'rules', 'popB'), (room(lab), rules_of(lab)))

    def refusals():
        return [r['output'] for r in log_of(lab, 'op') if r['event'] == 'REFUSED']
    was = len(refusals())
    lab.ctl('edge', 'intent', 'declare', '--class', SYNC, check=False)
    said = wait_for('a refusal', lambda: refusals()[was:], 15)[0]
    check('full: an intent is refused before the table is full', f'used={before["max"] - 1} max={before["max"]}' in
          said['why'] and 'table=rules' in said['why'], said)
    fill(lab, kind + 1, n, sample, plan)
    wait_for('room again', lambda: room(lab)[0] > 0 and settled(lab), 30)
    was = sum(r['event'] == 'QUOTE_OFFERED' for r in log_of(lab, 'op'))
    lab.ctl('edge', 'intent', 'declare', '--class', SYNC, check=False)
    wait_for('a quote', lambda: sum(r['event'] == 'QUOTE_OFFERED' for r in log_of(lab, 'op')) > was, 15)
    check('full: with room again it is quoted', True)


# --- keys and ledgers are given up, traffic is not ----------------------------------------------
def running(lab):
    return sorted((d['id'], d['rev'], d['label'], d['path']) for d in deals(lab, 'op') if d['active'])


def given_up(lab):
    """Both sides' agreement keys are compromised and both ledgers frozen: what is paid for runs on as it was, packet
    by packet, and nothing new is signed."""
    c, label = next(iter(wait_for('classes with agreements', lambda: udp_deals(lab), 60).items()))
    flows = Traffic(lab, 'gone', 'lan', 'exch', '7001-7004', [
        f'class={c},proto=udp,dst=fd10:2::2,dport={conf.CLASSES[c]["dport"]},size={PACKET},rate=800k'])
    try:
        before, window = running(lab), flows.mark()
        for node in ('edge', 'op'):
            lab.ctl(node, 'key', 'compromise', 'agreement', '--reason', 'a test')
            lab.ctl(node, 'ledger', 'freeze', '--reason', 'a test')
        wait_for('traffic after it', lambda: flows.report(window)[c]['received'] > 500, 20)
        seen, after = flows.report(window)[c], running(lab)
    finally:
        flows.stop()
    deal = next(d['id'] for d in deals(lab, 'op') if d['active'] and d['label'] == label)
    check('given up: every agreement runs on, under its label and path', before == after and before, after)
    check('given up: not one packet is missing', seen['lost'] == 0, seen)
    r = lab.ctl('op', 'verify', deal, check=False)
    check('given up: the kernels hold what was promised', r.returncode == 0, (r.stdout + r.stderr)[-300:])
    r = lab.ctl('op', 'explain', deal, check=False)
    check('given up: what holds it is told, node by node', all(
        f'held on {node}, {way}: class ' in r.stdout for node in ('popA', 'popB') for way in ('up', 'down')),
        (r.stdout + r.stderr)[-600:])
    confined(lab)
    for node in ('edge', 'op'):
        r = lab.ctl(node, 'key', 'list', check=False)
        check(f'given up: {node} says so', 'compromised' in r.stdout, r.stdout)

    def signatures():
        return sum(r['event'] == 'AGREEMENT_SIGNED' for r in log_of(lab, 'op'))
    was = signatures()
    lab.ctl('edge', 'intent', 'declare', '--class', c, check=False)
    wait_for('the end of a new intent', lambda: quiet(lab), 30)
    check('given up: nothing new is signed', running(lab) == before and signatures() == was, (running(lab), was))


def one(build, adviser):
    lab = Lab(build, f'adv-{adviser}{os.getpid()}')
    start = time.monotonic()
    try:
        lab.up({'advice': adviser, 'popB/max-rules': 24, 'node/colour-pairs': '46:47,34:35'})
        wait_for('the paths', lambda: paths_well(lab), 20)
        n = advised(lab, adviser)
        if adviser == 'hostile':
            check('hostile: it buys nothing that is not for sale', n <= len(deals(lab, 'edge')), n)
            stream(lab)
            consumer_events(lab, conf, check, log_of,
                            lambda: lab.ctl('edge', 'intent', 'declare', '--class', CLASSES[0], check=False))
            confined(lab)
            exact_loss(lab)
            wait_for('an agreement for the TCP flow', lambda: sold(lab, TCP), 40, every=0.2)
            round_trip(lab)
            full_table(lab)
            given_up(lab)
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
