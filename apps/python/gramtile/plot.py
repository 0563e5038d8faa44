"""Pictures of kernels, their spectra and trainings, by matplotlib.

Every function draws into ``ax`` (or a figure of its own) and returns it, for titles and saving: ``gt.plot.kernel(f,
sort_by="label").figure.savefig("K.png")``. A kernel is a file (:func:`gramtile.open`, or its path) or an array; files
are read tile by tile.
"""
from __future__ import annotations

import os
from typing import Any, Iterator, List, Optional, Tuple

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

__all__ = ["kernel", "spectrum", "training"]

_Floats = npt.NDArray[np.float64]
#: Columns of `seconds`, as the legend has them.
_PARTS = ("K", "objective, with its solves", "gradient", "whole step")
_MISSING = "0.85"  # grey of entries that are not computed yet


def kernel(f: Any, *, matrix: str = "Kxx", sort_by: Optional[str] = None, labels: Any = None, normalised: bool = False,
           size: int = 600, ax: Optional[Axes] = None, **keywords: Any) -> Axes:
    """A heat map of K with its colour bar.

    ``matrix`` of a file is "Kxx", "Kxtx" or "Kxvx". ``sort_by="label"`` puts images of one class side by side, with
    lines between the classes; the labels are the file's, or ``labels`` [N] (of an array's rows and columns).
    ``normalised`` shows correlations, K(x, z)/√(K(x, x)·K(z, z)). A matrix of more than ``size`` rows or columns is
    averaged over neighbours. What an unfinished file has not got yet is grey. Further keywords are those of ``imshow``.
    Raises ValueError for labels that are missing or do not fit.
    """
    if sort_by not in (None, "label"):
        raise ValueError(f"sort_by is {sort_by!r}; expected None or 'label'")
    source = _Matrix(f, matrix, normalised)
    axes_labels = source.labels(labels) if sort_by else (None, None)
    orders = [_Order(n, known, size) for n, known in zip(source.shape, axes_labels)]
    ax = plt.subplots(figsize=(6.4, 5.2), layout="constrained")[1] if ax is None else ax
    keywords = {"cmap": "viridis", "interpolation": "nearest", "aspect": "auto", **keywords}
    rows, columns = source.shape
    picture = ax.imshow(_averaged(source, orders), extent=(0, columns, rows, 0), **keywords)
    ax.set_facecolor(_MISSING)
    ax.figure.colorbar(picture, ax=ax, label="correlation of x and x′" if normalised else "K(x, x′)")
    for axis, order, name in ((ax.yaxis, orders[0], source.row_name), (ax.xaxis, orders[1], source.column_name)):
        order.mark(ax, axis, name)
    return ax


def spectrum(f: Any, *, matrix: str = "Kxx", most_images: int = 5000, ax: Optional[Axes] = None,
             **keywords: Any) -> Axes:
    """Eigenvalues of K in descending order, on logarithmic axes; those below 0, by their size, hollow.

    K is read as a whole and decomposed, in N² memory and N³ time: a kernel of more than ``most_images`` is refused with
    ValueError. Further keywords are those of ``plot``.
    """
    source = _Matrix(f, matrix, False)
    num_images = source.shape[0]
    if source.shape[0] != source.shape[1]:
        raise ValueError(f"a matrix of shape {list(source.shape)} has no eigenvalues")
    if num_images > most_images:
        raise ValueError(f"K of {num_images} images is more than most_images={most_images}; the time grows with N³")
    k = source.whole()
    if not np.isfinite(k).all():
        raise ValueError("K has entries that are not computed yet")
    values = np.linalg.eigvalsh(k)[::-1]
    ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")[1] if ax is None else ax
    index = np.arange(1, num_images + 1)
    keywords = {"marker": ".", "markersize": 4, "linewidth": 1, "color": "C0", **keywords}
    ax.loglog(index[values > 0], values[values > 0], **keywords)
    if (values < 0).any():
        ax.loglog(index[values < 0], -values[values < 0], linestyle="", marker="o", fillstyle="none", markersize=4,
                  color="C3", label="below 0, by size")
        ax.legend()
    ax.set(xlabel="number of the eigenvalue", ylabel="eigenvalue of K",
           title=f"{num_images:,} images, trace {values.sum():.4g}")
    ax.grid(True, which="major", alpha=0.3)
    return ax


