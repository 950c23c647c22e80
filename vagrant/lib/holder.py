# SPDX-License-Identifier: Apache-2.0
"""The processes that hold the lab's namespaces. Nothing has a name that could be left behind:

  keeper (outside; removes the state directory at the end)
    init (process 1 of the lab's own PID namespace; ends when the keeper's pipe closes)
      one `sleep infinity` per node, each in its own network, mount and UTS namespace

When the keeper dies, by whatever cause, init ends, and the kernel kills whatever runs in the lab: node
holders, delay line, daemons, shells. The network namespaces die with their last process."""
import ctypes
import os
import shutil
import signal
import sys
import time

NEWNS, NEWUTS, NEWPID, NEWNET = 0x20000, 0x4000000, 0x20000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    pass


def check(what, r):
    if r < 0:
        raise LabError(f'{what}: {os.strerror(ctypes.get_errno())}')


def unshare(flags):
    check('unshare', libc.unshare(flags))


def enter(pid, kinds=('net', 'mnt', 'uts', 'pid')):
    """Enters the namespaces of a process; a new PID namespace holds for the children made after."""
    fds = [os.open(f'/proc/{pid}/ns/{k}', os.O_RDONLY) for k in kinds]
    for k, fd in zip(kinds, fds):
        check(f'setns {k}', libc.setns(fd, 0))
        os.close(fd)


def mount(src, target, kind, flags=0):
    r = libc.mount(src.encode(), target.encode(), kind.encode() if kind else None, flags, None)
    check(f'mount {target}', r)


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def node_main(node, state, hosts, sysctls):
    """Makes this process the holder of a node. The state directory keeps its path inside."""
    unshare(NEWNET | NEWNS | NEWUTS)
    libc.sethostname(node.encode(), len(node))
    mount('none', '/', None, MS_REC | MS_PRIVATE)
    mount('sysfs', '/sys', 'sysfs')  # the one of this network namespace; it hides bpffs: mount one again
    mount('bpf', '/sys/fs/bpf', 'bpf')
    home = os.path.join(state, 'nodes', node)
    os.makedirs(os.path.join(home, 'run'), exist_ok=True)
    with open(os.path.join(home, 'hosts'), 'w') as f:
        f.write(hosts)
    mount(os.path.join(home, 'hosts'), '/etc/hosts', None, MS_BIND)
    inner = os.path.join(home, 'run') + state[len('/run'):] if state.startswith('/run/') else None
    if inner:
        os.makedirs(inner, exist_ok=True)
        mount(state, inner, None, MS_BIND)
    mount(os.path.join(home, 'run'), '/run', None, MS_BIND | MS_REC)
    for name, value in sysctls:
        with open('/proc/sys/net/' + name, 'w') as f:
            f.write(str(value))
    for cc in ('cubic', 'reno'):  # a namespace may only choose what the machine allows
        try:
            with open('/proc/sys/net/ipv4/tcp_congestion_control', 'w') as f:
                f.write(cc)
            break
        except OSError:
            continue


def init_main(state, nodes, lifeline, ready):
    """Process 1: starts the node holders, says so, then reaps until the lifeline closes."""
    unshare(NEWNS)
    mount('none', '/', None, MS_REC | MS_PRIVATE)
    mount('proc', '/proc', 'proc')
    for node, hosts, sysctls in nodes:
        up_r, up_w = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                node_main(node, state, hosts, sysctls)
                libc.prctl(PR_SET_NAME, f'lab-{node}'.encode(), 0, 0, 0)
                os.write(up_w, b'+')
                os.execvp('sleep', ['sleep', 'infinity'])
            except BaseException as e:
                os.write(up_w, f'node {node}: {e}'.encode())
                os._exit(1)
        os.close(up_w)
        said = os.read(up_r, 400)
        os.close(up_r)
        if said != b'+':
            os.write(ready, b'error ' + said + b'\n')
            os._exit(1)
        os.write(ready, f'{node} {pid}\n'.encode())
    os.write(ready, b'ready\n')
    os.close(ready)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans of the lab are reaped by the kernel
    while os.read(lifeline, 1):
        pass
    os._exit(0)


