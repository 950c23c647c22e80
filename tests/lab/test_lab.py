#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The lab by itself, without any daemon: what the topology promises is measured, and nothing stays behind.

test_lab.py BUILD [--short]     (--short: for a slow machine; no rates above a few Mbit/s)"""
import json
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BUILD = os.path.join(ROOT, sys.argv[1] if len(sys.argv) > 1 else 'build')
SHORT = '--short' in sys.argv
LAB, FLOWGEN = os.path.join(ROOT, 'vagrant/lab'), os.path.join(BUILD, 'tests/lab/flowgen')
ID = f'test{os.getpid()}'
DIR = f'/run/treaty-lab-{ID}'
os.environ.update(TREATY_LAB_ID=ID, TREATY_BUILD=BUILD)
os.environ.pop('TREATY_LAB_DIR', None)
failed = []


def check(name, ok, detail=''):
    print(f'[{"  OK  " if ok else "FAILED"}] {name}' + (f': {detail}' if detail != '' else ''), flush=True)
    if not ok:
        failed.append(name)


def steady(part):
    """Runs a part that measures. A machine that stands still for a moment spoils it by itself, so it counts as
    broken when it breaks three times in a row."""
    for attempt in (1, 2, 3):
        before = len(failed)
        part()
        if len(failed) == before:
            return
        if attempt < 3:
            print(f'{part.__name__}: {", ".join(failed[before:])} broken; once more')
            del failed[before:]


def sh(*argv, **kw):
    return subprocess.run(argv, capture_output=True, text=True, check=False, **kw)


def lab(*argv, env=None):
    return sh(LAB, *argv, env=dict(os.environ, **(env or {})))


def node(name, *argv):
    return lab('exec', name, *argv)


def snapshot():
    """What a lab could leave behind."""
    pids = set()
    for p in filter(str.isdigit, os.listdir('/proc')):
        try:
            if DIR in open(f'/proc/{p}/cmdline').read() and open(f'/proc/{p}/stat').read().split()[2] != 'Z':
                pids.add(p)
        except OSError:
            pass
    return {'pids': pids, 'mounts': {x.split()[4] for x in open('/proc/self/mountinfo')},
            'run': {x for x in os.listdir('/run') if 'treaty-lab' in x and ID in x},
            'netns': set(sh('ip', 'netns', 'list').stdout.splitlines()),
            'links': set(re.findall(r'^\d+: ([^:@]+)', sh('ip', '-o', 'link').stdout, re.M))}


def wait_clean(before, limit=30):
    """What there is now and was not before, when it does not go by itself."""
    end = time.monotonic() + limit
    while True:
        now = snapshot()
        left = {k: now[k] - before[k] for k in now if now[k] - before[k]}
        if not left or time.monotonic() > end:
            return left or ''
        time.sleep(0.05)


# --- traffic -----------------------------------------------------------------------------------
def traffic(send_node, recv_node, ports, duration, flows, during=None):
    """Runs flows from node to node; gives (receiver's report, sender's report)."""
    r = subprocess.Popen([LAB, 'exec', recv_node, FLOWGEN, 'recv', '--ctl', f'{DIR}/recv', '--port', ports,
                          '--until-end', '--duration', f'{duration + 15}s'], stdout=subprocess.PIPE, text=True)
    wait_for(f'{DIR}/recv')
    s = subprocess.Popen([LAB, 'exec', send_node, FLOWGEN, 'send', '--ctl', f'{DIR}/send', '--duration',
                          f'{duration}s', *flows], stdout=subprocess.PIPE, text=True)
    wait_for(f'{DIR}/send')
    extra = during() if during else None
    sent = json.loads(s.communicate(timeout=duration + 20)[0])
    got = json.loads(r.communicate(timeout=duration + 20)[0])
    return {c['class']: c for c in got['classes']}, {c['class']: c for c in sent['classes']}, got, sent, extra


def wait_for(path, limit=30):
    end = time.monotonic() + limit
    while not os.path.exists(path):
        if time.monotonic() > end:
            raise SystemExit(f'{path} did not come')
        time.sleep(0.01)


def wire(*argv):
    r = lab('wire', *argv)
    if r.returncode:
        raise SystemExit(f'lab wire {argv}: {r.stderr}')
    return json.loads(r.stdout) if argv == ('stat',) else None


def ping_ms(src, dst, *opts):
    r = node(src, 'ping', '-n', '-c', '5', '-i', '0.05', '-W', '2', *opts, dst)
    m = re.search(r'= ([\d.]+)/([\d.]+)/', r.stdout)
    return float(m[1]) if m and ' 0% packet loss' in r.stdout else None


def reach():
    slack = 40 if SHORT else 2.5
    for src, dst, want, opts in [
            ('lan', 'fd10:2::2', 10, []), ('lan', '10.2.0.2', 10, []), ('exch', '10.1.0.2', 10, []),
            ('exch', 'fd10:1::2', 10, []), ('tenA', 'fd10:7b::2', 10, []), ('edge', 'fd10:ff:b::1', 10, []),
            ('popA', 'fd10:ff:b::1', 10, ['-I', 'fd10:ff:a:1::1']),
            ('popA', 'fd10:ff:b::1', 25, ['-I', 'fd10:ff:a:2::1']),
            ('popA', 'fd10:ff:b::1', 25, ['-I', 'fd10:ff:a:3::1']),
            ('popB', 'fd10:ff:a::1', 25, ['-I', 'fd10:ff:b:2::1']),
            ('popC', 'fd10:ff:b::1', 20, []), ('popC', 'fd10:ff:a::1', 20, []),
            ('op', 'fd10:ee:1::2', 0, []), ('op', 'fd10:ee:2::2', 0, []), ('op', 'fd10:ee:3::2', 0, []),
            ('op', 'fd10:ee:4::2', 0, []), ('edge', 'op.lab.example', 0, ['-6'])]:
        ms = ping_ms(src, dst, *opts)
        check(f'ping {src} -> {dst} {" ".join(opts)}', ms is not None and want <= ms + 0.5 < want + slack,
              f'{ms} ms round trip, wire {want} ms')


def five_classes():
    v6, v4 = 'dst=fd10:2::2', 'dst=10.2.0.2'
    flows = [f'class=market-data,{v6},dport=7001,rate=20M,size=1000,count=4',
             f'class=order-execution,{v4},dport=7002,rate=2M,size=200,count=2',
             f'class=risk-replication,{v6},dport=7003,rate=50M,size=1400,count=4',
             f'class=block-sync,{v4},dport=7004,rate=80M,size=1400,count=2',
             f'class=bulk-transfer,{v6},dport=7005,rate=10M,size=1000']
    a = wire('stat')

    def in_place():
        time.sleep(1)
        mark = [FLOWGEN, 'window', 'mark', 'w', f'{DIR}/send', f'{DIR}/recv']
        ok = sh(*mark).returncode == 0
        ok &= sh(FLOWGEN, 'ctl', f'{DIR}/send', 'rate', 'market-data', '25M').returncode == 0
        time.sleep(2)
        r = sh(FLOWGEN, 'window', 'report', 'w', f'{DIR}/send', f'{DIR}/recv')
        check('window: mark, change of rate, report', ok and not r.returncode, r.stderr.strip())
        return json.loads(r.stdout)
    c, _, got, sent, w = traffic('lan', 'exch', '7001-7005', 5, flows, in_place)
    b = wire('stat')
    for name, x in c.items():
        d = x['owd_us']
        check(f'{name}: none lost, reordered, duplicated',
              x['sent'] and not (x['lost'] or x['reordered'] or x['duplicated']),
              f'{x["sent"]} sent, {x["l2_bps"] / 1e6:.2f} Mbit/s')
        check(f'{name}: one-way delay', 4750 <= d['p50'] <= 6500, d)
    w = {x['class']: x for x in w['classes']}
    check('window: exact', len(w) == 5 and all(x['sent'] and x['lost'] == 0 and x['reordered'] == 0
                                               for x in w.values()), {k: x['sent'] for k, x in w.items()})
    check('window: market-data at its new rate', abs(w['market-data']['l2_bps'] / 25e6 - 1) < .05,
          w['market-data']['l2_bps'])
    n = sum(x['sent'] for x in c.values())
    print(f'  load: sender {sent["cpu_us"] / n:.1f}, receiver {got["cpu_us"] / n:.1f} us of CPU per packet')
    if 'cpu_us' in b:
        k, s = b['links']['short.ab'], (b['t_ns'] - a['t_ns']) / 1e9
        print(f'  delay line: {(b["cpu_us"] - a["cpu_us"]) / n:.1f} us of CPU per packet (with the forwarding '
              f'behind it), {(b["cpu_us"] - a["cpu_us"]) / s / 1e4:.1f} % of a core at {n / s:.0f} pps, '
              f'latest {k["late_max_us"]} us')
        check('delay line: none of its own drops', all(x['own_drops'] + x['queue_drops'] + x['loss_drops'] == 0
                                                       for x in b['links'].values()))


def accuracy():
    """What the wire adds to its configured delay, at 16 kpps, without a rate in the way."""
    def one(name, ms, flow, duration):
        x = traffic('tenA', 'tenB', '7100', duration, [flow])[0]['acc']
        d = x['owd_us']
        check(f'{name}: {x["sent"]} packets, delay error at the median < 0.3 ms, none lost',
              abs(d['p50'] - ms * 1000) < 300 and not (x['lost'] or x['reordered']),
              f'{d["p50"] - ms * 1000:+.0f} us (p95 {d["p95"] - ms * 1000:+.0f}, min {d["min"] - ms * 1000:+.0f})')
    for k in ('short.ab', 'longa.ab', 'longb.ab'):
        wire(k, 'rate=0')
    one('short 5 ms at 16 kpps', 5, 'class=acc,dst=fd10:7b::2,dport=7100,rate=16M,size=111,count=8', 3)
    move = ['ip', 'route', 'replace', 'fd10:7b::/64', 'via']
    node('popA', *move, 'fd10:ac::2', 'dev', 'corec')
    one('long 2 x 10 ms at 1 kpps', 20, 'class=acc,dst=fd10:7b::2,dport=7100,rate=1M,size=111', 2)
    node('popA', *move, 'fd10:ab::2', 'dev', 'coreb')
    wire('short.ab', 'rate=200M')
    wire('longa.ab', 'rate=300M')
    wire('longb.ab', 'rate=300M')


def congestion():
    flows = ['class=tenant,dst=fd10:7b::2,dport=7200,rate=230M,size=1400', 'class=probe,dst=fd10:7b::2,'
             'dport=7201,rate=100k,size=200']
    a = wire('stat')['links']['short.ab']
    c, *_ = traffic('tenA', 'tenB', '7200-7201', 3, flows)
    b = wire('stat')['links']['short.ab']
    drops, own = b['queue_drops'] - a['queue_drops'], b['own_drops'] - a['own_drops']
    check('an overload of the short wire makes its delay grow', c['probe']['owd_us']['p95'] > 50000,
          c['probe']['owd_us'])
    check('what the wire dropped is what the flows miss', own == 0 and drops > 0 and
          drops == c['tenant']['lost'] + c['probe']['lost'], f'{drops} dropped by the queue')
    check('the wire keeps to its rate', abs(c['tenant']['l2_bps'] / 200e6 - 1) < 0.05, c['tenant']['l2_bps'])


def faults():
    flow = ['class=f,dst=fd10:7b::2,dport=7300,rate=8M,size=200,count=2']
    wire('short.ab', 'loss=20000')
    x = traffic('tenA', 'tenB', '7300', 2, flow)[0]['f']
    check('loss of 2 % is seen as such', 0.01 < x['lost'] / x['sent'] < 0.03 and not x['reordered'],
          f'{x["lost"]} of {x["sent"]}')
    wire('short.ab', 'loss=0', 'reorder=10000')
    x = traffic('tenA', 'tenB', '7300', 2, flow)[0]['f']
    check('reordering is seen as such', not x['lost'] and x['reordered'] > 0 and x['reorder_extent'] > 0,
          f'{x["reordered"]} of {x["sent"]}, {x["reorder_extent"]} far')
    wire('short.ab', 'reorder=0')


def tcp():
    c, s, *_ = traffic('lan', 'exch', '7400', 3, ['class=t,proto=tcp,dst=10.2.0.2,dport=7400,rate=20M,cc=cubic'])
    check('TCP (cubic, over SRv6) keeps its pace', 15e6 < c['t']['goodput_bps'] < 21e6 and
          s['t']['retransmits'] < 20, f'{c["t"]["goodput_bps"]} bit/s, {s["t"]["retransmits"]} retransmits')


def slow_flow():
    c, *_ = traffic('lan', 'exch', '7001', 3, ['class=a,dst=10.2.0.2,dport=7001,rate=300k,size=200'])
    x = c['a']
    check('a slow flow arrives whole', x['sent'] and not (x['lost'] or x['reordered']),
          f'{x["sent"]} sent, one-way {x["owd_us"]}')


def nothing_stays(before):
    """Stops `up` at several moments, kills the keeper, lets an owner die: all must be as before."""
    for wait in (0.5, 2, 4, 6) if SHORT else (0.03, 0.1, 0.2, 0.3):
        p = subprocess.Popen([LAB, 'up', '--bare'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        p.send_signal(signal.SIGINT)
        p.wait(20)
        if p.returncode == 0:
            lab('down')
        check(f'interrupted after {wait} s', not (left := wait_clean(before)), left or f'exit {p.returncode}')
    owner = subprocess.Popen(['sleep', '60'])
    check('up with an owner', lab('up', '--bare', '--owner', str(owner.pid)).returncode == 0)
    inside = subprocess.Popen([LAB, 'exec', 'edge', 'sh', '-c',
                               f'sleep 1000 & touch {DIR}/inside; exec sleep 1000'])
    wait_for(f'{DIR}/inside')
    owner.kill()
    owner.wait()
    check('the owner died', not (left := wait_clean(before)), left)
    check('what ran inside died too', inside.wait(30) != 0)
    lab('up', '--bare')
    keeper = json.loads(lab('status', '--json').stdout)['keeper']
    os.kill(keeper, signal.SIGKILL)
    check('keeper killed: status says down', lab('status').returncode == 1)
    lab('down')
    check('keeper killed, then down', not (left := wait_clean(before)), left)


def main():
    before = snapshot()
    try:
        t = time.monotonic()
        r = lab('up', '--bare')
        check('up', r.returncode == 0, (r.stdout + r.stderr).strip() + f' in {time.monotonic() - t:.1f} s')
        if r.returncode:
            return
        second = {'TREATY_LAB_ID': ID + 'b'}
        check('a second lab beside it', lab('up', '--bare', env=second).returncode == 0 and
              lab('exec', 'lan', 'ping', '-c1', '-W2', '10.2.0.2', env=second).returncode == 0 and
              lab('down', env=second).returncode == 0)
        check('exec passes the exit status on', node('lan', 'sh', '-c', 'exit 7').returncode == 7)
        for part in (reach, slow_flow) if SHORT else (reach, five_classes, accuracy, congestion, faults, tcp):
            steady(part)
        check('down', lab('down').returncode == 0 and not (left := wait_clean(before)))
        nothing_stays(before)
    finally:
        lab('down')
    print(f'test_lab: {len(failed)} failed, {time.monotonic() - t:.1f} s')


main()
sys.exit(bool(failed))
