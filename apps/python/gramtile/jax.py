"""JAX: K inside jit, vmap and grad, called as neural-tangents calls its kernels.

>>> import jax, jax.numpy as jnp, numpy as np, gramtile as gt, gramtile.jax
>>> net = gt.Sequential(gt.Conv2d(3, var_weight=2.0, var_bias=0.1), gt.ReLU(), gt.Dense())
>>> kernel_fn = gt.jax.kernel_fn(net)
>>> x = np.random.default_rng(0).random((5, 1, 8, 8), np.float32)
>>> kernel_fn(x, None, "nngp").shape
(5, 5)

``values`` are the trainable parameters', and K is differentiated by them:

>>> def loss(logarithms):
...     return jnp.linalg.slogdet(kernel_fn(x, values=jnp.exp(logarithms)))[1]
>>> jax.jit(jax.grad(loss))(jnp.log(net.values)).shape
(3,)

The engine is called back on the host (``jax.pure_callback``), and computes on the processor wherever arrays lie. K has
first derivatives in reverse mode; none by the images, and asking for them is an error.
"""
from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Tuple, Union

import jax
import numpy as np

from ._options import result_type
from .network import Network

__all__ = ["kernel_fn"]


def kernel_fn(net: Any, *, dtype: Any = None, threads: Optional[int] = None, memory: Union[int, str, None] = None,
              channels_last: bool = False) -> Callable[..., jax.Array]:
    """Returns ``kernel_fn(x1, x2=None, get="nngp", *, values=None)`` of a network: K(x1, x1) [N, N], exactly symmetric,
    or K(x1, x2) [N, M].

    ``net`` is whatever :class:`gramtile.Network` takes; the keywords are those of its calls: neural-tangents' images are
    ``channels_last=True``. ``values`` [P] replace those of
    ``net.trainable_parameters``; without them K has the network's own, in double. Results are float64 where images are,
    or where ``dtype`` says so, and rounded to float32 where JAX has no float64 (``jax_enable_x64``). ``get`` is "nngp",
    or ValueError. Other errors are the engine's, as JAX passes them on.
    """
    network = Network(net)
    differentiable = _differentiable(network, {
        "dtype": dtype, "threads": threads, "memory": memory, "channels_last": channels_last})

    def kernel_fn(x1: Any, x2: Any = None, get: str = "nngp", *, values: Any = None) -> jax.Array:
        if get != "nngp":
            raise ValueError(f"get is {get!r}; Gramtile has 'nngp'")
        num_values = len(network.trainable_parameters)
        if values is not None and np.shape(values) != (num_values,):
            raise ValueError(f"values have shape {list(np.shape(values))}; the network has {num_values} trainable "
                             f"parameters")
        result: jax.Array = differentiable(values, *(None if x is None else jax.numpy.asarray(x) for x in (x1, x2)))
        return result

    return kernel_fn


def _differentiable(network: Network, keywords: Dict[str, Any]) -> Any:
    """(values or None, x, z or None) → K."""

    def forward(values: Any, x: Any, z: Any) -> Any:
        kind = result_type(keywords.get("dtype"), x, z)
        shape = _result((len(x), len(x if z is None else z)), jax.dtypes.canonicalize_dtype(kind))

        def on_host(values: Any, x: Any, z: Any) -> Any:
            return _with(network, values)(*_arrays(x, z), **{**keywords, "dtype": kind}).astype(shape.dtype)

        return jax.pure_callback(on_host, shape, values, x, z, vmap_method="sequential")

    def forward_and_kept(values: Any, x: Any, z: Any) -> Tuple[Any, Any]:
        if any(image is not None and image.perturbed for image in (x, z)):
            raise ValueError("K is not differentiated by the images, only by the values of the network's parameters")
        kept = tuple(None if given is None else given.value for given in (values, x, z))
        return forward(*kept), kept

    def backward(kept: Any, upstream: Any) -> Any:
        values, x, z = kept
        if values is None or isinstance(upstream, jax.custom_derivatives.SymbolicZero):
            return None, None, None
        shape = _result(values.shape, values.dtype)

        def on_host(values: Any, x: Any, z: Any, upstream: Any) -> Any:
            gradient_of: Any = _with(network, values).gradient
            found = gradient_of(*_arrays(x, z), np.asarray(upstream), **keywords).to_dict()
            # A bias that has become 0 is no parameter any more; it contributes nothing.
            return np.array([found.get(p.name, 0.0) for p in network.trainable_parameters], shape.dtype)

        return jax.pure_callback(on_host, shape, values, x, z, upstream, vmap_method="sequential"), None, None

    differentiable: Any = jax.custom_vjp(forward)
    differentiable.defvjp(forward_and_kept, backward, symbolic_zeros=True)
    return differentiable


def _result(shape: Any, dtype: Any) -> Any:
    described: Any = jax.ShapeDtypeStruct
    return described(shape, dtype)


def _with(network: Network, values: Optional[Any]) -> Network:
    return network if values is None else network.with_values(np.asarray(values, np.float64))


def _arrays(x: Any, z: Any) -> Any:
    return [np.asarray(images) for images in (x, z) if images is not None]
