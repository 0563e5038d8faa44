"""Files of runs, predictions and trainings, open for reading."""
from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

import h5py
import h5py._objects
import numpy as np
import numpy.typing as npt

from . import _engine
from ._progress import ProgressChoice, Reporting
from .errors import ComputationError, DataError, PartMissingError
from .network import Network

_PathLike = Union[str, "os.PathLike[str]"]


_engine.share_hdf5(h5py._objects.phil)


class _File:
    """An HDF5 file, open for reading until ``close()`` or the end of a ``with`` block.

    Datasets are attributes: ``f.Kxx[0:10]`` reads ten rows. They are h5py's.
    """

    _formats: Tuple[str, ...] = ()

    def __init__(self, path: _PathLike) -> None:
        self.path = os.fspath(path)
        self._file = h5py.File(self.path, "r")
        kind = self.attributes.get("format")
        if kind not in self._formats:
            self._file.close()
            raise DataError(f"{self.path}: is a {kind}, not a {' or '.join(self._formats)}")

    @property
    def attributes(self) -> Dict[str, Any]:
        """The file's attributes (docs/file_format.md)."""
        return dict(self._file.attrs)

    def keys(self) -> List[str]:
        """Names of the datasets."""
        return list(self._file.keys())

    def __getitem__(self, name: str) -> h5py.Dataset:
        return self._file[name]

    def __contains__(self, name: object) -> bool:
        return name in self._file

    def __getattr__(self, name: str) -> h5py.Dataset:
        file = self.__dict__.get("_file")
        if file is None or name.startswith("_") or name not in file:
            raise AttributeError(f"{self.__dict__.get('path')} has no dataset {name!r}")
        return file[name]

    def __dir__(self) -> List[str]:
        return [*super().__dir__(), *self.keys()]

    def close(self) -> None:
        """Closes the file; reading afterwards raises ValueError."""
        self._file.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"


@dataclass(frozen=True)
class Tile:
    """One tile of a matrix; of a symmetric one it stands for its mirror image, too."""

    matrix: str
    rows: slice
    columns: slice


@dataclass(frozen=True)
class Finding:
    """What one check of ``verify()`` found."""

    check: str
    passed: bool
    detail: str


