#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Negotiations under load: an enterprise's daemon and an operator's, mutual TLS over loopback, each with its durable log and
ledger, and one node that carries the agreements out. Intents are declared on the enterprise's socket so that a number of
negotiations is always open. JSON lines on standard output, of two loads: wires.negotiations_*, from the intent to the signed
agreement and on to the running service, while no agreement ends (as long as the table of deals lasts), and
wires.negotiations_ending_*, with terms of four seconds, so that as many agreements end as are made.

LOAD_TERM=SECONDS is one load with that term. LOAD_ROUNDS=N measures N windows one after the other, while the load goes on: with
a long term, what more and more live agreements cost.

bench_load.py BUILD [SECONDS] [OPEN]     exit 0, 1 what went wrong, 77 not root"""
import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
from disk import fdatasync_ms  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.dont_write_bytecode = True
USER, ISSUER, WARM_S, APPS = 64000, 'did:web:treasury.load.example', 3, 16
TERM_S = int(os.environ.get('LOAD_TERM', 4))
LASTING = TERM_S >= 60
ROUNDS = int(os.environ.get('LOAD_ROUNDS', 1))
DEALS, ROW = (24576, 'wires.negotiations') if LASTING else (4096, 'wires.negotiations_ending')
PORTS = {'ent': 8443, 'op': 8444, 'node': 8445}
ROLES = {'ent': 'enterprise', 'op': 'bss,oss', 'node': 'node'}
CLASS = 'load'


class Failed(Exception):
    """The bench cannot go on."""


def did(who):
    return f'did:web:{who}.load.example'


def say(name, value, unit, **more):
    print(json.dumps({'metric': name, 'value': value, 'unit': unit, **more}), flush=True)


def run(*argv):
    r = subprocess.run(argv, capture_output=True, text=True, check=False)
    if r.returncode:
        raise Failed(f'{" ".join(argv[:3])}: {(r.stderr or r.stdout).strip()}')
    return r.stdout


def write(path, text, mode=0o644):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), 'w', encoding='utf-8') as f:
        f.write(text)


# --- what the daemons need ----------------------------------------------------------------------
def sections(who, home, top):
    yield 'daemon', {'roles': ROLES[who], 'name': who, 'state-dir': f'{home}/state', 'run-dir': f'{home}/run',
                     'user': USER, 'listen': f'127.0.0.1:{PORTS[who]}', 'did': did(who), 'tls-cert': f'{home}/tls.pem',
                     'tls-key': f'{home}/tls.key', 'tls-ca': f'{home}/ca.pem', 'log-level': 'warn',
                     'sample-interval-ms': 1000, 'max-deals': DEALS}
    roles = {'ent': {'op': 'operator'}, 'op': {'ent': 'enterprise', 'node': 'node'}, 'node': {'op': 'oss'}}
    for peer, role in roles[who].items():
        yield f'peer {peer}', {'did': did(peer), 'role': role, 'url': f'https://127.0.0.1:{PORTS[peer]}'}
    if who == 'node':
        yield 'node', {'pin-dir': f'{home}/bpf', 'oss': 'op', 'reflector': '[::]:8620', 'probe-interval-ms': 100,
                       'max-labels': DEALS, 'label-range': f'1-{DEALS - 1}', 'max-rules': DEALS}
        yield 'path 1', {'name': 'way', 'kind': 'be', 'delay-us': 1000, 'capacity': '10G', 'device': 'down0',
                         'nexthop6': 'fd10::2', 'probe-src': 'fd10::a', 'probe-dst': 'fd10::b'}
        yield 'device up0', {'role': 'customer', 'dir': 'up', 'rate': '10G', 'shaper': 'policer'}
        yield 'device down0', {'role': 'network', 'dir': 'down', 'rate': '10G', 'shaper': 'policer'}
        return
    yield 'trust', {'issuers': ISSUER, 'documents': f'{top}/documents'}
    yield 'ledger', {'currency': 'EUR', 'ceiling': 10 ** 12}
    keys = {'agreement': f'{home}/agreement.key', 'checkpoint': f'{home}/checkpoint.key', 'rate': 100000, 'burst': 100000}
    if who == 'ent':
        keys['presentation'] = f'{home}/agent.key'
        yield 'enterprise', {'operator': 'op', 'bargain': 'off', 'lan': 'lo', 'access': 'lo'}
        yield 'wallet', {'credential': f'{top}/wallet.json'}
    else:
        yield 'operator', {'quote-ttl': 60, 'label-range': f'1-{DEALS - 296}', 'overlap-ms': 1}
        yield 'path 1', {'name': 'way', 'kind': 'be', 'delay-us': 1000, 'capacity': '10G'}
        yield 'hop 1 node', {'up-device': 'down0', 'down-device': 'up0', 'steers': 'on'}
    yield 'keys', keys
    yield f'class {CLASS}', {
        'id': 1, 'proto': 'udp', 'dport': 7001, 'bandwidth': '64k', 'latency-us': 200000, 'availability': '90',
        'price': 60, 'price-latency': 1500, 'price-availability': 300, 'margin': 400, 'margin-floor': 200,
        'value': 10 ** 6, 'term-seconds': TERM_S}


def certificates(top):
    rows = [f'{w}={did(w)}=IP:127.0.0.1' for w in PORTS]
    run(f'{ROOT}/tests/lab/ca.sh', f'{top}/ca', *rows)
    for w in PORTS:
        os.makedirs(f'{top}/{w}')
        os.chmod(f'{top}/{w}', 0o755)
        for src, dst, mode in ((f'{w}.pem', 'tls.pem', 0o444), (f'{w}.key', 'tls.key', 0o400), ('ca.pem', 'ca.pem', 0o444)):
            shutil.copy(f'{top}/ca/{src}', f'{top}/{w}/{dst}')
            os.chmod(f'{top}/{w}/{dst}', mode)
        os.chown(f'{top}/{w}/tls.key', USER, USER)


def identities(ctl, top):
    os.makedirs(f'{top}/documents')
    os.makedirs(f'{top}/treasury', 0o700)
    for who, kinds in (('ent', ('agent', 'agreement', 'checkpoint')), ('op', ('agreement', 'checkpoint')),
                       ('treasury', ('wallet',))):
        keys = []
        for kind in kinds:
            run(ctl, 'key', 'new', f'{top}/{who}/{kind}.key')
            keys += [f'--key-{kind}', f'{top}/{who}/{kind}.key']
        out = f'{top}/documents/{who}.json'
        run(ctl, 'did', 'document', '--did', did(who), *keys, '--out', out)
        os.chmod(out, 0o644)
    os.chmod(f'{top}/documents', 0o755)
    most = 10 ** 11
    write(f'{top}/terms.json', json.dumps({
        'issuer': ISSUER, 'holder': did('ent'), 'operator': [did('op')], 'currency': 'EUR', 'ceiling': most,
        'class': [f'{CLASS}:ceiling={most},latency=200000us,bandwidth=1k,availability=90,scarcity=step-up'],
        'agreement-max': most, 'human-above': most, 'term-max': '1h', 'valid-for': '48h',
        'wallet-id': 'urn:treaty:wallet:load'}))
    run(ctl, 'wallet', 'issue', f'{top}/terms.json', '--key', f'{top}/treasury/wallet.key', '--out', f'{top}/wallet.json')
    os.chmod(f'{top}/wallet.json', 0o644)


# --- a daemon -----------------------------------------------------------------------------------
class Daemon:
    """One process tree. tool() is one MCP call on a connection that stays open."""

    def __init__(self, build, who, top):
        self.who, self.home, self.sock = who, f'{top}/{who}', None
        text = ''.join(f'\n[{t}]\n' + ''.join(f'{k} = {v}\n' for k, v in keys.items()) for t, keys in
                       sections(who, self.home, top))
        write(f'{self.home}/treaty.conf', text)
        self.log = open(f'{self.home}/log', 'w', encoding='utf-8')
        self.proc = subprocess.Popen([f'{build}/treatyd', '-c', f'{self.home}/treaty.conf'], stdout=self.log,
                                     stderr=self.log, stdin=subprocess.DEVNULL)

    def tail(self):
        with open(f'{self.home}/log', encoding='utf-8') as f:
            return f'--- {self.who}\n' + ''.join(f.readlines()[-8:])

    def ready(self):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.proc.poll() is None:
            with contextlib.suppress(OSError):
                self.tool('status')
                return
            time.sleep(0.05)
        raise Failed(f'{self.who}: not ready\n{self.tail()}')

    def connect(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(20)
        s.connect(f'{self.home}/run/treaty.sock')
        return s

    def tool(self, name, **args):
        if not self.sock:
            self.sock = self.connect()
        return ask(self.sock, call(name, args))

    def processes(self):
        """{role: pid} of the tree."""
        found = {}
        for stat in glob.glob('/proc/[0-9]*/stat'):
            with contextlib.suppress(OSError), open(stat, encoding='utf-8') as f:
                pid = int(stat.split('/')[2])
                if int(f.read().rsplit(')', 1)[1].split()[1]) == self.proc.pid:
                    with open(f'/proc/{pid}/cmdline', encoding='utf-8') as c:
                        argv = c.read().split('\0')
                    found[argv[argv.index('--child') + 1]] = pid
        return {**found, 'enforcer': self.proc.pid}

    def stop(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(15)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        self.log.close()


def call(name, args):
    body = json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': 'tools/call', 'params': {
        'name': name, 'arguments': args, '_meta': {
            'io.modelcontextprotocol/protocolVersion': '2026-07-28',
            'io.modelcontextprotocol/clientInfo': {'name': 'load', 'version': '1'},
            'io.modelcontextprotocol/clientCapabilities': {}}}})
    return (f'POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
            f'Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n'
            f'Mcp-Method: tools/call\r\nMcp-Name: {name}\r\nContent-Length: {len(body)}\r\n\r\n{body}').encode()


def ask(sock, request):
    """Sends it, reads the whole answer; the tool's structured content."""
    sock.sendall(request)
    return answer(sock)


