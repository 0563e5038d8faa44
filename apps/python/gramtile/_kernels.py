"""What can be asked of a network: its kernel, the kernel's diagonal, gradient and jacobian, over arrays."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple, Union, overload

import numpy as np
import numpy.typing as npt

from ._options import options_of, result_type
from .gradient import Gradient

if TYPE_CHECKING:
    from .network import Network, NetworkParameter

FloatArray = npt.NDArray[np.floating[Any]]
#: ∂L/∂K: a matrix [N, M]; factors (U [N, r], V [M, r]) of U·Vᵀ; or a function of two slices that gives that part.
Upstream = Union[npt.ArrayLike, Tuple[npt.ArrayLike, npt.ArrayLike], Callable[[slice, slice], npt.ArrayLike]]


def images_of(given: Any) -> npt.NDArray[Any]:
    """The array of images as NumPy's, where it is. Anything that NumPy or DLPack knows will do."""
    images = _array_of(given)
    if images.dtype not in (np.uint8, np.float32, np.float64) or not images.dtype.isnative:
        raise TypeError(f"images hold {images.dtype}; expected uint8 (divided by 255), float32 or float64")
    if images.ndim not in (3, 4):
        raise ValueError(f"images have shape {list(images.shape)}; expected [N, C, H, W] or [N, H, W]")
    return images


def _array_of(given: Any) -> npt.NDArray[Any]:
    if isinstance(given, np.ndarray):
        return given
    array: npt.NDArray[Any] = np.from_dlpack(given) if hasattr(given, "__dlpack__") else np.asarray(given)
    return array


def _number_matrix(values: Any) -> npt.NDArray[Any]:
    array = _array_of(values)
    return array if array.dtype in (np.float32, np.float64) and array.dtype.isnative else array.astype(np.float64)


def checked_upstream(upstream: Any, num_rows: int, num_columns: int) -> Any:
    if callable(upstream) and not isinstance(upstream, np.ndarray):
        return upstream
    if isinstance(upstream, tuple):
        if len(upstream) != 2:
            raise ValueError(f"the upstream has {len(upstream)} factors; expected U and V")
        u, v = (_number_matrix(factor) for factor in upstream)
        if u.ndim != 2 or v.ndim != 2 or len(u) != num_rows or len(v) != num_columns or u.shape[1] != v.shape[1]:
            raise ValueError(f"the factors have shapes {list(u.shape)} and {list(v.shape)}; expected [{num_rows}, r] "
                             f"and [{num_columns}, r]")
        return u, v
    matrix = _number_matrix(upstream)
    if matrix.shape != (num_rows, num_columns):
        raise ValueError(f"the upstream has shape {list(matrix.shape)}; K has [{num_rows}, {num_columns}]")
    return matrix


def _place(out: Optional[FloatArray], shape: Tuple[int, ...], dtype: str) -> FloatArray:
    """Where a result goes: `out`, if it is given and fits."""
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != np.dtype(dtype):
        raise ValueError(f"out has shape {list(out.shape)} of {out.dtype}; the result has {list(shape)} of {dtype}")
    return out


