# SPDX-License-Identifier: Apache-2.0
"""Treaty's daemons in the lab: what each needs (keys, certificates, DID documents, a wallet, treaty.conf),
and their starting and stopping. Everything lies below <lab>/treaty and goes with the lab."""
import json
import os
import signal
import subprocess
import sys
import time

import conf
import holder
from holder import LabError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
KINDS = ('agents', 'signer', 'enforcer', 'tree')
READY_S = 20


def home(lab, node):
    return os.path.join(lab, 'treaty', node)


def program(what):
    """Where treatyd or treatyctl was built."""
    p = os.path.join(ROOT, os.environ.get('TREATY_BUILD', 'build'), what)
    if not os.access(p, os.X_OK):
        raise LabError(f'{p}: not built (make all)')
    return p


def write(path, text, mode=0o644):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), 'w') as f:
        f.write(text)
    os.chmod(path, mode)


# --- what they need ----------------------------------------------------------------------------
def certificates(top):
    rows = []
    for node in conf.DAEMONS:
        ips = [f'fd10:ee:{conf.MGMT[node]}::2'] if node in conf.MGMT else \
            [f'fd10:ee:{n}::1' for n in conf.MGMT.values()]
        sans = ','.join([f'DNS:{node}.lab.example'] + [f'IP:{x}' for x in ips])
        rows.append(f'{node}={conf.did(node)}={sans}')
    rows.append(f'rival={conf.RIVAL}=DNS:rival.lab.example')
    ca = os.path.join(top, 'ca')
    r = subprocess.run([os.path.join(ROOT, 'tests/lab/ca.sh'), ca, *rows], capture_output=True, text=True,
                       check=False)
    if r.returncode:
        raise LabError(f'ca.sh: {r.stderr.strip()}')
    for node in conf.DAEMONS + ['rival']:
        to = os.path.join(top, node)
        os.makedirs(to, 0o755)
        os.chmod(to, 0o755)
        for src, dst in ((f'{node}.pem', 'tls.pem'), (f'{node}.key', 'tls.key'), ('ca.pem', 'ca.pem')):
            with open(os.path.join(ca, src)) as f:
                write(os.path.join(to, dst), f.read(), 0o400 if dst == 'tls.key' else 0o444)
        os.chown(os.path.join(to, 'tls.key'), conf.USER, conf.USER)


def tool(*argv):
    """treatyctl without a daemon."""
    r = subprocess.run([program('treatyctl'), *argv], capture_output=True, text=True, check=False)
    if r.returncode:
        raise LabError(f'treatyctl {" ".join(argv[:2])}: {(r.stderr or r.stdout).strip()}')
    return r.stdout


def identities(top):
    """Signing keys, and the pinned documents that name their public halves."""
    docs = os.path.join(top, 'documents')
    os.makedirs(docs)
    os.chmod(docs, 0o755)
    os.makedirs(os.path.join(top, 'treasury'), 0o700)
    for who, did, fragments in (('edge', conf.did('edge'), ('agent', 'agreement', 'checkpoint')),
                                ('op', conf.did('op'), ('agreement', 'checkpoint')),
                                ('rival', conf.RIVAL, ('agent', 'agreement')),
                                ('treasury', conf.ISSUER, ('wallet',))):
        keys = []
        for fragment in fragments:
            path = os.path.join(top, who, f'{fragment}.key')
            tool('key', 'new', path)
            keys += [f'--key-{fragment}', path]
        out = os.path.join(docs, f'{who}.json')
        tool('did', 'document', '--did', did, *keys, '--out', out)
        os.chmod(out, 0o644)


def wallet(top):
    """The enterprise's, signed by its treasury."""
    out = os.path.join(top, 'edge', 'wallet.json')
    terms = os.path.join(top, 'edge', 'wallet-terms.json')
    write(terms, json.dumps(conf.wallet_options(conf.did('edge'), 'edge'), indent=1) + '\n')
    tool('wallet', 'issue', terms, '--key', os.path.join(top, 'treasury', 'wallet.key'), '--out', out)
    os.chmod(out, 0o644)


def configure(lab, windows=None):
    top = os.path.join(lab, 'treaty')
    os.makedirs(top)
    for d in (lab, top):
        os.chmod(d, 0o755)
    certificates(top)
    identities(top)
    wallet(top)
    for node in conf.DAEMONS:
        text = conf.render(node, home(lab, node), os.path.join(top, 'documents'), windows or {})
        write(conf_file(lab, node), text)


def conf_file(lab, node):
    return os.path.join(home(lab, node), 'treaty.conf')


def log_file(lab, node):
    return os.path.join(home(lab, node), 'treatyd.log')


# --- processes ---------------------------------------------------------------------------------
def processes(s, node):
    """The daemon's processes: {kind: [pid]}. They are known by their configuration's path."""
    found, mine = {}, conf_file(s['dir'], node).encode()
    for p in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{p}/cmdline', 'rb') as f:
                argv = f.read().split(b'\0')
        except OSError:
            continue
        if mine not in argv or not argv[0].endswith(b'treatyd'):
            continue
        if b'--child' in argv:
            kind = argv[argv.index(b'--child') + 1].decode()
        else:
            kind = 'supervisor' if b'--supervise' in argv else 'enforcer'
        found.setdefault(kind, []).append(int(p))
    return found