def answer(sock):
    got, need = b'', None
    while need is None or len(got) < need:
        more = sock.recv(65536)
        if not more:
            raise OSError('closed')
        got += more
        head = got.find(b'\r\n\r\n')
        if need is None and head >= 0:
            low = got[:head].lower()
            at = low.index(b'content-length:') + 15
            need = head + 4 + int(low[at:].split(b'\r\n', 1)[0])
    said = json.loads(got[got.index(b'\r\n\r\n') + 4:need])
    result = said.get('result', {})
    if 'error' in said or result.get('isError'):
        raise Failed(str(said.get('error') or result.get('content')))
    return result['structuredContent']


# --- the load -----------------------------------------------------------------------------------
class Load:
    """Keeps `want` negotiations open until told to end: one is over when the operator has recorded the
    countersignature, or a rule refused it. Applications declare beside each other: one that waits for the
    answer to each declaration would set the pace by itself, a turn of the enterprise for each."""

    def __init__(self, ent, op, want):
        self.want, self.sent, self.refused = want, 0, 0
        self.ending, self.error = False, None
        self.sock, self.other, self.status = ent.connect(), op.connect(), call('status', {})
        self.apps = [ent.connect() for _ in range(APPS)]
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def open(self):
        """Neither agreed nor refused by a rule (no capacity while a starved node's path looks dead)."""
        ent, op = (ask(s, self.status)['counts'] for s in (self.sock, self.other))
        return self.sent - self.refused - op['agreements'] - ent['refusals']

    def run(self):
        try:
            request = call('intent_declare', {'class': CLASS})
            while not self.ending:
                room = self.want - self.open()
                for n in range(0, room, APPS):
                    self.declare(self.apps[:room - n], request)
                if room < self.want // 4:
                    time.sleep(0.005)
        except (Failed, OSError) as e:
            self.error = e

    def declare(self, apps, request):
        for a in apps:
            a.sendall(request)
        for a in apps:
            try:
                answer(a)
            except Failed as e:
                self.refused += 1
                self.error = self.error or e
            self.sent += 1

    def stop(self):
        self.ending = True
        self.thread.join()