class Kernels:
    """A network's kernel and its derivatives, over arrays in memory.

    Images are [N, C, H, W] or [N, H, W], with ``channels_last=True`` [N, H, W, C], of uint8 (divided by 255),
    float32 or float64, with any strides; they are read where they are. NumPy arrays, and whatever else offers DLPack
    from the processor's memory.

    Keywords of every call:

    * ``dtype``: "float32" or "float64", what results are and are computed in; by default float64 for images of
      float64 and float32 for others;
    * ``threads``: how many; by default, all that the process may use (``OMP_NUM_THREADS`` bounds them);
    * ``memory``: most that the engine may hold besides arguments and result, in bytes or as "2GiB"; between calls it
      keeps up to 32 MiB;
    * ``channels_last``: the order of the images' axes.

    The bits are those of ``kernel-build`` and ``kernel-grad`` for the same images, dtype and instruction set, for any
    number of threads. The interpreter's lock is released; Ctrl-C ends a call within 0.2 s. Raised are NetworkError for
    images that the network does not fit, DataError for pixels that are not finite, ComputationError for a result that
    is not, UsageError for a bound of memory too small, and ValueError and TypeError for arrays of other shapes and
    types.
    """

    @property
    def _as_network(self) -> Network:
        raise NotImplementedError

    @property
    def parameters(self) -> List[NetworkParameter]:
        """The network's parameters: the trainable ones in the order of every gradient, then the others."""
        return self._as_network.parameters

    @property
    def trainable_parameters(self) -> List[NetworkParameter]:
        """The parameters that are differentiated, in the order of gradients and jacobians."""
        return [p for p in self.parameters if p.trainable]

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Values of the trainable parameters, [P]."""
        return np.array([p.value for p in self.trainable_parameters], np.float64)

    def with_values(self, values: npt.ArrayLike) -> Network:
        """The same network, its trainable parameters having these values, [P].

        Variances are ≥ 0. A bias that is a number and becomes 0 is no parameter any more. Raises ValueError.
        """
        return self._as_network.with_values(values)

    def to_json(self) -> str:
        """One line of JSON (docs/networks.md) that reads back as the same network to the last bit."""
        return self._as_network.to_json()

    def to_dict(self) -> Dict[str, Any]:
        """The JSON document as a dict."""
        return self._as_network.to_dict()

    def __call__(self, X: Any, Z: Any = None, *, dtype: Any = None, threads: Optional[int] = None,
                 memory: Union[int, str, None] = None, channels_last: bool = False,
                 out: Optional[FloatArray] = None) -> FloatArray:
        """K(X, X), [N, N], exactly symmetric; or K(X, Z), [N, M], in which no image is another's equal.

        >>> import numpy as np, gramtile as gt
        >>> net = gt.Sequential(gt.Conv2d(3), gt.ReLU(), gt.Dense())
        >>> X = np.arange(32).reshape(2, 1, 4, 4) / 32
        >>> net(X).round(4)
        array([[0.0251, 0.066 ],
               [0.066 , 0.1933]])
        >>> net(X, X[:1]).shape
        (2, 1)
        """
        x, z = images_of(X), None if Z is None else images_of(Z)
        kind = result_type(dtype, x, z)
        result = _place(out, (len(x), len(x if z is None else z)), kind)
        self._as_network._engine.kernel(x, z, result, channels_last, options_of(kind, threads, memory))
        return result

    def diag(self, X: Any, *, dtype: Any = None, threads: Optional[int] = None, memory: Union[int, str, None] = None,
             channels_last: bool = False, out: Optional[FloatArray] = None) -> FloatArray:
        """K(x, x) of every image, [N]: the diagonal of K(X, X) to the last bit."""
        x = images_of(X)
        kind = result_type(dtype, x)
        result = _place(out, (len(x),), kind)
        self._as_network._engine.diagonal(x, result, channels_last, options_of(kind, threads, memory))
        return result

    @overload
    def gradient(self, X: Any, upstream: Upstream, /, *, dtype: Any = ..., threads: Optional[int] = ...,
                 memory: Union[int, str, None] = ..., channels_last: bool = ...) -> Gradient: ...

    @overload
    def gradient(self, X: Any, Z: Any, upstream: Upstream, /, *, dtype: Any = ..., threads: Optional[int] = ...,
                 memory: Union[int, str, None] = ..., channels_last: bool = ...) -> Gradient: ...

    def gradient(self, X: Any, *given: Any, dtype: Any = None, threads: Optional[int] = None,
                 memory: Union[int, str, None] = None, channels_last: bool = False) -> Gradient:
        """∂L/∂θ of L(K(X, X)), or with ``gradient(X, Z, upstream)`` of L(K(X, Z)); see :class:`Gradient`.

        ``upstream`` is ∂L/∂K, every entry of K counted for itself: a matrix [N, M]; a tuple of factors U [N, r] and
        V [M, r] of ∂L/∂K = U·Vᵀ, which is never made as a whole; or a function of two slices that returns that part of
        it, called tile by tile. Sums are taken in float64 in a fixed order. Memory does not grow with the images.

        >>> import numpy as np, gramtile as gt
        >>> net = gt.Sequential(gt.Conv2d(3, var_weight=2), gt.ReLU(), gt.Dense())
        >>> X = np.arange(32).reshape(2, 1, 4, 4) / 32
        >>> g = net.gradient(X, np.ones((2, 2)))
        >>> round(g["dense0.var_weight"], 4), g.by_value.round(4)
        (0.7008, array([0.3504, 0.7008]))
        """
        if not 1 <= len(given) <= 2:
            raise TypeError("gradient() takes images, perhaps further images, and the upstream ∂L/∂K")
        x, z = images_of(X), images_of(given[0]) if len(given) == 2 else None
        upstream = checked_upstream(given[-1], len(x), len(x if z is None else z))
        kind = result_type(dtype, x, z)
        network = self._as_network
        values = network._engine.gradient(x, z, upstream, channels_last, options_of(kind, threads, memory))
        return Gradient(network.trainable_parameters, np.array(values, np.float64))

    def jacobian(self, X: Any, Z: Any = None, *, dtype: Any = None, threads: Optional[int] = None,
                 memory: Union[int, str, None] = None, channels_last: bool = False,
                 out: Optional[FloatArray] = None) -> FloatArray:
        """∂K/∂θ, [P, N, N], or of K(X, Z) [P, N, M], by the values of ``trainable_parameters``.

        Every plane of K(X, X)'s is exactly symmetric.
        """
        x, z = images_of(X), None if Z is None else images_of(Z)
        kind = result_type(dtype, x, z)
        result = _place(out, (len(self.trainable_parameters), len(x), len(x if z is None else z)), kind)
        self._as_network._engine.jacobian(x, z, result, None, channels_last, options_of(kind, threads, memory))
        return result

    def diag_jacobian(self, X: Any, *, dtype: Any = None, threads: Optional[int] = None,
                      memory: Union[int, str, None] = None, channels_last: bool = False,
                      out: Optional[FloatArray] = None) -> FloatArray:
        """∂K(x, x)/∂θ of every image, [P, N]: the diagonals of the planes of ``jacobian(X)``."""
        x = images_of(X)
        kind = result_type(dtype, x)
        result = _place(out, (len(self.trainable_parameters), len(x)), kind)
        self._as_network._engine.diagonal_jacobian(x, result, None, channels_last, options_of(kind, threads, memory))
        return result

    def check(self, image_shape: Sequence[int]) -> None:
        """Raises NetworkError unless the network takes images of this shape, [C, H, W]."""
        channels, height, width = image_shape
        self._as_network._engine.check(int(channels), int(height), int(width))
