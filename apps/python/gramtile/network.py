"""Networks: made of layers, read from JSON, or one of the paper's by name."""
from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

import numpy as np
import numpy.typing as npt

from . import _engine
from ._kernels import Kernels

if TYPE_CHECKING:
    from .layers import Layer


@dataclass(frozen=True)
class NetworkParameter:
    """A number of a network that may be trained."""

    #: "conv0.var_weight", "mixture0.logit1", or the name that the user gave it.
    name: str
    #: "variance" (≥ 0) or "logit" (of a mixture; any sign).
    kind: str
    value: float
    #: Whether gradients and jacobians have an entry for it.
    trainable: bool
    #: Where it is used, as in "layers[0].var_weight": once for each turn of a repeat.
    places: Tuple[str, ...]


def _text_of(source: Any, name: str) -> str:
    from .layers import Layer, Sequential, document_of
    if isinstance(source, Sequential):
        source = document_of(source.layers, name)
    elif isinstance(source, Layer):
        source = document_of([source], name)
    elif name:
        raise ValueError("a network from JSON has the name that stands there")
    return json.dumps(dict(source), allow_nan=False)


def _is_json(text: str) -> bool:
    return text.lstrip().startswith(("{", "//", "/*"))


class Network(Kernels):
    """A network, which does not change once it is made: ``net(X)`` is its kernel.

    ``source`` is a layer (usually a :class:`Sequential`); the name of a preset, one of ``preset_names()``; the path of
    a JSON file; JSON text; or a dict of the same form (docs/networks.md). Raises NetworkError for one that is
    malformed, naming the place; whether it fits the images is seen with the first ones, or by ``check()``.

    >>> Network("convnet-gp").parameters[0]
    NetworkParameter(name='conv0.var_weight', kind='variance', value=136.71, trainable=True, places=(...))
    >>> net = Network({"layers": [{"type": "dense", "var_bias": 0.5}]})
    >>> net.with_values([2.0, 0.25]).to_json()
    '{"name":"","parameters":{},"layers":[{"type":"dense","var_weight":2.0,"var_bias":0.25}]}'
    """

    _engine: _engine.Network
    _parameters: Optional[List[NetworkParameter]]

    def __init__(self, source: Union[Layer, str, os.PathLike[str], Mapping[str, Any], Network], *,
                 name: str = "") -> None:
        self._parameters = None
        if isinstance(source, Network):
            self._engine = source._engine
        elif isinstance(source, os.PathLike):
            self._engine = _engine.Network.load(os.fspath(source))
        elif isinstance(source, str):
            self._engine = _engine.Network.from_json(source, "") if _is_json(source) else (
                _engine.Network.load(source))
        else:
            self._engine = _engine.Network.from_json(_text_of(source, name), "")
        self.parameters  # names that no parameter has are found here, not by the first images

    @property
    def _as_network(self) -> Network:
        return self

    @property
    def name(self) -> str:
        """For people; written into files."""
        return str(self.to_dict()["name"])

    @property
    def parameters(self) -> List[NetworkParameter]:
        if self._parameters is None:
            self._parameters = [
                NetworkParameter(name, "logit" if is_logit else "variance", value, trainable, tuple(places))
                for name, is_logit, value, trainable, places in self._engine.parameters()
            ]
        return list(self._parameters)

    def with_values(self, values: npt.ArrayLike) -> Network:
        array = np.asarray(values, np.float64)
        wanted = self.trainable_parameters
        if array.shape != (len(wanted),):
            raise ValueError(f"values have shape {list(array.shape)}; the network has {len(wanted)} trainable parameters")
        for parameter, value in zip(wanted, array):
            if not np.isfinite(value) or (parameter.kind == "variance" and value < 0):
                raise ValueError(f"{parameter.name} cannot be {value}")
        result = Network.__new__(Network)
        result._engine = self._engine.with_values(array.tolist())
        result._parameters = None
        return result

    def to_json(self) -> str:
        return self._engine.to_json()

    def to_dict(self) -> Dict[str, Any]:
        result: Dict[str, Any] = json.loads(self.to_json())
        return result

    def __eq__(self, other: object) -> bool:
        """Whether both have the same layers, parameters and name, to the last bit."""
        return self.to_json() == other.to_json() if isinstance(other, Network) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __reduce__(self) -> Tuple[Callable[..., Network], Tuple[str]]:
        return Network, (self.to_json(),)

    def __repr__(self) -> str:
        text = self.to_json()
        return f"Network({text if len(text) <= 200 else text[:197] + '...'})"


def preset_names() -> List[str]:
    """Names of the paper's networks, which Network() takes.

    >>> preset_names()
    ['convnet-gp', 'residual-cnn-gp', 'resnet32-gp', 'resnet32-gp-cifar10']
    """
    return list(_engine.preset_names())