def cpu_ms(pid):
    total = 0
    for t in glob.glob(f'/proc/{pid}/task/*/schedstat'):
        with contextlib.suppress(OSError), open(t, encoding='utf-8') as f:
            total += int(f.read().split()[0])
    return total / 1e6


def connections():
    """TCP connections opened so far in this namespace, by all daemons."""
    with open('/proc/self/net/snmp', encoding='utf-8') as f:
        names, values = (line.split() for line in f if line.startswith('Tcp:'))
    return int(values[names.index('ActiveOpens')])


def machine():
    """Seconds of all processors so far: what each kind of time took, by /proc/stat."""
    with open('/proc/stat', encoding='utf-8') as f:
        user, nice, system, idle, wait, irq, soft, steal = (int(v) for v in f.readline().split()[1:9])
    return {'used': user + nice + system, 'interrupts': irq + soft, 'idle': idle + wait, 'stolen': steal}


class Sample:
    """What has happened until now."""

    def __init__(self, daemons):
        self.at, self.opened, self.machine = time.monotonic(), connections(), machine()
        self.cpu = {f'{d.who}.{k}': cpu_ms(p) for d in daemons for k, p in d.processes().items()}
        self.cpu['driver'] = time.process_time() * 1000
        self.counts = {d.who: d.tool('status') for d in daemons}
        self.signed = {d.who: os.path.getsize(f'{d.home}/state/signer.state') for d in daemons
                       if os.path.exists(f'{d.home}/state/signer.state')}


