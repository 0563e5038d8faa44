"""Runs commands and measures them; a program of its own, started by support.Measured.

Linux counts what the parent of a process had in memory before exec() towards the process's peak. A
test with NumPy and h5py loaded would hide whatever a command takes; this program is small (about 10 MiB).

One JSON object a line on stdin ({"command": [...], "folder": "..."}), one on stdout (code, stdout,
stderr, seconds, peak_mib)."""

import json
import os
import sys
import time


def measure(command, folder):
    files = [os.memfd_create(name) for name in ("out", "err")]
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        os.dup2(files[0], 1)
        os.dup2(files[1], 2)
        os.execv(command[0], command)
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - start
    texts = [os.pread(file, os.fstat(file).st_size, 0).decode(errors="surrogateescape") for file in files]
    for file in files:
        os.close(file)
    return {"code": os.waitstatus_to_exitcode(status), "stdout": texts[0], "stderr": texts[1],
            "seconds": seconds, "peak_mib": usage.ru_maxrss / 1024}


for line in sys.stdin:
    print(json.dumps(measure(**json.loads(line))), flush=True)
