#!/usr/bin/env python3
"""python3 -I -S peak_memory.py COMMAND ARGUMENT...: runs a command and prints how many seconds it took and its
peak resident memory in bytes, as the kernel accounts it; ends with the command's exit code.

A process of its own, and one that imports little: a child's peak starts at what its parent holds.
"""

import os
import sys
import time

started = time.monotonic()
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
print(time.monotonic() - started, usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status) % 256)
