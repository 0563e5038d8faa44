"""Past memory: calls that stream to files, and can be interrupted and continued."""
from __future__ import annotations

import os
import tempfile
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from . import _engine
from ._kernels import Kernels, checked_upstream, images_of
from ._options import num_bytes, num_threads
from ._progress import ProgressChoice, Reporting
from .files import KernelFile, PredictionFile, TrainingFile
from .network import Network

_PathLike = Union[str, "os.PathLike[str]"]
#: Images: a SOURCE of docs/data_sources.md, an array, or a tuple (images, labels).
Images = Union[_PathLike, npt.ArrayLike, Tuple[Any, npt.ArrayLike]]
Memory = Union[int, str, None]


def _is_path(thing: Any) -> bool:
    return isinstance(thing, (str, os.PathLike))


def _labels_of(labels: Any, count: int) -> List[int]:
    array = np.asarray(labels)
    if array.shape != (count,) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"labels have shape {list(array.shape)} of {array.dtype}; expected [{count}] of integers")
    return [int(label) for label in array]


def _set_of(name: str, images: Any, labels: Any = None) -> Dict[str, Any]:
    """A set of a request. `labels`: an array, or a SOURCE of labels for a SOURCE of images."""
    if isinstance(images, tuple) and len(images) == 2 and labels is None:
        images, labels = images
    result: Dict[str, Any] = {"name": name, "role": name}
    if _is_path(images):
        if labels is not None and not _is_path(labels):
            raise ValueError(f"labels of {name} are an array, but its images a file; give both as arrays, or both as "
                             "files")
        return {**result, "source": os.fspath(images), "label_source": None if labels is None else os.fspath(labels)}
    array = images_of(images)
    if labels is not None and _is_path(labels):
        raise ValueError(f"labels of {name} are a file, but its images an array; give both as arrays, or both as files")
    return {**result, "source": "an array of Python's", "images": array,
            "labels": None if labels is None else _labels_of(labels, len(array))}


def _sets(channels_last: bool, **given: Any) -> List[Dict[str, Any]]:
    return [_set_of(name, images) for name, images in given.items() if images is not None]


def _notice(text: str) -> None:
    warnings.warn(text, stacklevel=4)


def _network(net: Any) -> Network:
    return net._as_network if isinstance(net, Kernels) else Network(net)


def _output(out: _PathLike, dtype: Any, tile: Optional[int], memory: Memory, threads: Optional[int], resume: bool,
            overwrite: bool) -> Dict[str, Any]:
    if dtype is not None and np.dtype(dtype).name not in ("float32", "float64"):
        raise ValueError(f"dtype is {dtype}; expected float32 or float64")
    if resume and overwrite:
        raise ValueError("resume and overwrite exclude each other")
    return {
        "out": os.fspath(out), "dtype": None if dtype is None else np.dtype(dtype).name, "tile": tile,
        "memory": _engine.default_memory_bytes() if memory is None else num_bytes(memory),
        "threads": num_threads(threads), "resume": resume, "overwrite": overwrite
    }


_BUILT = [("Kxx", "symmetric", "train", ""), ("Kxvx", "cross", "validation", "train"),
          ("Kxtx", "cross", "test", "train"), ("Kv_diag", "diagonal", "validation", ""),
          ("Kt_diag", "diagonal", "test", "")]


