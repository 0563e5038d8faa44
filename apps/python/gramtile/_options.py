"""Keywords that every call takes: dtype, threads, memory."""
from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Optional, Tuple, Union

import numpy as np

from . import _engine

#: Bound of memory of a call that names none [bytes].
_DEFAULT_MEMORY = 2 << 30


def result_type(dtype: Any, *images: Any) -> str:
    """"float32" or "float64": what is asked for, or float64 where any images are."""
    if dtype is None:
        return "float64" if any(x is not None and x.dtype == np.float64 for x in images) else "float32"
    name = str(dtype).rpartition(".")[2] if not isinstance(dtype, (str, type, np.dtype)) else np.dtype(dtype).name
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype is {dtype}; expected float32 or float64")
    return name


@lru_cache(maxsize=None)
def _quota() -> int:
    """Threads that the process may use, as its control group has it; looked up once."""
    return _engine.usable_threads()


def num_threads(threads: Optional[int]) -> int:
    """Threads of a call. None: what the process may use, but no more than OMP_NUM_THREADS, which is what
    joblib, Slurm and torch set for processes that share a machine; joblib's −1 is all."""
    if threads is not None and threads != -1:
        if threads < 1:
            raise ValueError(f"threads is {threads}; expected at least 1")
        return int(threads)
    usable = min(len(os.sched_getaffinity(0)), _quota())
    bound = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(usable, int(bound)) if threads is None and bound.isdigit() and int(bound) > 0 else usable


def num_bytes(memory: Union[int, str, None]) -> int:
    """Bytes of a number or of text such as "2GiB"."""
    if memory is None:
        return _DEFAULT_MEMORY
    return _engine.parse_bytes(memory) if isinstance(memory, str) else int(memory)


def options_of(dtype: str, threads: Optional[int], memory: Union[int, str, None]) -> Tuple[str, int, int]:
    return dtype, num_threads(threads), num_bytes(memory)