def training(f: Any, *, most_lines: int = 12) -> Figure:
    """How a training went, step by step: the objective with the validation error, every variance beside that behind the
    first step, and the seconds of a step's parts. ``f`` is a file of ``gt.train``, finished or not, or its path.

    Of more than ``most_lines`` variances those that moved most are drawn in colour and named.
    """
    f = _opened(f)
    objective = np.asarray(f["objective"][...])
    steps = np.arange(1, len(objective) + 1)
    figure, (top, middle, bottom) = plt.subplots(3, 1, sharex=True, figsize=(7.2, 8.4), layout="constrained",
                                                 height_ratios=(3, 4, 2))
    _objective(top, steps, objective, np.asarray(f["validation_error"][...]), _text(f.attributes["objective"]))
    _values(middle, steps, np.asarray(f["point"][...]), list(f.coordinates), most_lines)
    seconds = np.asarray(f["seconds"][...])
    for part, name in enumerate(_PARTS[:seconds.shape[1]]):
        bottom.plot(steps, seconds[:, part], marker=".", label=name, color="0.3" if part == 3 else f"C{part}")
    bottom.set(xlabel="step", ylabel="seconds")
    bottom.set_ylim(bottom=0)
    bottom.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small", frameon=False)
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    for ax in (top, middle, bottom):
        ax.grid(True, alpha=0.3)
    return figure


def _objective(ax: Axes, steps: Any, objective: _Floats, validation: _Floats, name: str) -> None:
    ax.plot(steps, objective, marker=".", color="C0")
    ax.set_ylabel(f"{name}, before the step", color="C0")
    known = np.isfinite(validation)
    if known.any():
        other = ax.twinx()
        other.plot(steps[known], validation[known], marker=".", color="C1")
        other.set_ylabel("validation error, behind it", color="C1")


def _values(ax: Axes, steps: Any, point: _Floats, names: List[str], most_lines: int) -> None:
    """Points behind each step, beside the first; logarithms as factors."""
    moved = point - point[:1]
    is_log = np.array([name.startswith("log ") for name in names], bool)
    shown = np.where(is_log, np.exp(moved), moved)
    coloured = np.argsort(-np.abs(moved[-1]), kind="stable")[:most_lines]
    for i in range(len(names)):
        if i not in coloured:
            ax.plot(steps, shown[:, i], color="0.8", linewidth=1)
    colours = plt.get_cmap("tab20")
    for place, i in enumerate(sorted(coloured)):
        label = names[i][4:] if is_log[i] else f"{names[i]} (difference)"
        ax.plot(steps, shown[:, i], marker=".", label=label, color=colours(place % 20))
    if is_log.any():
        ax.set_yscale("log")
        _plain_ticks(ax)
    ax.set_ylabel("value, relative to that behind the first step")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small", frameon=False)


def _plain_ticks(ax: Axes) -> None:
    """Ticks of a logarithmic axis as plain numbers, enough of them where it is short."""
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low > 4 else tuple(np.arange(1, 10, 0.25))))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


