# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What an optimizer asks of a network and of a loss; `randnla.testing` has both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from randnla.curvature.kfac.layers import Layer

Array = npt.NDArray[Any]
Parameters = Mapping[str, Any]  # layer -> weight, or (weight, bias)


class Network(Protocol):
    """What `randnla.optim.KFAC` asks of a network.

    Attributes
    ----------
    layers : mapping {name: layer}
        Of `randnla.curvature`.
    parameters : mapping {name: (weight, bias) or weight}
        Replaced at every step.

    Examples
    --------
    >>> from randnla.optim import Network
    >>> from randnla.testing import MLP
    >>> network: Network = MLP([2, 3])
    """

    parameters: Any

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Of `randnla.curvature`, by the names of the parameters."""

    def forward(self, x: Any, parameters: Any = None) -> Any:
        """A pass with an attribute ``outputs``, (n, k), with the network's parameters or with others."""

    def backward(self, run: Any, slopes: Array) -> Any:
        """From slopes of the summed loss a pass with attributes ``gradients`` and ``statistics``.

        The first are of the mean loss, in the structure of the parameters; the second map layers to (a, g).
        """

    def jvp(self, run: Any, tangents: Any) -> Array:
        """The derivative of the outputs along a change of parameters, (n, k)."""


class Loss(Protocol):
    """What `randnla.optim.KFAC` asks of a loss.

    Examples
    --------
    >>> from randnla.optim import Loss
    >>> from randnla.testing import SquaredError
    >>> loss: Loss = SquaredError()
    """

    def value(self, outputs: Array, targets: Any) -> float:
        """Mean over the samples."""

    def slopes(self, outputs: Array, targets: Any) -> Array:
        """Gradient of the summed loss in the outputs, (n, k)."""

    def sample_labels(self, outputs: Array, rng: np.random.Generator) -> Any:
        """Targets drawn from the model."""

    def hessian_factors(self, outputs: Array) -> Array:
        """S of shape (n, k, r), with ``S S^T`` the Hessian in the outputs."""
