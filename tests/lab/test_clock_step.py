#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The shipped daemon while its machine's clock is stepped. The clock of a machine is one for all, and no namespace
holds it (time namespaces shift the monotone clocks only), so the daemon is started with a small library in front of
clock_gettime(CLOCK_REALTIME) which adds what a shared file says.

test_clock_step.py BUILD"""
import json
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int (*real)(clockid_t, struct timespec *);
static const volatile long long *shift;

__attribute__((constructor)) static void start(void)
{
	const char *file = getenv("TEST_CLOCK");
	int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);

	real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	if (p != MAP_FAILED)
		shift = p;
	if (fd >= 0)
		close(fd);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int r = real(id, ts);

	if (!r && id == CLOCK_REALTIME && shift)
		ts->tv_sec += *shift;
	return r;
}
"""
CONF = """[daemon]
roles = node
name = t
user = 64000
state-dir = {0}/state
run-dir = {0}/run
log-level = warn

[node]
pin-dir = {0}/run/bpf
"""


class Daemon:
    def __init__(self, build, where):
        self.build, self.dir, self.proc = os.path.realpath(build), where, None
        with open(f'{where}/shim.c', 'w', encoding='ascii') as f:
            f.write(SHIM)
        subprocess.run(['gcc', '-shared', '-fPIC', '-O1', '-o', f'{where}/shim.so', f'{where}/shim.c', '-ldl'],
                       check=True)
        with open(f'{where}/t.conf', 'w', encoding='ascii') as f:
            f.write(CONF.format(where))
        with open(f'{where}/clock', 'wb') as f:
            f.write(bytes(8))
        os.chmod(where, 0o755)
        self.file = open(f'{where}/clock', 'r+b')  # noqa: SIM115
        self.map = mmap.mmap(self.file.fileno(), 8)

    def shift(self, seconds):
        self.map[0:8] = struct.pack('=q', seconds)

    def start(self):
        env = dict(os.environ, LD_PRELOAD=f'{self.dir}/shim.so', TEST_CLOCK=f'{self.dir}/clock')
        self.proc = subprocess.Popen([f'{self.build}/treatyd', '-c', f'{self.dir}/t.conf'], env=env)
        self.until('the socket is there', lambda: os.path.exists(f'{self.dir}/run/treaty.sock') and self.rows() is not None)

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.proc.terminate()
            self.proc.wait(20)

    def rows(self):
        r = subprocess.run([f'{self.build}/treatyctl', 'log', 'tail', '--lines', '50', '--json', '--socket',
                            f'{self.dir}/run/treaty.sock'], capture_output=True, text=True, check=False)
        return r.stdout if r.returncode == 0 else None

    def until(self, what, cond):
        end = time.monotonic() + 60
        while not cond():
            if time.monotonic() > end or self.proc.poll() is not None:
                raise SystemExit(f'FAILED: {what}; the log:\n{self.rows()}')
            time.sleep(0.1)
        print(f'[  OK  ] {what}', flush=True)

    def says(self, what, word, times=1):
        self.until(what, lambda: (self.rows() or '').count(f'{word}: the machine') >= times)


def times(text):
    """What time each event bears, in the log's order."""
    rows = sorted((json.loads(line) for line in text.splitlines()), key=lambda r: r['seq'])
    return [r['time'] for r in rows]


def main(build):
    where = tempfile.mkdtemp(prefix='treaty-clock-')
    d = Daemon(build, where)
    try:
        d.start()
        d.shift(365 * 86400)
        d.says('a step forward is said', 'ahead')
        d.shift(0)
        d.says('and taken back before it counted', 'agrees')
        d.shift(-3600)
        d.says('a step back is said', 'behind')
        d.stop()
        d.start()
        d.says('so is a restart behind the log: time begins where it ended', 'behind', 2)
        d.shift(7)
        d.says('a mended clock is ahead of the time that went at half pace', 'ahead', 2)
        seen = times(d.rows())
        if len(seen) < 5 or seen != sorted(seen):
            raise SystemExit(f'FAILED: the times of the log: {seen}')
        print(f'[  OK  ] {len(seen)} events, none before another', flush=True)
    finally:
        d.stop()
        subprocess.run(['umount', '-q', f'{where}/run/bpf'], check=False)
        shutil.rmtree(where, ignore_errors=True)


if __name__ == '__main__':
    if os.environ.get('TEST_CLOCK_NS') != '1':
        os.execvpe('unshare', ['unshare', '-m', sys.executable, *sys.argv], dict(os.environ, TEST_CLOCK_NS='1'))
    main(sys.argv[1] if len(sys.argv) > 1 else 'build')