def shares(a, b):
    """Of all processors' time between two samples, in percent: whether the rate is capped by them or by waits."""
    took = {k: b.machine[k] - v for k, v in a.machine.items()}
    return {k: round(100 * v / max(sum(took.values()), 1), 1) for k, v in took.items()}


def events(d):
    """How many of each kind the log of a daemon that has ended holds."""
    path = glob.glob(f'{d.home}/state/**/treaty.db', recursive=True)[0]
    with contextlib.closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True)) as c:
        return dict(c.execute("SELECT json_extract(body,'$.event'), count(*) FROM event GROUP BY 1"))


def refusals(d):
    path = glob.glob(f'{d.home}/state/**/treaty.db', recursive=True)[0]
    with contextlib.closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True)) as c:
        return dict(c.execute("SELECT json_extract(body,'$.output.why'), count(*) FROM event WHERE "
                              "json_extract(body,'$.event')='REFUSED' GROUP BY 1"))


def measure(daemons, seconds, want):
    load = Load(daemons[0], daemons[1], want)
    at = []
    try:
        time.sleep(WARM_S)
        for _ in range(ROUNDS + 1):
            if at:
                time.sleep(seconds)
            at.append(Sample(daemons))
    finally:
        load.stop()
    end = time.monotonic() + 30
    while load.open() > 0 and time.monotonic() < end:
        time.sleep(0.05)
    for a, b in zip(at, at[1:]):
        tell(daemons, load, a, b)
    return load


def tell(daemons, load, a, b):
    """What happened between two samples."""
    n = b.counts['op']['counts']['agreements'] - a.counts['op']['counts']['agreements']
    if not n:
        raise Failed(f'no agreement in {b.at - a.at:.1f} s: {load.error}\n' + '\n'.join(d.tail() for d in daemons))
    each = {k: round((b.cpu[k] - a.cpu[k]) / n, 3) for k in sorted(b.cpu)}
    say(f'{ROW}_per_s', round(n / (b.at - a.at), 1), '1/s', target=500, seconds=round(b.at - a.at, 1), open=load.want,
        live=b.counts['op']['counts']['live'], agreed=n, declared=load.sent, refused=load.refused, processors=shares(a, b),
        connections=round((b.opened - a.opened) / n, 3),
        commits={w: round((b.counts[w]['log']['commits'] - a.counts[w]['log']['commits']) / n, 2) for w in ('ent', 'op')},
        fdatasyncMs=round(fdatasync_ms(f'{daemons[1].home}/bench'), 3))
    parties = {k: v for k, v in each.items() if k.split('.')[0] in ('ent', 'op')}
    say(f'{ROW}_cpu_ms', round(sum(parties.values()), 3), 'ms', target=4, each=each)


