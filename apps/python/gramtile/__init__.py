"""Kernel matrices of infinitely wide convolutional networks, and their exact gradients, past memory.

>>> import numpy as np, gramtile as gt
>>> net = gt.Sequential(gt.Conv2d(3, var_weight=2.0, var_bias=0.1), gt.ReLU(), gt.Dense())
>>> X = np.random.default_rng(0).random((5, 1, 8, 8))
>>> K = net(X)
>>> K.shape, bool((K == K.T).all())
((5, 5), True)

``gt.torch``, ``gt.jax``, ``gt.sklearn`` and ``gt.plot`` are the fronts for those libraries, and are imported when they are
first used. docs/python.md goes through all of it.
"""
import importlib
from typing import Any

from .errors import (CannotCreateError, ComputationError, DataError, Error, FileError, InterruptedRunError, LockedError,
                     NetworkError, NoSpaceError, PartMissingError, ResumeRefusedError, UnfinishedRunError, UsageError)
from .files import Correlations, Finding, KernelFile, PredictionFile, Tile, TrainingFile, open
from .gradient import Gradient
from .layers import (Conv2d, Dense, Erf, Identity, Layer, LeakyReLU, Mixture, Parameter, ReLU, Repeat, ScaledParameter,
                     Sequential, Sum)
from .network import Network, NetworkParameter, preset_names
from ._runs import build, grad, predict, train

__version__ = "0.1.0"

__all__ = [
    "CannotCreateError", "ComputationError", "Conv2d", "Correlations", "DataError", "Dense", "Erf", "Error",
    "FileError", "Finding", "Gradient", "Identity", "InterruptedRunError", "KernelFile", "Layer", "LeakyReLU",
    "LockedError", "Mixture", "Network", "NetworkError", "NetworkParameter", "NoSpaceError", "Parameter",
    "PartMissingError", "PredictionFile", "ReLU", "Repeat", "ResumeRefusedError", "ScaledParameter", "Sequential", "Sum",
    "Tile", "TrainingFile", "UnfinishedRunError", "UsageError", "build", "grad", "open", "predict", "preset_names",
    "train",
]

_FRONTS = ("jax", "plot", "sklearn", "torch")


def __getattr__(name: str) -> Any:
    if name in _FRONTS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
