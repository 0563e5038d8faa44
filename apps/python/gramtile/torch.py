"""PyTorch: K as a differentiable function of a network's variances, and a module that holds them.

>>> import torch, gramtile as gt, gramtile.torch
>>> net = gt.Sequential(gt.Conv2d(3, var_weight=2.0, var_bias=0.1), gt.ReLU(), gt.Dense())
>>> module = gt.torch.Module(net)
>>> [name for name, _ in module.named_parameters()]
['conv0.log_var_weight', 'conv0.log_var_bias', 'dense0.log_var_weight']
>>> K = module(torch.rand(5, 1, 8, 8))
>>> K.shape, K.dtype
(torch.Size([5, 5]), torch.float32)
>>> torch.logdet(K).backward()
>>> module.conv0.log_var_weight.grad.shape
torch.Size([])

What autograd keeps of a call is K and the images; the backward pass holds ∂L/∂K and the engine's bound of memory, however deep
the network is. Derivatives are exact, and taken once: K has no second derivative here, and none by the images.
"""
from __future__ import annotations

import warnings
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable

from .network import Network, NetworkParameter

__all__ = ["Module", "diagonal", "kernel"]

_OF_TYPE = {torch.uint8: torch.float32, torch.float32: torch.float32, torch.float64: torch.float64}
_warned_of_device = False


def kernel(net: Any, values: Tensor, X: Tensor, Z: Optional[Tensor] = None, **keywords: Any) -> Tensor:
    """K(X, X), [N, N], or K(X, Z), [N, M], of the network with these values of its trainable parameters.

    ``values`` [P] are in the order of ``net.trainable_parameters``: variances ≥ 0, and logits. Images are as NumPy's
    (:class:`gramtile.Network`), and so are the keywords ``dtype``, ``threads``, ``memory`` and ``channels_last``: the
    result is of the images' precision, float32 for bytes, and lies where the images do. Images that require a
    gradient are refused with ValueError; so are values that cannot be.
    """
    network, x, z = Network(net), _images(X), None if Z is None else _images(Z)
    result: Tensor = _Kernel.apply(_on_processor(values), x, z, network, keywords)
    return result.to(X.device)


def diagonal(net: Any, values: Tensor, X: Tensor, **keywords: Any) -> Tensor:
    """K(x, x) of every image, [N]: the diagonal of :func:`kernel`, to the last bit."""
    result: Tensor = _Diagonal.apply(_on_processor(values), _images(X), Network(net), keywords)
    return result.to(X.device)


