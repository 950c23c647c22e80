# SPDX-License-Identifier: Apache-2.0
"""The demo's hands: the lab with its daemons, live traffic, the daemons' logs and tools."""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LAB = os.path.join(ROOT, 'vagrant/lab')
sys.path.insert(0, os.path.join(ROOT, 'vagrant', 'lib'))
import conf  # noqa: E402
import holder  # noqa: E402

SIDES = {'edge': 'enterprise', 'op': 'operator'}


class DemoError(Exception):
    """The story cannot go on: the lab or a daemon failed, or something expected did not come."""


def wait_for(what, probe, limit, every=0.05):
    """The probe's first true value; the demo's only way to wait."""
    end = time.monotonic() + limit
    while True:
        got = probe()
        if got:
            return got
        if time.monotonic() > end:
            raise DemoError(f'{what}: not within {limit:g} s')
        time.sleep(every)


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__('localhost', timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Lab:
    def __init__(self, build, name):
        self.build = os.path.abspath(build)
        self.dir = f'/run/treaty-lab-{name}'
        self.env = dict(os.environ, TREATY_LAB_ID=name, TREATY_BUILD=self.build)
        self.env.pop('TREATY_LAB_DIR', None)
        self.pids = {}

    def run(self, *argv, check=True, **kw):
        r = subprocess.run([LAB, *argv], env=self.env, capture_output=True, text=True, check=False, **kw)
        if check and r.returncode:
            raise DemoError(f'lab {" ".join(argv)}: {(r.stderr or r.stdout).strip()}')
        return r

    def up(self, settings):
        words = [x for k, v in settings.items() for x in ('--set', f'{k}={v}')]
        self.run('up', '--owner', str(os.getpid()), *words)
        self.pids = json.loads(self.run('status', '--json').stdout)['pids']

    def down(self):
        self.run('down', check=False)

    def treaty(self, *argv, check=True):
        return self.run('treaty', *argv, check=check)

    def wire(self, *argv):
        r = self.run('wire', *argv)
        return json.loads(r.stdout) if argv == ('stat',) else None

    def tails(self, lines=6):
        """The last words of each daemon, for a story that ended early."""
        for node in conf.DAEMONS:
            try:
                with open(f'{self.home(node)}/treatyd.log', encoding='utf-8', errors='replace') as f:
                    yield f'\n--- {node}\n' + ''.join(f.readlines()[-lines:])
            except OSError:
                pass

    def wire_soon(self, *argv):
        """The same within a few milliseconds, where the wires are our own."""
        sock = f'{self.dir}/delayline'
        if not os.path.exists(sock):
            self.wire(*argv)
            return
        subprocess.run([os.path.join(self.build, 'tests/lab/delayline'), 'ctl', sock, 'set', *argv],
                       stdout=subprocess.DEVNULL, check=True)

    def home(self, node):
        return f'{self.dir}/treaty/{node}'

    def socket(self, node):
        return f'{self.dir}/nodes/{node}/run/treaty/treaty.sock'

    def inside(self, node, *argv, check=True):
        """A command in a node's network namespace, e.g. tc."""
        r = subprocess.run(['nsenter', '-t', str(self.pids[node]), '-n', *argv], capture_output=True,
                           text=True, check=False)
        if check and r.returncode:
            raise DemoError(f'{node}: {" ".join(argv)}: {r.stderr.strip()}')
        return r.stdout

    def ctl(self, node, *argv, check=True):
        """treatyctl as a person would use it, against one daemon; with --json, its answer."""
        cmd = [os.path.join(self.build, 'treatyctl'), '--socket', self.socket(node), *argv]
        r = subprocess.run(cmd, capture_output=True, text=True, check=False, timeout=60)
        if check and r.returncode:
            raise DemoError(f'treatyctl {" ".join(argv)} ({node}): {(r.stderr or r.stdout).strip()}')
        return r

    def ctl_json(self, node, *argv):
        return json.loads(self.ctl(node, '--json', *argv).stdout)

    def tool(self, node, tool, **args):
        """One MCP tools/call over the daemon's socket; its structured answer."""
        body = {'jsonrpc': '2.0', 'id': 1, 'method': 'tools/call', 'params': {
            'name': tool, 'arguments': args, '_meta': {
                'io.modelcontextprotocol/protocolVersion': '2026-07-28',
                'io.modelcontextprotocol/clientInfo': {'name': 'demo', 'version': '1'},
                'io.modelcontextprotocol/clientCapabilities': {}}}}
        headers = {'Content-Type': 'application/json', 'Accept': 'application/json, text/event-stream',
                   'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': 'tools/call', 'Mcp-Name': tool}
        c = UnixHTTP(self.socket(node), 60)
        try:
            c.request('POST', '/mcp', json.dumps(body), headers)
            answer = json.loads(c.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as e:
            raise DemoError(f'{node}: {tool}: {e}') from e
        finally:
            c.close()
        result = answer.get('result', {})
        if 'error' in answer or result.get('isError'):
            raise DemoError(f'{node}: {tool}: {answer.get("error") or result.get("content")}')
        return result['structuredContent']


class Logs:
    """Follows both sides' event logs; hands new rows to `tell` in the order of their times."""

    def __init__(self, lab, tell):
        self.lab, self.tell = lab, tell
        self.rows = {n: [] for n in SIDES}
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.paused = set()
        self.thread = threading.Thread(target=self.follow, daemon=True)

    def start(self):
        self.thread.start()

    def stop(self):
        self.ending.set()
        self.thread.join(15)
        self.poll()

    def follow(self):
        while not self.ending.wait(0.15):
            self.poll()

    def poll(self):
        """A daemon that is down at the moment is asked again next time."""
        with self.lock:
            fresh = []
            for node, rows in self.rows.items():
                try:
                    got = self.lab.tool(node, 'log_read', after=rows[-1]['seq'] if rows else 0, limit=1000)
                except DemoError:
                    continue
                rows += got['rows']
                fresh += [(r['time'], node, r) for r in got['rows']]
            for _, node, r in sorted(fresh, key=lambda x: (x[0], x[1], x[2]['seq'])):
                self.tell(node, r)

    def size(self, node):
        self.poll()
        return len(self.rows[node])

    def find(self, node, event, since=0, **want):
        """Rows of a kind whose output has these members."""
        return [r for r in self.rows[node][since:] if r['event'] == event
                and all(r['output'].get(k) == v for k, v in want.items())]

    def wait(self, node, event, limit, since=0, count=1, **want):
        what = f'{SIDES[node]}: {event} {want or ""}'
        return wait_for(what, lambda: len(self.find(node, event, since, **want)) >= count
                        and self.find(node, event, since, **want), limit)


class Traffic:
    """flowgen in two nodes: a sender and a receiver that run until stopped, rates changed on the way."""

    def __init__(self, lab, name, src, dst, ports, flows):
        self.lab, self.program = lab, os.path.join(lab.build, 'tests/lab/flowgen')
        self.ctl = {k: f'{lab.dir}/{name}-{k}' for k in ('send', 'recv')}
        self.n = 0
        self.procs = []
        self.begin(dst, 'recv', ['--port', ports, '--duration', '900s'])
        self.begin(src, 'send', ['--duration', '900s', *flows])

    def begin(self, node, what, argv):
        cmd = [LAB, 'exec', node, self.program, what, '--ctl', self.ctl[what], *argv]
        log = open(f'{self.ctl[what]}.log', 'w', encoding='utf-8')
        self.procs.append(subprocess.Popen(cmd, env=self.lab.env, stdout=log, stderr=log))
        p = self.procs[-1]
        wait_for(f'flowgen {what} in {node}', lambda: os.path.exists(self.ctl[what]) or p.poll() is not None, 10)
        if p.poll() is not None:
            with open(log.name, encoding='utf-8') as f:
                raise DemoError(f'flowgen {what} in {node}: {f.read().strip()}')

    def ask(self, *argv):
        r = subprocess.run([self.program, *argv], capture_output=True, text=True, check=False)
        if r.returncode:
            raise DemoError(f'flowgen {" ".join(argv)}: {r.stderr.strip()}')
        return r.stdout

    def rate(self, flow_class, bps):
        self.ask('ctl', self.ctl['send'], 'rate', flow_class, str(int(bps)))

    def mark(self):
        self.n += 1
        name = f'w{self.n}'
        self.ask('window', 'mark', name, self.ctl['send'], self.ctl['recv'])
        return name

    def report(self, name, grace='1s'):
        """{class: counts} of exactly the packets that left since the mark."""
        got = json.loads(self.ask('window', 'report', name, self.ctl['send'], self.ctl['recv'], grace))
        return {c['class']: c for c in got['classes']}

    def stop(self):
        for p in reversed(self.procs):
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in self.procs:
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.procs = []


class Machine:
    """Tells how much of a time the machine itself stood still: its processors taken away by a hypervisor, say.
    Where that cannot be watched, it never did."""
    CALM = 0.01  # of the time
    EXCUSED = 0.03  # of a window: a shaper that cannot run loses as much of its rate

    def __init__(self, lab, patience):
        """patience: how many seconds of the whole story may be waited for a calm machine."""
        self.program, self.ctl = os.path.join(lab.build, 'tests/lab/standstill'), f'{lab.dir}/standstill'
        self.proc = subprocess.Popen([self.program, 'run', self.ctl], stderr=subprocess.DEVNULL)
        self.patience = patience
        wait_for('standstill', lambda: os.path.exists(self.ctl) or self.proc.poll() is not None, 10)
        self.began = time.monotonic_ns()

    def stood(self, since):
        """The share of the time since then (CLOCK_MONOTONIC, ns)."""
        r = subprocess.run([self.program, 'ctl', self.ctl, 'since', str(since)], capture_output=True, text=True,
                           check=False)
        if r.returncode:
            return 0.0
        got = json.loads(r.stdout)
        return min(1.0, got['stood_ns'] / max(1, got['now_ns'] - since))

    def excuse(self, since):
        """Why nothing can be said of promises about that time; '' where they can be judged."""
        share = self.stood(since)
        return f'the machine stood still {share:.0%}' if share > self.EXCUSED else ''

    def calm(self):
        """Waits for half a second without it, as long as there is patience left."""
        while True:
            start = time.monotonic_ns()
            time.sleep(0.5)
            self.patience -= 0.5
            if self.stood(start) <= self.CALM or self.patience <= 0:
                return

    def stop(self):
        self.proc.terminate()
        self.proc.wait()


def in_namespace(pid, work):
    """Runs work() in a thread that stands in a node's network namespace; its result, or its error."""
    box = {}

    def body():
        try:
            holder.enter(pid, ('net',))
            box['value'] = work()
        except Exception as e:  # pylint: disable=broad-except
            box['error'] = e
    t = threading.Thread(target=body)
    t.start()
    t.join()
    if 'error' in box:
        raise box['error']
    return box['value']