def spawn(pid, argv, out):
    """Starts argv in a node for good: its parent becomes process 1 of the lab. Returns once it runs."""
    wait_r, wait_w = os.pipe()  # all descriptors here close on exec
    first = os.fork()
    if first == 0:
        try:
            os.close(wait_r)
            log = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            null = os.open('/dev/null', os.O_RDONLY | os.O_CLOEXEC)
            holder.enter(pid)
            os.chdir('/')
            if os.fork() == 0:
                if os.fork():
                    os._exit(0)
                os.setsid()
                for fd, to in ((null, 0), (log, 1), (log, 2)):
                    os.dup2(fd, to)
                os.execv(argv[0], argv)
            os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
        except BaseException as e:  # pylint: disable=broad-except
            print(f'lab: {argv[0]}: {e}', file=sys.stderr)
        os._exit(127)
    os.close(wait_w)
    os.read(wait_r, 1)
    os.close(wait_r)
    if os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]):
        raise LabError(f'{argv[0]}: cannot be started')


def socket_path(s, node):
    """The daemon's unix socket, seen from outside its node."""
    return f'{s["dir"]}/nodes/{node}/run/treaty/treaty.sock'


def start(s, node):
    if processes(s, node):
        raise LabError(f'{node}: its daemon runs already')
    try:
        os.unlink(socket_path(s, node))
    except FileNotFoundError:
        pass
    spawn(s['pids'][node], [program('treatyd'), '--supervise', '-c', conf_file(s['dir'], node)],
          log_file(s['dir'], node))


def tail(s, node, lines=15):
    try:
        with open(log_file(s['dir'], node)) as f:
            return ''.join(f.readlines()[-lines:])
    except OSError:
        return ''


def wait_ready(s, node, since=0):
    """Until the daemon answers on its socket, or says in its log why it cannot."""
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        kinds = processes(s, node)
        if not kinds:
            raise LabError(f'{node}: its daemon ended\n{tail(s, node)}')
        if {'agents', 'signer', 'enforcer'} <= set(kinds) and ready_line(s, node, since):
            return
        time.sleep(0.05)
    raise LabError(f'{node}: not ready after {READY_S} s\n{tail(s, node)}')


def log_size(s, node):
    try:
        return os.path.getsize(log_file(s['dir'], node))
    except OSError:
        return 0


def ready_line(s, node, since):
    try:
        with open(log_file(s['dir'], node)) as f:
            f.seek(since)
            return any(' agents: ' in x and x.rstrip().endswith('ready') for x in f)
    except OSError:
        return False


def gone(s, node, kinds, limit=10):
    end = time.monotonic() + limit
    while set(processes(s, node)) & set(kinds):
        if time.monotonic() > end:
            raise LabError(f'{node}: does not end')
        time.sleep(0.02)


def stop(s, node):
    """SIGTERM to the supervisor, which ends the tree in order."""
    for pid in processes(s, node).get('supervisor', []):
        os.kill(pid, signal.SIGTERM)
    gone(s, node, ('supervisor', 'enforcer', 'agents', 'signer'))


def kill(s, node, kind):
    """kill -9. `tree` takes the supervisor too, so that nothing starts it again."""
    kinds = ('enforcer', 'agents', 'signer', 'supervisor') if kind == 'tree' else (kind,)
    found = processes(s, node)
    if not set(found) & set(kinds):
        raise LabError(f'{node}: no {kind} runs')
    pids = [pid for k in kinds for pid in found.get(k, [])]
    fds = [os.pidfd_open(pid) for pid in pids]
    for fd in fds:  # nearly at once: the first death makes the others end by themselves
        try:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.close(fd)
    if kind == 'tree':
        gone(s, node, kinds)


def start_all(s, windows=None):
    configure(s['dir'], windows)
    for node in conf.DAEMONS:
        start(s, node)
    for node in conf.DAEMONS:
        wait_ready(s, node)


# --- lab treaty ... ----------------------------------------------------------------------------
def ctl(s, node, args):
    env = {'TREATY_SOCKET': '/run/treaty/treaty.sock', 'LAB_NODE': node}
    r = holder.run_in(s['pids'][node], [program('treatyctl'), *args], env)
    return r if r >= 0 else 128 - r


def show_log(s, node, args):
    argv = ['tail', '-n', '+1', *args, log_file(s['dir'], node)]
    return subprocess.run(argv, check=False).returncode


def restart(s, node):
    stop(s, node)
    since = log_size(s, node)
    start(s, node)
    wait_ready(s, node, since)


def begin(s, node):
    since = log_size(s, node)
    start(s, node)
    wait_ready(s, node, since)


def command(s, args):
    """lab treaty start|stop|restart|kill|log|ctl|ps NODE ..."""
    if len(args) < 2 or args[1] not in conf.DAEMONS:
        raise LabError('usage: lab treaty start|stop|restart|kill|log|ctl|ps NODE ...; NODE one of '
                       + ' '.join(conf.DAEMONS))
    verb, node, more = args[0], args[1], args[2:]
    if not os.path.exists(conf_file(s['dir'], node)):
        raise LabError('this lab was brought up without daemons (--bare)')
    if verb == 'ctl':
        return ctl(s, node, more)
    if verb == 'log':
        return show_log(s, node, more)
    if verb == 'ps':
        print(json.dumps(processes(s, node)))
    elif verb == 'kill':
        if (more or ['tree'])[0] not in KINDS:
            raise LabError(f'usage: lab treaty kill NODE {"|".join(KINDS)}')
        kill(s, node, (more or ['tree'])[0])
    elif verb in ('start', 'stop', 'restart'):
        {'start': begin, 'stop': stop, 'restart': restart}[verb](s, node)
    else:
        raise LabError(f'lab treaty {verb}: unknown')
    return 0
