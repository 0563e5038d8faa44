"""Gradients by the parameters of a network."""
from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .network import NetworkParameter


class Gradient:
    """∂L/∂θ by the trainable parameters of a network, in the order of ``net.trainable_parameters``.

    A parameter that several places share has one entry, the sum over them.
    """

    def __init__(self, parameters: List[NetworkParameter], by_value: npt.NDArray[np.float64]) -> None:
        self.parameters = parameters
        #: [P] by the parameters' values.
        self.by_value = by_value

    @property
    def by_log(self) -> npt.NDArray[np.float64]:
        """[P] by the logarithms of variances, θ·∂L/∂θ; of logits, which have any sign, by their values."""
        scales = [1.0 if p.kind == "logit" else p.value for p in self.parameters]
        return self.by_value * np.array(scales, np.float64)

    def to_dict(self) -> Dict[str, float]:
        """{name: ∂L/∂θ}"""
        return {p.name: float(g) for p, g in zip(self.parameters, self.by_value)}

    def __getitem__(self, name: str) -> float:
        """∂L/∂θ of the parameter of that name. Raises KeyError."""
        return self.to_dict()[name]

    def __len__(self) -> int:
        return len(self.by_value)

    def __repr__(self) -> str:
        return f"Gradient({self.to_dict()})"