class KernelFile(_File):
    """A file of :func:`build`, ``kernel-build``, ``kernel-grad`` or ``kernel-merge``; a share; or an unfinished run.

    ``f.Kxx``, ``f.Kxtx``, ``f.Kt_diag``, ``f.dKxx``, ``f.gradient`` … are the datasets that it has: ``f.Kxx[...]`` is
    the whole matrix, ``f.Kxx[3, :100]`` a part. What is not computed yet is NaN.
    """

    _formats = ("gramtile run", "gramtile share")

    @property
    def complete(self) -> bool:
        """Whether every tile is there."""
        return bool(self._file["complete"][()])

    @property
    def network(self) -> Network:
        """The network that the file was made with."""
        return Network(self.attributes["network"])

    @property
    def matrices(self) -> List[str]:
        """Names of the matrices."""
        return [str(name) for name in self.attributes["matrices"]]

    @property
    def tiles(self) -> List[Tile]:
        """The tiles, in the order of the run."""
        if "tiles" not in self._file:
            return []
        bounds, matrix, names = self._file["tiles"][...], self._file["tile_matrix"][...], self.matrices
        return [Tile(names[m], slice(int(b[0]), int(b[1])), slice(int(b[2]), int(b[3])))
                for b, m in zip(bounds, matrix)]

    def blocks(self, name: str = "Kxx") -> Iterator[Tuple[slice, slice, npt.NDArray[Any]]]:
        """Tile after tile of a matrix: (rows, columns, entries). Of a whole file, not of a share."""
        self._refuse_share()
        for tile in self.tiles:
            if tile.matrix == name:
                yield tile.rows, tile.columns, self._part(name, tile.rows, tile.columns)

    @property
    def completeness(self) -> float:
        """Part of the tiles that are there, from 0 to 1."""
        if self.complete:
            return 1.0
        self._refuse_share()
        finished = [self._is_finished(number, tile) for number, tile in enumerate(self.tiles)]
        return float(np.mean(finished)) if finished else 0.0

    def _is_finished(self, number: int, tile: Tile) -> bool:
        """A tile is written as a whole, and none of its numbers is NaN."""
        rows, columns = slice(tile.rows.start, tile.rows.start + 1), slice(tile.columns.start, tile.columns.start + 1)
        for name in (tile.matrix, "d" + tile.matrix):
            if name in self._file:
                return bool(np.isfinite(self._part(name, rows, columns)).all())
        return bool(np.isfinite(self._file["tile_gradient"][number]).all())

    def _refuse_share(self) -> None:
        if self.attributes["format"] == "gramtile share":
            raise DataError(f"{self.path}: is a share; merge it with the others (kernel-merge)")

    def _part(self, name: str, rows: slice, columns: slice) -> npt.NDArray[Any]:
        dataset = self._file[name]
        index: Tuple[Any, ...] = (rows,) if name.endswith("_diag") else (rows, columns)
        part: npt.NDArray[Any] = dataset[(slice(None),) * (dataset.ndim - len(index)) + index]
        return part if name.startswith("d") else part.reshape(part.shape[-len(index):])

    def labels(self, name: str = "train") -> Optional[npt.NDArray[np.int64]]:
        """Labels of a set ("train", "validation", "test"), [N]; None where the file has none."""
        dataset = self._file.get(f"{name}_labels")
        return None if dataset is None else dataset[...]

    def normalised(self, name: str = "Kxx") -> Correlations:
        """The matrix divided by √(K(x, x)·K(z, z)): correlations, read part by part as they are asked for.

        ``f.normalised()[:10]`` are ten rows, ``[...]`` the whole. Needs Kxx, and for Kxtx Kt_diag. Raises KeyError
        where the file lacks them.
        """
        self._refuse_share()
        diagonal_of = {"Kxx": "Kxx", "Kxtx": "Kt_diag", "Kxvx": "Kv_diag"}
        if name not in diagonal_of:
            raise KeyError(f"{name} has no correlations; Kxx, Kxtx and Kxvx have")
        columns = self._diagonal("Kxx")
        rows = columns if name == "Kxx" else self._diagonal(diagonal_of[name])
        return Correlations(self._file[name], rows, columns)

    def _diagonal(self, name: str) -> npt.NDArray[np.float64]:
        if name not in self._file:
            raise KeyError(f"{self.path} has no {name}")
        dataset = self._file[name]
        if name.endswith("_diag"):
            whole: npt.NDArray[np.float64] = np.asarray(dataset[...], np.float64).reshape(-1)
            return whole
        diagonal = np.empty(dataset.shape[-1])
        for tile in self.tiles:
            if tile.matrix == name and tile.rows == tile.columns:
                diagonal[tile.rows] = np.diagonal(self._part(name, tile.rows, tile.columns))
        return diagonal

    def verify(self, *, progress: ProgressChoice = None) -> List[Finding]:
        """Checks that the file is whole, unchanged and a kernel matrix, as ``kernel-verify`` does.

        Returns what each check found. Raises PartMissingError for a damaged or unfinished file and ComputationError
        for wrong numbers, with the command's sentence.
        """
        with Reporting(progress, os.path.basename(self.path), "pairs") as reporting:
            found = _engine.verify(self.path, reporting.tell)
        failed = sorted(((not damaged, check, detail) for check, passed, damaged, detail in found if not passed))
        if failed:
            is_wrong, check, detail = failed[0]
            raise (ComputationError if is_wrong else PartMissingError)(f"{self.path}: {check}: {detail}")
        return [Finding(check, passed, detail) for check, passed, _, detail in found]