class Module(nn.Module):
    """A network whose variances are trained: ``module(X)`` is K(X, X), ``module(X, Z)`` is K(X, Z).

    Every trainable variance is an ``nn.Parameter`` that holds its logarithm, in float64; a mixture's logits are
    parameters as they are. Names are the network's, with ``log_`` before the last part: ``conv0.log_var_weight``,
    ``mixture0.logit0``, and ``log_w`` for a variance that the network calls ``w`` (a dot in such a name becomes an
    underscore). One that layers share is one parameter. Variances that are not trainable are buffers of such names,
    and so is a variance of 0, which has no logarithm. ``net`` is whatever :class:`gramtile.Network` takes; the
    keywords are those of :func:`kernel`, for every call. A module that has not been trained gives the network's own K
    to the last bit.

    >>> import torch, gramtile as gt, gramtile.torch
    >>> w = gt.Parameter("w", 2.0)
    >>> module = gt.torch.Module(gt.Sequential(gt.Conv2d(3, var_weight=w), gt.ReLU(), gt.Dense(var_weight=w)))
    >>> {name: round(p.item(), 4) for name, p in module.named_parameters()}
    {'log_w': 0.6931}
    >>> module.network().to_dict()["parameters"]
    {'w': 2.0}
    """

    def __init__(self, net: Any, *, dtype: Any = None, threads: Optional[int] = None,
                 memory: Union[int, str, None] = None, channels_last: bool = False) -> None:
        super().__init__()
        self._net = Network(net)
        self._keywords = {"dtype": dtype, "threads": threads, "memory": memory, "channels_last": channels_last}
        self._places: Dict[str, Tuple[str, str]] = {}
        self._initial: Dict[str, Tuple[float, float]] = {}
        named = self._net.to_dict()["parameters"]
        for parameter in self._net.parameters:
            self._add(parameter, parameter.name in named)

    def _add(self, parameter: NetworkParameter, is_named: bool) -> None:
        stored = parameter.value if parameter.kind == "logit" else float(np.log(parameter.value)) if (
            parameter.value > 0) else -np.inf
        place, name = self._place_of(parameter, is_named)
        self._places[parameter.name] = place, name
        self._initial[parameter.name] = stored, parameter.value
        if place and place not in self._modules:
            self.add_module(place, _Layer())
        tensor = torch.tensor(stored, dtype=torch.float64)
        owner = self.get_submodule(place)
        if parameter.trainable and np.isfinite(stored):
            owner.register_parameter(name, nn.Parameter(tensor))
        else:
            owner.register_buffer(name, tensor)

    def _place_of(self, parameter: NetworkParameter, is_named: bool) -> Tuple[str, str]:
        """Submodule (or "") and attribute. The names of numbers have one dot; those of users are their affair."""
        if is_named:
            name = "log_" + parameter.name.replace(".", "_")
            while hasattr(self, name):
                name += "_"
            return "", name
        place, _, last = parameter.name.partition(".")
        return place, last if parameter.kind == "logit" else "log_" + last

    def parameter(self, name: str) -> Tensor:
        """The ``nn.Parameter`` or buffer of the network's parameter of this name. Raises KeyError."""
        place, attribute = self._places[name]
        stored: Tensor = getattr(self.get_submodule(place), attribute)
        return stored

    def _value(self, parameter: NetworkParameter) -> Tensor:
        stored = self.parameter(parameter.name).to("cpu", torch.float64)
        if parameter.kind == "logit":
            return stored
        value = stored.exp()
        logarithm, given = self._initial[parameter.name]
        if float(stored.detach()) == logarithm:  # exp(log v) may differ from v in the last bit
            value = value + (given - value).detach()
        return value

    def values(self) -> Tensor:
        """Values of the trainable parameters, [P], on the processor: variances and logits, differentiable."""
        return torch.stack([self._value(p) for p in self._net.trainable_parameters] or [torch.zeros(0)]).reshape(-1)

    def network(self) -> Network:
        """The network with the current values: to look at, to save as JSON, to build a kernel file of."""
        return self._with_frozen().with_values(self.values().detach().numpy())

    def _with_frozen(self) -> Network:
        """The network with the values of this module's buffers, which load_state_dict() may have changed."""
        frozen = [p for p in self._net.parameters if not p.trainable]
        now = {p.name: float(self._value(p)) for p in frozen}
        if any(now[p.name] != p.value for p in frozen):
            document = self._net.to_dict()
            for name, value in now.items():
                document["parameters"][name]["value"] = value
            return Network(document)
        return self._net

    def forward(self, X: Tensor, Z: Optional[Tensor] = None) -> Tensor:
        """K(X, X), [N, N], exactly symmetric; or K(X, Z), [N, M], in which no image is another's equal."""
        return kernel(self._with_frozen(), self.values(), X, Z, **self._keywords)

    def diag(self, X: Tensor) -> Tensor:
        """K(x, x) of every image, [N]."""
        return diagonal(self._with_frozen(), self.values(), X, **self._keywords)

    def extra_repr(self) -> str:
        return self._net.name or f"{len(self._net.parameters)} parameters"


class _Layer(nn.Module):
    """Holds the parameters of one layer, so that their names have its name before a dot."""


def _images(images: Tensor) -> Tensor:
    """The images on the processor, where they are if they are there."""
    if not isinstance(images, Tensor):
        raise TypeError(f"images are of type {type(images).__name__}; expected a tensor")
    if images.requires_grad and torch.is_grad_enabled():
        raise ValueError("the images require a gradient, and K is differentiated by the network's parameters only; "
                         "give images.detach()")
    if images.dtype not in _OF_TYPE:
        raise TypeError(f"images hold {images.dtype}; expected torch.uint8 (divided by 255), torch.float32 or "
                        f"torch.float64")
    return _on_processor(images)