def build(net: Any, *, train: Images, test: Optional[Images] = None, validation: Optional[Images] = None,
          out: _PathLike, only: Optional[str] = None, dtype: Any = "float32", tile: Optional[int] = None,
          memory: Memory = None, threads: Optional[int] = None, channels_last: bool = False, resume: bool = False,
          overwrite: bool = False, shard: Optional[Tuple[int, int]] = None, layout: str = "plain",
          progress: ProgressChoice = None) -> KernelFile:
    """Streams the kernel matrices of a network to an HDF5 file: ``kernel-build`` as a call.

    The file gets ``Kxx`` [N, N] of the training images; with test or validation images ``Kxtx`` [Nt, N], ``Kt_diag``
    [Nt], ``Kxvx``, ``Kv_diag`` (docs/file_format.md). Neither images nor K need fit in memory.

    ``train``, ``test`` and ``validation`` are sources as the commands take them ("mnist/", "data.h5:/X#0:1000"; with
    labels in another file a tuple of both), arrays of images (np.memmap is fine), or tuples (images, labels).
    ``dtype`` (default "float32"), ``memory`` (of the whole process, default 2 GiB), ``threads``, ``tile``, ``only``,
    ``layout``, ``shard`` (index, count) and ``channels_last`` are the command's options.

    Ctrl-C ends the call within 0.2 s and keeps every tile that is finished: the same call with ``resume=True``
    continues, whoever began the file. ``progress``: True, False, or a function(done, total); by default a line on
    stderr where that is a terminal or a notebook.

    Raises what the command ends with: CannotCreateError where ``out`` exists and neither ``resume`` nor ``overwrite``
    is set, UnfinishedRunError, ResumeRefusedError, LockedError, NoSpaceError, FileError, DataError, NetworkError,
    UsageError. Returns the file, open for reading.
    """
    sets = _sets(channels_last, train=train, validation=validation, test=test)
    if only is not None and only not in [s["name"] for s in sets]:
        raise ValueError(f"only is {only!r}; expected one of the sets that are given")
    request = {
        **_output(out, dtype, tile, memory, threads, resume, overwrite), "sets": sets,
        "matrices": [m for m in _BUILT if only in (None, m[2])], "channels_last": channels_last, "layout": layout,
        "shard": shard, "command": "gramtile.build"
    }
    if layout not in ("plain", "cnn-gp"):
        raise ValueError(f"layout is {layout!r}; expected 'plain' or 'cnn-gp'")
    _run_job(net, request, progress)
    return KernelFile(out)


def _run_job(net: Any, request: Dict[str, Any], progress: ProgressChoice) -> None:
    with Reporting(progress, Path(request["out"]).name, "pairs") as reporting:
        _engine.run_job(_network(net)._engine, request, reporting.tell, _notice)


def grad(net: Any, *, train: Images, test: Optional[Images] = None, upstream: Any = None, jacobian: bool = False,
         with_kernel: bool = False, out: _PathLike, dtype: Any = "float32", tile: Optional[int] = None,
         memory: Memory = None, threads: Optional[int] = None, channels_last: bool = False, resume: bool = False,
         overwrite: bool = False, shard: Optional[Tuple[int, int]] = None,
         progress: ProgressChoice = None) -> KernelFile:
    """Derivatives of Kxx, or with ``test`` of Kxtx, to a file: ``kernel-grad`` as a call; else as :func:`build`.

    Either ``jacobian=True``, or ``upstream``: ∂L/∂K as a source ("U.h5:/dLdK"), an array, a tuple of two such, U and V
    of U·Vᵀ, or (of arrays alone) a function of two slices. The file gets ``gradient`` [P] or ``dKxx`` [P, N, N].
    """
    if jacobian != (upstream is None):
        raise ValueError("exactly one of upstream and jacobian is needed")
    sets = _sets(channels_last, train=train, test=test)
    request = {
        **_output(out, dtype, tile, memory, threads, resume, overwrite), "sets": sets, "channels_last": channels_last,
        "matrices": [("Kxx", "symmetric", "train", "") if test is None else ("Kxtx", "cross", "test", "train")],
        "with_kernel": with_kernel, "derivative": "jacobian" if jacobian else "gradient", "shard": shard,
        "command": "gramtile.grad", **_upstream_of(upstream, sets)
    }
    _run_job(net, request, progress)
    return KernelFile(out)