class _Matrix:
    """A matrix of a file, or an array, in blocks: what the pictures read."""

    def __init__(self, f: Any, name: str, normalised: bool) -> None:
        self._array: Optional[_Floats] = None
        self.row_name = self.column_name = "image"
        if isinstance(f, np.ndarray) or not (hasattr(f, "blocks") or isinstance(f, (str, os.PathLike))):
            self._array = np.asarray(f, np.float64)
            if self._array.ndim != 2:
                raise ValueError(f"K has shape {list(self._array.shape)}; expected [N, M]")
            if normalised:
                self._array = _correlations(self._array)
            self.shape: Tuple[int, int] = self._array.shape
            return
        self._file, self._name = _opened(f), name
        dataset = self._file[name]
        self.shape = dataset.shape[-2], dataset.shape[-1]
        self._rows = {"Kxx": "train", "Kxtx": "test", "Kxvx": "validation"}.get(name)
        if self._rows is None:
            raise ValueError(f"matrix is {name!r}; expected Kxx, Kxtx or Kxvx")
        self.column_name = "training image"
        self.row_name = self.column_name if name == "Kxx" else f"{self._rows} image"
        self._normalised = self._file.normalised(name) if normalised else None

    def labels(self, given: Any) -> Tuple[Any, Any]:
        """Of rows and columns."""
        if self._array is not None or given is not None:
            found = [given, given]
        else:
            found = [self._file.labels(self._rows), self._file.labels("train")]
        for labels, size in zip(found, self.shape):
            if labels is None:
                raise ValueError("there are no labels to sort by; give labels=")
            if np.shape(labels) != (size,):
                raise ValueError(f"labels have shape {list(np.shape(labels))}; K has {list(self.shape)}")
        return np.asarray(found[0]), np.asarray(found[1])

    def blocks(self) -> Iterator[Tuple[slice, slice, _Floats]]:
        """(rows, columns, entries), which fill the matrix; NaN where nothing is yet."""
        if self._array is not None:
            yield slice(0, self.shape[0]), slice(0, self.shape[1]), self._array
            return
        for rows, columns, entries in self._file.blocks(self._name):
            part = entries if self._normalised is None else self._normalised[rows, columns]
            yield rows, columns, np.asarray(part, np.float64)
            if self._name == "Kxx" and rows != columns:
                yield columns, rows, np.asarray(part, np.float64).T

    def whole(self) -> _Floats:
        if self._array is not None:
            return self._array
        result = np.empty(self.shape)
        for rows, columns, entries in self.blocks():
            result[rows, columns] = entries
        return result


def _correlations(k: _Floats) -> _Floats:
    if k.shape[0] != k.shape[1]:
        raise ValueError("an array of K(X, Z) does not have the variances that normalised needs; give a file")
    deviation = np.sqrt(k.diagonal())
    scale = np.multiply.outer(deviation, deviation)
    return np.divide(k, scale, out=np.zeros_like(k), where=scale > 0)


class _Order:
    """Which of at most `size` pixels each image falls into, and where classes begin."""

    def __init__(self, num_images: int, labels: Any, size: int) -> None:
        place = np.empty(num_images, np.int64)
        order = np.arange(num_images) if labels is None else np.argsort(labels, kind="stable")
        place[order] = np.arange(num_images)
        self.num_pixels = min(num_images, size)
        self.pixel = place * self.num_pixels // num_images
        self._classes: Any = None
        self._ends: Any = None
        if labels is not None:
            self._classes, counts = np.unique(labels, return_counts=True)
            self._ends = np.cumsum(counts)

    def mark(self, ax: Axes, axis: Any, name: str) -> None:
        """Names the axis; of sorted images, by their classes."""
        axis.set_label_text(name if self._ends is None else f"{name}s, by label")
        if self._ends is None:
            return
        begins = np.concatenate([[0], self._ends[:-1]])
        line = ax.axhline if axis.axis_name == "y" else ax.axvline
        for end in self._ends[:-1]:
            line(end, color="white", linewidth=0.6)
        axis.set_ticks((begins + self._ends) / 2, [str(c) for c in self._classes])
        axis.set_tick_params(length=0)


def _averaged(source: _Matrix, orders: List[_Order]) -> _Floats:
    """Means of what falls into each pixel of the picture; NaN where nothing does."""
    sums = np.zeros((orders[0].num_pixels, orders[1].num_pixels))
    counts = np.zeros_like(sums)
    for rows, columns, entries in source.blocks():
        known = np.isfinite(entries)
        pixels = orders[0].pixel[rows], orders[1].pixel[columns]
        _add(sums, pixels, np.where(known, entries, 0))
        _add(counts, pixels, known.astype(np.float64))
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def _add(to: _Floats, pixels: Tuple[Any, Any], entries: _Floats) -> None:
    """to[pixels[0][i], pixels[1][j]] += entries[i, j], by runs of equal pixels."""
    found = []
    for axis, pixel in enumerate(pixels):
        order = np.argsort(pixel, kind="stable")
        unique, starts = np.unique(pixel[order], return_index=True)
        entries = np.add.reduceat(entries.take(order, axis), starts, axis)
        found.append(unique)
    to[np.ix_(*found)] += entries


def _opened(f: Any) -> Any:
    if isinstance(f, (str, os.PathLike)):
        import gramtile
        return gramtile.open(f)
    return f


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
