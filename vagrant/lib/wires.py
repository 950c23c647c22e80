# SPDX-License-Identifier: Apache-2.0
"""The wires that have a length: netem where the kernel has it, else tests/lab/delayline on TAPs."""
import json
import os
import re
import subprocess

from holder import LabError, enter
from topology import LINKS, WIRES, mac

UNIT = {'': 1, 'k': 1000, 'M': 10**6, 'G': 10**9}


def inside(pid):
    """preexec_fn: the child is of the lab (its PID namespace too) and dies with it."""
    return lambda: enter(pid, ('net', 'mnt', 'pid'))


def has_netem(pid):
    """Asks the kernel, in the namespace of a node, on a device that is made for the question."""
    r = subprocess.run(['nsenter', '-t', str(pid), '-n', 'sh', '-c',
                        'modprobe -q sch_netem 2>/dev/null; ip link add netem0 type veth peer name netem1 &&'
                        'tc qdisc add dev netem0 root netem delay 1ms; r=$?; ip link del netem0; exit $r'],
                       capture_output=True, check=False)
    return r.returncode == 0


def ends_of(name):
    i = next(i for i, k in enumerate(LINKS) if k[0] == name)
    return i, LINKS[i][1], LINKS[i][2]


# --- delay line --------------------------------------------------------------------------------
def start_delayline(program, sock, pids, log):
    """Starts it in the lab and waits for its word. The pids are translated to the lab's own /proc."""
    inner = {}
    for node, pid in pids.items():
        with open(f'/proc/{pid}/status') as f:
            inner[node] = re.search(r'^NSpid:.*\s(\d+)$', f.read(), re.M)[1]
    specs = []
    for name, (ms, mbit, queue) in WIRES.items():
        _, a, b = ends_of(name)
        specs.append(f'{name},{inner[a[0]]}:{a[1]},{inner[b[0]]}:{b[1]},'
                     f'rate={mbit}M,delay={ms}ms,queue={queue}ms')
    with open(log, 'wb') as err:
        p = subprocess.Popen(['nsenter', '-t', str(pids['op']), '-m', '-p', program, 'run', sock, *specs],
                             stdout=subprocess.PIPE, stderr=err, stdin=subprocess.DEVNULL,
                             start_new_session=True)
    if p.stdout.readline() != b'ready\n':
        raise LabError('delayline: ' + open(log).read().strip())
    p.stdout.close()


# --- netem -------------------------------------------------------------------------------------
def netem_args(ms, mbit, queue, loss=0, reorder=0):
    limit = max(100, int((ms + queue) * mbit * 1000 / 8 / 600))
    out = f'netem limit {limit} delay {ms}ms rate {mbit}mbit'
    out += f' loss {loss / 1e4}%' if loss else ''
    return out + (f' reorder {reorder / 1e4}% 50%' if reorder else '')


def build_netem(pids):
    """Each wire is a pair of veths that meet in the hidden node "wire", so that the routers' own root
    qdiscs stay free for treatyd."""
    lines = []
    for name, spec in WIRES.items():
        i, a, b = ends_of(name)
        for e, end in enumerate((a, b)):
            mid = f'{name}.{"ab"[e]}'
            lines.append(f'ip link add {mid} type veth peer name {end[1]} address {mac(i, e)} '
                         f'netns {pids[end[0]]}; ip link set {mid} mtu 9000 up')
        for e in (0, 1):
            here, there = f'{name}.{"ab"[e]}', f'{name}.{"ba"[e]}'
            lines.append(f'tc qdisc add dev {here} root {netem_args(*spec)}; '
                         f'tc qdisc add dev {here} clsact; tc filter add dev {here} ingress matchall '
                         f'action mirred egress redirect dev {there}')
    run = subprocess.run(['nsenter', '-t', str(pids['wire']), '-n', 'sh', '-ec', '\n'.join(lines)],
                         capture_output=True, text=True, check=False)
    if run.returncode:
        raise LabError('netem wires: ' + run.stderr.strip())


def netem_set(state, name, way, pairs):
    """Frames of direction ab leave the wire's node by its b side."""
    keep = os.path.join(state['dir'], f'netem.{name}.{way}')
    ms, mbit, queue = WIRES[name]
    now = {'delay': ms, 'rate': mbit, 'queue': queue, 'loss': 0, 'reorder': 0}
    if os.path.exists(keep):
        now = json.load(open(keep))
    for p in pairs:
        key, _, v = p.partition('=')
        m = re.fullmatch(r'([\d.]+)(ns|us|ms|s|k|M|G|)', v)
        if key not in now or not m:
            raise LabError(f'{p}: unknown key or bad value')
        if key in ('delay', 'queue'):
            now[key] = float(m[1]) * {'ns': 1e-6, 'us': 1e-3, 'ms': 1, 's': 1e3}.get(m[2], 0)
        elif key == 'rate':
            now[key] = float(m[1]) * UNIT.get(m[2], 1) / 1e6
        else:
            now[key] = int(m[1])
    dev = f'{name}.{"b" if way == "ab" else "a"}'
    args = netem_args(now['delay'], now['rate'], now['queue'], now['loss'], now['reorder'])
    r = subprocess.run(['nsenter', '-t', str(state['pids']['wire']), '-n', 'tc', 'qdisc', 'change', 'dev',
                        dev, 'root', *args.split()], capture_output=True, text=True, check=False)
    if r.returncode:
        raise LabError('tc: ' + r.stderr.strip())
    json.dump(now, open(keep, 'w'))


def netem_stat(state):
    """The same shape as the delay line's own report, as far as netem counts."""
    r = subprocess.run(['nsenter', '-t', str(state['pids']['wire']), '-n', 'tc', '-s', '-j', 'qdisc'],
                       capture_output=True, text=True, check=True)
    out = {}
    for q in json.loads(r.stdout):
        if q['kind'] == 'netem':
            name, side = q['dev'].rsplit('.', 1)
            out[f'{name}.{"ab" if side == "b" else "ba"}'] = {
                'tx': q['packets'], 'tx_bytes': q['bytes'], 'queued': q.get('qlen', 0),
                'queue_drops': q['drops'], 'own_drops': 0}
    return {'links': out}