def _on_processor(tensor: Tensor) -> Tensor:
    global _warned_of_device
    if tensor.device.type == "cpu":
        return tensor
    if not _warned_of_device:
        _warned_of_device = True
        warnings.warn(f"tensors are brought over from {tensor.device}: Gramtile computes on the processor",
                      stacklevel=4)
    return tensor.to("cpu")


def _result_type(keywords: Dict[str, Any], *images: Optional[Tensor]) -> torch.dtype:
    asked = keywords.get("dtype")
    if asked is not None:
        return asked if isinstance(asked, torch.dtype) else getattr(torch, np.dtype(asked).name)
    types = [_OF_TYPE[x.dtype] for x in images if x is not None]
    return torch.float64 if torch.float64 in types else torch.float32


def _with(network: Network, values: Tensor) -> Network:
    return network.with_values(values.detach().to(torch.float64).numpy())


def _array(tensor: Tensor) -> Any:
    return tensor.detach().numpy()


def _by_name(parameters: List[NetworkParameter], found: Dict[str, Any]) -> List[Any]:
    """Numbers in the order of `parameters`. A bias that has become 0 is no parameter of the network any more, and
    contributes nothing: as a logarithm it does not move."""
    return [found.get(p.name, 0.0) for p in parameters]


class _Kernel(Function):
    """(values, X, Z or None, network, keywords) → K."""

    @staticmethod
    def forward(values: Tensor, x: Tensor, z: Optional[Tensor], network: Network, keywords: Dict[str, Any]) -> Tensor:
        k = torch.empty(len(x), len(x if z is None else z), dtype=_result_type(keywords, x, z))
        _with(network, values)(_array(x), None if z is None else _array(z), out=k.numpy(), **keywords)
        return k

    @staticmethod
    def setup_context(ctx: Any, inputs: Tuple[Any, ...], output: Tensor) -> None:
        values, x, z, ctx.network, ctx.keywords = inputs
        ctx.has_z = z is not None
        ctx.save_for_backward(values, x, *([z] if ctx.has_z else []))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Tuple[Any, ...]:
        _refuse_images(ctx, 1, 2)
        values, *images = ctx.saved_tensors
        gradient_of: Any = _with(ctx.network, values).gradient
        gradient = gradient_of(*map(_array, images), _array(upstream), **ctx.keywords)
        by_value = _by_name(ctx.network.trainable_parameters, gradient.to_dict())
        return torch.tensor(by_value, dtype=values.dtype), None, None, None, None


class _Diagonal(Function):
    """(values, X, network, keywords) → the diagonal of K(X, X)."""

    @staticmethod
    def forward(values: Tensor, x: Tensor, network: Network, keywords: Dict[str, Any]) -> Tensor:
        k = torch.empty(len(x), dtype=_result_type(keywords, x))
        _with(network, values).diag(_array(x), out=k.numpy(), **keywords)
        return k

    @staticmethod
    def setup_context(ctx: Any, inputs: Tuple[Any, ...], output: Tensor) -> None:
        values, x, ctx.network, ctx.keywords = inputs
        ctx.save_for_backward(values, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Tuple[Any, ...]:
        _refuse_images(ctx, 1)
        values, x = ctx.saved_tensors
        network = _with(ctx.network, values)
        planes = network.diag_jacobian(_array(x), **ctx.keywords) @ _array(upstream).astype(np.float64)
        found = dict(zip((p.name for p in network.trainable_parameters), planes))
        by_value = _by_name(ctx.network.trainable_parameters, found)
        return torch.tensor(by_value, dtype=values.dtype), None, None, None


def _refuse_images(ctx: Any, *places: int) -> None:
    """Function transforms come here without `requires_grad`. None would count as zeros."""
    if any(ctx.needs_input_grad[i] for i in places):
        raise ValueError("K is not differentiated by the images, only by the network's parameters")


def _context_first(function: Any) -> Any:
    """The same function in the form of torch before 2.0, whose forward() is given the context."""

    class Old(function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            output = function.forward(*inputs)
            function.setup_context(ctx, inputs, output)
            return output

    return Old


if not hasattr(Function, "setup_context"):
    _Kernel, _Diagonal = _context_first(_Kernel), _context_first(_Diagonal)  # type: ignore[misc]