class Correlations:
    """A matrix divided by the roots of its diagonals, read part by part; indexed as an array is."""

    def __init__(self, dataset: h5py.Dataset, rows: npt.NDArray[np.float64],
                 columns: npt.NDArray[np.float64]) -> None:
        self._dataset, self._rows, self._columns = dataset, np.sqrt(rows), np.sqrt(columns)

    @property
    def shape(self) -> Tuple[int, int]:
        return len(self._rows), len(self._columns)

    def __getitem__(self, index: Any) -> npt.NDArray[np.float64]:
        """[rows], [rows, columns] or [...]; entries where a variance is 0 are 0."""
        index = index if isinstance(index, tuple) else (index,)
        rows, columns = (*[slice(None) if i is Ellipsis else i for i in index], slice(None), slice(None))[:2]
        lead = (0,) * (self._dataset.ndim - 2)
        part = np.asarray(self._dataset[lead + (rows, columns)], np.float64)
        r, c = self._rows[rows], self._columns[columns]
        scale = np.multiply.outer(r, c)
        return np.divide(part, scale, out=np.zeros_like(part), where=scale > 0) if np.ndim(part) else (
            part / scale if scale > 0 else part * 0)

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> npt.NDArray[Any]:
        whole = self[...]
        return whole if dtype is None else whole.astype(dtype)


class PredictionFile(_File):
    """A file of :func:`predict` or ``kernel-predict``: coefficients, means, variances, scores (docs/file_format.md §9).

    ``p.test_mean`` [n, C], ``p.test_variance`` [n], ``p.test_class`` [n], ``p.coefficients`` [N, C],
    ``p.loo_mean`` … are datasets; what has one number is in ``p.attributes`` and the properties below.
    """

    _formats = ("gramtile prediction",)

    @property
    def jitter(self) -> float:
        """What was added to the diagonal."""
        return float(self.attributes["jitter"])

    @property
    def log_marginal_likelihood(self) -> float:
        """log p(y | X), all outputs together. Raises KeyError where conjugate gradients solved."""
        return float(self.attributes["log_marginal_likelihood"])

    def score(self, name: str = "test") -> float:
        """Accuracy of a set ("test", "validation"; "loo": leave-one-out), or its mean squared error with targets.

        Raises KeyError where it is not known.
        """
        attributes = self.attributes
        for kind in ("accuracy", "mean_squared_error"):
            if f"{name}_{kind}" in attributes:
                return float(attributes[f"{name}_{kind}"])
        raise KeyError(f"{self.path} has no score of {name}")


class TrainingFile(_File):
    """A file of :func:`train` or ``kernel-train`` (docs/file_format.md §10), finished or not.

    ``t.objective`` [S], ``t.gradient`` [S, D], ``t.point`` [S, D], ``t.noise`` [S], ``t.validation_error`` [S],
    ``t.seconds`` [S, 4] are datasets by step; D coordinates, named by ``t.coordinates``.
    """

    _formats = ("gramtile training",)

    @property
    def complete(self) -> bool:
        """Whether training has ended."""
        return bool(self.attributes["complete"])

    @property
    def network(self) -> Network:
        """The network with the trained values."""
        return Network(self.attributes["trained_network"])

    @property
    def start_network(self) -> Network:
        """The network as it began."""
        return Network(self.attributes["network"])

    @property
    def coordinates(self) -> List[str]:
        """What is trained: "log conv0.var_weight", "mixture0.logit0", "log noise"."""
        return [name.decode() if isinstance(name, bytes) else str(name) for name in self._file["coordinate"][...]]


def open(path: _PathLike) -> Union[KernelFile, PredictionFile, TrainingFile]:
    """Opens a file of the commands or of this package, by what it is; an unfinished one where there is no other.

    Raises FileNotFoundError, and DataError for other files.
    """
    name = os.fspath(path)
    if not os.path.exists(name) and os.path.exists(name + ".partial"):
        name += ".partial"
    if not os.path.exists(name):
        raise FileNotFoundError(f"{name}: no such file")
    try:
        with h5py.File(name, "r") as file:
            kind = file.attrs.get("format")
    except OSError as error:
        raise DataError(f"{name}: {error}") from error
    for known in (KernelFile, PredictionFile, TrainingFile):
        if kind in known._formats:
            return known(name)
    raise DataError(f"{name}: is no file of gramtile")
