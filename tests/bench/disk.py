# SPDX-License-Identifier: Apache-2.0
"""What a commit costs on this disk."""
import os
import time


def fdatasync_ms(path, count=200):
    """Median of small writes, each made durable."""
    took = []
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(count):
            os.write(fd, bytes(512))
            start = time.monotonic()
            os.fdatasync(fd)
            took.append((time.monotonic() - start) * 1000)
    finally:
        os.close(fd)
        os.unlink(path)
    return sorted(took)[count // 2]
