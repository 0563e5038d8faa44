"""Layers, by the names of the field. Each is a plain value; a :class:`~gramtile.Network` is made of them.

>>> import gramtile as gt
>>> w = gt.Parameter("w", 2.79)
>>> net = gt.Sequential(
...     gt.Repeat(7, gt.Conv2d(7, var_weight=49 * w, var_bias=7.86), gt.ReLU()),
...     gt.Dense(var_weight=784 * w, var_bias=7.86))
>>> [p.name for p in net.parameters][-3:]
['conv6.var_bias', 'dense0.var_bias', 'w']
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Dict, Iterable, List, Sequence, Tuple, Union

from ._kernels import Kernels
from .network import Network

__all__ = [
    "Parameter", "ScaledParameter", "Layer", "Conv2d", "Dense", "ReLU", "LeakyReLU", "Erf", "Identity", "Sequential",
    "Repeat", "Sum", "Mixture",
]


@dataclass(frozen=True)
class Parameter:
    """A named variance: every layer that uses it shares it, and it has one gradient.

    ``49 * w`` is the variance 49·w of a layer. One that is not ``trainable`` has no gradient.

    >>> 49 * Parameter("w", 2.79)
    ScaledParameter(parameter=Parameter(name='w', value=2.79, trainable=True), scale=49.0)
    """

    name: str
    value: float = 1.0
    trainable: bool = True

    def __mul__(self, scale: float) -> ScaledParameter:
        return ScaledParameter(self, float(scale))

    __rmul__ = __mul__


@dataclass(frozen=True)
class ScaledParameter:
    """A named variance times a number."""

    parameter: Parameter
    scale: float

    def __mul__(self, scale: float) -> ScaledParameter:
        return ScaledParameter(self.parameter, self.scale * float(scale))

    __rmul__ = __mul__


Variance = Union[float, Parameter, ScaledParameter]
PerAxis = Union[int, Tuple[int, int]]


class _Parameters:
    """The named parameters of a network, gathered while its layers are written out."""

    def __init__(self) -> None:
        self.named: Dict[str, Parameter] = {}

    def use(self, variance: Variance) -> Any:
        """JSON of a variance (docs/networks.md)."""
        if isinstance(variance, ScaledParameter):
            return {"parameter": self.use(variance.parameter), "scale": variance.scale}
        if not isinstance(variance, Parameter):
            return float(variance)
        known = self.named.setdefault(variance.name, variance)
        if known != variance:
            raise ValueError(f"two different parameters are called {variance.name!r}: {known} and {variance}")
        return variance.name

    def document(self) -> Dict[str, Any]:
        return {
            p.name: p.value if p.trainable else {"value": float(p.value), "trainable": False}
            for p in self.named.values()
        }


def _per_axis(value: Any) -> Any:
    return value if isinstance(value, str) else [int(v) for v in value] if isinstance(value, Sequence) else int(value)


class Layer(Kernels):
    """A layer, or a composition of layers. As it stands, it is a network: ``layer(X)`` is its kernel."""

    def _document(self, parameters: _Parameters) -> Dict[str, Any]:
        raise NotImplementedError

    @cached_property
    def _as_network(self) -> Network:
        return Network(self)

    def network(self, name: str = "") -> Network:
        """The network of this layer alone."""
        return Network(self, name=name) if name else self._as_network


@dataclass(frozen=True)
class Conv2d(Layer):
    """A convolution: the mean of a window times ``var_weight``, plus ``var_bias``.

    ``var_weight`` is the variance of the whole window's weights: that of one tap times the number of taps, as in
    cnn-gp. ``kernel_size``, ``stride``, ``dilation`` and an integer ``padding`` are one number, or a pair [height,
    width]; ``padding`` may also be ``"same"``, ``"valid"`` or ``"circular"``. A ``var_bias`` of 0 is none.
    """

    kernel_size: PerAxis
    stride: PerAxis = 1
    padding: Union[str, PerAxis] = "same"
    dilation: PerAxis = 1
    var_weight: Variance = 1.0
    var_bias: Variance = 0.0

    def _document(self, parameters: _Parameters) -> Dict[str, Any]:
        return {
            "type": "conv2d",
            "kernel_size": _per_axis(self.kernel_size),
            "stride": _per_axis(self.stride),
            "padding": _per_axis(self.padding),
            "dilation": _per_axis(self.dilation),
            "var_weight": parameters.use(self.var_weight),
            "var_bias": parameters.use(self.var_bias),
        }


@dataclass(frozen=True)
class Dense(Layer):
    """The mean of the whole map times ``var_weight``, plus ``var_bias``; leaves a map of 1×1."""

    var_weight: Variance = 1.0
    var_bias: Variance = 0.0

    def _document(self, parameters: _Parameters) -> Dict[str, Any]:
        return {
            "type": "dense",
            "var_weight": parameters.use(self.var_weight),
            "var_bias": parameters.use(self.var_bias),
        }


@dataclass(frozen=True)
class ReLU(Layer):
    """max(u, 0): the arc-cosine kernel of degree 1, without the factor 2."""

    def _document(self, parameters: _Parameters) -> Dict[str, Any]:
        return {"type": "relu"}


@dataclass(frozen=True)
class LeakyReLU(Layer):
    """max(u, 0) + ``negative_slope``·min(u, 0); −1 is the absolute value."""

    negative_slope: float = 0.01

    def _document(self, parameters: _Parameters) -> Dict[str, Any]:
        return {"type": "leaky_relu", "negative_slope": float(self.negative_slope)}


@dataclass(frozen=True)
class Erf(Layer):
    """The error function."""

    def _document(self, parameters: _Parameters) -> Dict[str, Any]:
        return {"type": "erf"}


@dataclass(frozen=True)
class Identity(Layer):
    """The map as it is."""

    def _document(self, parameters: _Parameters) -> Dict[str, Any]:
        return {"type": "identity"}


def _list_of(layers: Sequence[Layer], parameters: _Parameters) -> List[Dict[str, Any]]:
    for layer in layers:
        if not isinstance(layer, Layer):
            raise TypeError(f"expected layers, found {layer!r}")
    return [layer._document(parameters) for layer in layers]


def _branch(branch: Union[Layer, Iterable[Layer]], parameters: _Parameters) -> List[Dict[str, Any]]:
    if isinstance(branch, Sequential):
        return _list_of(branch.layers, parameters)
    return _list_of([branch] if isinstance(branch, Layer) else list(branch), parameters)


def _branches(given: Tuple[Any, ...]) -> Tuple[Any, ...]:
    """Branches as arguments, or one list of them, as cnn-gp has it."""
    if len(given) == 1 and not isinstance(given[0], Layer):
        given = tuple(given[0])
    return tuple(b if isinstance(b, Layer) else tuple(b) for b in given)


@dataclass(frozen=True, init=False)
class Sequential(Layer):
    """Layers one after another; without any, the identity."""

    layers: Tuple[Layer, ...]

    def __init__(self, *layers: Layer) -> None:
        object.__setattr__(self, "layers", tuple(layers))

    def _document(self, parameters: _Parameters) -> Dict[str, Any]:
        return {"type": "sequential", "layers": _list_of(self.layers, parameters)}


@dataclass(frozen=True, init=False)
class Repeat(Layer):
    """The layers, ``times`` times over; each turn has numbers of its own, unless they are named parameters."""

    times: int
    layers: Tuple[Layer, ...]

    def __init__(self, times: int, *layers: Layer) -> None:
        object.__setattr__(self, "times", int(times))
        object.__setattr__(self, "layers", tuple(layers))

    def _document(self, parameters: _Parameters) -> Dict[str, Any]:
        return {"type": "repeat", "times": self.times, "layers": _list_of(self.layers, parameters)}


@dataclass(frozen=True, init=False)
class Sum(Layer):
    """Sum of the branches: layers, or lists of layers (``[]`` is the identity), or one list of all of them.

    >>> Sum(Sequential(), Sequential(ReLU(), Conv2d(3))) == Sum([Sequential(), Sequential(ReLU(), Conv2d(3))])
    True
    """

    branches: Tuple[Union[Layer, Tuple[Layer, ...]], ...]

    def __init__(self, *branches: Any) -> None:
        object.__setattr__(self, "branches", _branches(branches))

    def _document(self, parameters: _Parameters) -> Dict[str, Any]:
        return {"type": "sum", "branches": [_branch(b, parameters) for b in self.branches]}


@dataclass(frozen=True, init=False)
class Mixture(Layer):
    """Sum of the branches weighted with softmax(``logits``), one logit for each; all 0 where none are given."""

    branches: Tuple[Union[Layer, Tuple[Layer, ...]], ...]
    logits: Tuple[float, ...]

    def __init__(self, branches: Iterable[Any], logits: Union[Iterable[float], None] = None) -> None:
        object.__setattr__(self, "branches", _branches((list(branches),)))
        given = [0.0] * len(self.branches) if logits is None else [float(v) for v in logits]
        object.__setattr__(self, "logits", tuple(given))

    def _document(self, parameters: _Parameters) -> Dict[str, Any]:
        branches = [_branch(b, parameters) for b in self.branches]
        return {"type": "mixture", "branches": branches, "logits": list(self.logits)}


def document_of(layers: Sequence[Layer], name: str) -> Dict[str, Any]:
    """The JSON document of a network of these layers (docs/networks.md)."""
    parameters = _Parameters()
    written = _list_of(layers, parameters)
    return {"name": name, "parameters": parameters.document(), "layers": written}