def counted(daemons, load):
    """After the end, from the logs: nothing that was declared is missing, nothing was signed by one side alone; and what was
    refused, by whom and why (a term of four seconds can be over before a busy machine has delivered the service)."""
    ent, op = events(daemons[0]), events(daemons[1])
    lost = {'declared': load.sent - load.refused - ent.get('INTENT_DECLARED', 0),
            'agreed': ent.get('INTENT_DECLARED', 0) - ent.get('AGREEMENT_ACCEPTED', 0) - ent.get('QUOTE_REJECTED', 0),
            'recorded': ent.get('AGREEMENT_ACCEPTED', 0) - op.get('ACCEPTANCE_RECORDED', 0)}
    say(f'{ROW}_lost', sum(abs(v) for v in lost.values()), 'negotiations', tried=load.sent, lost=lost,
        refused={d.who: n for d in daemons[:2] if (n := refusals(d))}, events={'ent': ent, 'op': op})
    return not any(lost.values())


def devices():
    run('ip', 'link', 'set', 'lo', 'up')
    for a in ('a', 'b'):
        run('ip', 'addr', 'add', f'fd10::{a}/128', 'dev', 'lo')
    for d in ('up0', 'down0'):
        run('ip', 'link', 'add', d, 'type', 'veth', 'peer', 'name', f'{d}p')
        run('ip', 'link', 'set', d, 'up')
        run('ip', 'link', 'set', f'{d}p', 'up')


def bench(build, seconds, want):
    top = tempfile.mkdtemp(prefix='treaty-load.')
    os.chmod(top, 0o755)
    daemons = []
    try:
        devices()
        run('mount', '-t', 'bpf', 'bpf', '/sys/fs/bpf')
        certificates(top)
        identities(f'{build}/treatyctl', top)
        for who in PORTS:
            daemons.append(Daemon(build, who, top))
        for d in daemons:
            d.ready()
        end = time.monotonic() + 20
        while not daemons[1].tool('path_list')['paths'][0]['alive']:
            if time.monotonic() > end:
                raise Failed('the path: not alive')
            time.sleep(0.1)
        load = measure(daemons, seconds, want)
        for d in daemons:
            d.stop()
        return counted(daemons, load)
    finally:
        for d in daemons:
            d.stop()
        if os.environ.get('LOAD_KEEP'):
            print(top, file=sys.stderr)
        else:  # the node mounted its bpffs there
            subprocess.run(['umount', f'{top}/node/bpf'], stderr=subprocess.DEVNULL, check=False)
            shutil.rmtree(top, ignore_errors=True)


def main():
    if os.geteuid():
        print('bench_load: needs root', file=sys.stderr)
        return 77
    if 'LOAD_TERM' not in os.environ:
        return max(subprocess.run([sys.executable, *sys.argv], env={**os.environ, 'LOAD_TERM': str(t)}, check=False).returncode
                   for t in (3600, 4))
    if os.environ.get('LOAD_INSIDE') != '1':  # namespaces of its own, which end with it
        os.environ['LOAD_INSIDE'] = '1'
        os.execvp('unshare', ['unshare', '-n', '-m', '--', sys.executable, *sys.argv])
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, lambda n, _: sys.exit(128 + n))
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else 'build')
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 30 if os.environ.get('FULL') else 10
    try:
        return 0 if bench(build, seconds, int(sys.argv[3]) if len(sys.argv) > 3 else 100) else 1
    except (Failed, OSError) as e:
        print(f'bench_load: {e}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