def _upstream_of(upstream: Any, sets: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    if upstream is None:
        return {}
    if _is_path(upstream):
        return {"upstream_file": os.fspath(upstream)}
    if isinstance(upstream, tuple) and all(_is_path(factor) for factor in upstream):
        return {"upstream_factors_files": [os.fspath(factor) for factor in upstream]}
    if not all("images" in s for s in sets):
        raise ValueError("an upstream of Python's needs images of Python's: their number is not known from a source")
    num_columns, num_rows = len(sets[0]["images"]), len(sets[-1]["images"])
    return {"upstream": checked_upstream(upstream, num_rows, num_columns), "upstream_rows": num_rows,
            "upstream_columns": num_columns}


class _Scratch(ExitStack):
    """Arrays as files for as long as a call lasts, for what the engine reads from files alone."""

    def __enter__(self) -> _Scratch:
        super().__enter__()
        self._folder = Path(self.enter_context(tempfile.TemporaryDirectory(prefix="gramtile-")))
        return self

    def source(self, name: str, given: Any, integers: bool) -> Optional[str]:
        """The source itself, or a file of the array."""
        if given is None or _is_path(given):
            return None if given is None else os.fspath(given)
        array = np.asarray(given)
        if np.issubdtype(array.dtype, np.integer) != integers or array.ndim not in ((1,) if integers else (1, 2)):
            raise ValueError(f"{name} have shape {list(array.shape)} of {array.dtype}; expected " +
                             ("[N] of integers" if integers else "[N] or [N, C] of numbers"))
        path = self._folder / f"{name}.npy"
        np.save(path, array if integers else array.astype(np.float64))
        return str(path)


def predict(kernels: Union[_PathLike, KernelFile], *, out: _PathLike, labels: Any = None, targets: Any = None,
            validation_labels: Any = None, test_labels: Any = None, validation_targets: Any = None,
            test_targets: Any = None, jitter: Union[float, str, None] = None, jitter_relative: Optional[float] = None,
            solver: str = "auto", tolerance: Optional[float] = None, work: Optional[_PathLike] = None,
            memory: Memory = None, threads: Optional[int] = None, resume: bool = False, overwrite: bool = False,
            progress: ProgressChoice = None) -> PredictionFile:
    """Gaussian process regression and classification with a kernel file: ``kernel-predict`` as a call.

    ``labels`` of the training images are those of the kernel file, a source, or an array [N] of integers;
    ``targets`` in their place numbers, [N] or [N, C]. ``jitter`` is added to the diagonal: a number or "auto";
    ``jitter_relative`` counts in means of the diagonal. ``solver``: "auto", "cholesky" or "cg" with ``tolerance``.
    ``work`` is a folder for a factor that memory does not hold. Keywords else as of :func:`build`; options as of the
    command (docs/predict.md).

    Raises ComputationError for a kernel that is not positive definite, with a jitter that is enough; UsageError,
    DataError and the errors of files. Returns the predictions, open for reading.
    """
    if solver not in ("auto", "cholesky", "cg"):
        raise ValueError(f"solver is {solver!r}; expected 'auto', 'cholesky' or 'cg'")
    _check_solver(jitter, jitter_relative, solver, tolerance, work)
    path = kernels.path if isinstance(kernels, KernelFile) else os.fspath(kernels)
    with _Scratch() as scratch, Reporting(progress, Path(os.fspath(out)).name) as reporting:
        answers = {
            **{name: scratch.source(name, given, True) for name, given in [
                ("labels", labels), ("validation_labels", validation_labels), ("test_labels", test_labels)]},
            **{name: scratch.source(name, given, False) for name, given in [
                ("targets", targets), ("validation_targets", validation_targets), ("test_targets", test_targets)]}
        }
        request = {
            **_output(out, None, None, memory, threads, resume, overwrite), **answers, "kernels": str(path),
            "jitter": None if jitter is None else jitter if isinstance(jitter, str) else repr(float(jitter)),
            "jitter_relative": None if jitter_relative is None else float(jitter_relative), "solver": solver,
            "tolerance": tolerance, "work": None if work is None else os.fspath(work), "command": "gramtile.predict"
        }
        _engine.run_prediction(request, reporting.tell, _notice)
    return PredictionFile(out)


def _check_solver(jitter: Union[float, str, None], jitter_relative: Optional[float], solver: str,
                  tolerance: Optional[float], work: Optional[_PathLike]) -> None:
    if jitter is not None and jitter_relative is not None:
        raise ValueError("jitter and jitter_relative exclude each other")
    for name, value in (("jitter", jitter), ("jitter_relative", jitter_relative)):
        if isinstance(value, str):
            if name != "jitter" or value != "auto":
                raise ValueError(f"{name} is {value!r}; expected a number" + (" or 'auto'" if name == "jitter" else ""))
        elif value is not None and not (np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value}; expected a number of 0 or more")
    if tolerance is not None and (solver != "cg" or not 0 < tolerance < 1):
        raise ValueError("tolerance is a number between 0 and 1, for solver='cg'")
    if solver == "cg" and (jitter == "auto" or work is not None):
        raise ValueError("solver='cg' makes no factor: it takes neither jitter='auto' nor work")


def train(net: Any, *, train: Images, objective: str, out: _PathLike, targets: Any = None,
          validation: Optional[Images] = None, validation_targets: Any = None, optimizer: Optional[str] = None,
          steps: int = 50, batch: int = 0, sub_batch: int = 0, learning_rate: Optional[float] = None,
          max_step: Optional[float] = None, noise: float = 1e-3, fix_noise: bool = False, seed: int = 0,
          validate_every: int = 0, network_out: Optional[_PathLike] = None, work: Optional[_PathLike] = None,
          dtype: Any = "float32", memory: Memory = None, threads: Optional[int] = None, channels_last: bool = False,
          resume: bool = False, overwrite: bool = False, progress: ProgressChoice = None) -> TrainingFile:
    """Learns the variances of a network, past memory: ``kernel-train`` as a call (docs/training.md).

    ``train`` are images with labels, as of :func:`build`: a source, or a tuple (images, labels); with ``targets``,
    numbers [N] or [N, C], images alone. ``objective``: "nlml", "loo", "kernel-flow" or "alignment". ``optimizer``:
    "adam" or "lbfgs". Other keywords are the command's options. Ctrl-C gives up the step in hand; ``resume=True``
    goes on at the last one that was finished. ``progress`` as a function is told (steps, of so many, objective).

    Returns the training, open for reading: ``.network`` is the trained one.
    """
    if optimizer not in (None, "adam", "lbfgs"):
        raise ValueError(f"optimizer is {optimizer!r}; expected 'adam' or 'lbfgs'")
    with _Scratch() as scratch, Reporting(progress, Path(os.fspath(out)).name, "steps") as reporting:
        request = {
            **_output(out, dtype, None, memory, threads, resume, overwrite),
            "sets": _sets(channels_last, train=train, validation=validation), "channels_last": channels_last,
            "targets": scratch.source("targets", targets, False),
            "validation_targets": scratch.source("validation_targets", validation_targets, False),
            "objective": objective, "optimizer": optimizer, "steps": steps, "batch": batch, "sub_batch": sub_batch,
            "learning_rate": learning_rate, "max_step": max_step, "noise": noise, "fix_noise": fix_noise, "seed": seed,
            "validate_every": validate_every, "network_out": None if network_out is None else os.fspath(network_out),
            "work": None if work is None else os.fspath(work), "command": "gramtile.train"
        }
        _engine.run_training(_network(net)._engine, request, _with_note(reporting.tell, progress), _notice)
    return TrainingFile(out)


def _with_note(tell: Optional[Callable[..., Any]], choice: ProgressChoice) -> Optional[Callable[..., Any]]:
    """A line shows the objective as a note; a function of the caller gets the number."""
    if tell is None or callable(choice):
        return tell
    return lambda done, total, objective: tell(done, total, f"objective {objective:.6g}")