def keeper_main(state, nodes, ready, builder, owner):
    """Outside. `builder` is the pipe from `lab up`: it says "built", or closes when `up` was stopped."""
    life_r, life_w = os.pipe()
    unshare(NEWPID)
    init = os.fork()
    if init == 0:
        os.close(life_w)
        os.close(builder)
        try:
            init_main(state, nodes, life_r, ready)
        except BaseException as e:
            os.write(ready, f'error init: {e}\n'.encode())
        os._exit(1)
    os.close(life_r)
    # An interrupted `up` takes the state directory away: whatever fails from here on, init must not outlive us and
    # make it anew.
    try:
        for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(s, lambda *_: sys.exit(0))
        with open(os.path.join(state, 'init'), 'w') as f:
            f.write(f'{init}\n')
        os.write(ready, f'keeper {os.getpid()} {init}\n'.encode())
        os.close(ready)
        libc.prctl(PR_SET_NAME, b'lab-keeper', 0, 0, 0)
        if os.read(builder, 16) == b'built':
            wait_for_end(init, owner)
    finally:
        try:
            os.kill(init, signal.SIGKILL)
            os.waitpid(init, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        remove_state(state)
        os._exit(0)


def wait_for_end(init, owner):
    import select
    fds = [os.pidfd_open(p) for p in (init, owner) if p]
    select.select(fds, [], [])


def remove_state(state):
    """In this process: a keeper whose init is dead can make no child any more."""
    shutil.rmtree(state, ignore_errors=True)


def start_keeper(state, nodes, owner, lock):
    """Returns ({node: pid outside}, pid of the keeper, pid of init, pipe to say "built" on)."""
    ready_r, ready_w = os.pipe()
    build_r, build_w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.close(build_w)
        os.close(ready_r)
        os.close(lock)
        null = os.open('/dev/null', os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        if os.fork() == 0:
            try:
                keeper_main(state, nodes, ready_w, build_r, owner)
            except BaseException as e:
                os.write(ready_w, f'error keeper: {e}\n'.encode())
        os._exit(0)
    os.wait()
    os.close(ready_w)
    os.close(build_r)
    text = b''
    while chunk := os.read(ready_r, 4096):
        text += chunk
    os.close(ready_r)
    lines = [x.split(maxsplit=1) for x in text.decode().splitlines()]
    bad = [x[1] for x in lines if x[0] == 'error']
    facts = {x[0]: x[-1] for x in lines}
    if bad or 'ready' not in facts:
        os.close(build_w)
        raise LabError(bad[0] if bad else 'the keeper ended early')
    keeper, init = map(int, facts['keeper'].split())
    inner = {int(facts[n[0]]): n[0] for n in nodes}
    return outer_pids(init, inner), keeper, init, build_w


def outer_pids(init, inner):
    """Translates the node holders' pids of the lab's PID namespace to ours."""
    found = {}
    for p in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{p}/status') as f:
                st = dict(x.split(':', 1) for x in f.read().splitlines() if ':' in x)
        except OSError:
            continue
        ns = st.get('NSpid', '').split()
        if st.get('PPid', '').strip() == str(init) and int(ns[-1]) in inner:
            found[inner[int(ns[-1])]] = int(p)
    if len(found) != len(inner):
        raise LabError('not all node holders are alive')
    return found


def stop(keeper, limit=10):
    """Ends a keeper and waits until it is gone."""
    try:
        fd = os.pidfd_open(keeper)
    except ProcessLookupError:
        return
    import select
    os.kill(keeper, signal.SIGTERM)
    if not select.select([fd], [], [], limit)[0]:
        os.kill(keeper, signal.SIGKILL)
        select.select([fd], [], [], limit)


def run_in(pid, argv, env=None):
    """Runs argv in a node; gives its exit status. It dies with us; INT and TERM are passed on."""
    here = os.getcwd()
    enter(pid)
    os.chdir(here if os.path.isdir(here) else '/')  # a new mount namespace starts at its root
    child = os.fork()
    if child == 0:
        die_with_parent()
        os.environ.update(env or {})
        try:
            os.execvp(argv[0], argv)
        except OSError as e:
            print(f'lab: {argv[0]}: {e.strerror}', file=sys.stderr)
            os._exit(127)
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(s, lambda n, _: os.kill(child, n))
    while True:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        except InterruptedError:
            time.sleep(0)
