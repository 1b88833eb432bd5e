# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Losses that are negative log-likelihoods, so that the network they end is a model labels are drawn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend import validate
from randnla._backend.errors import InputError

Array = npt.NDArray[Any]


class SoftmaxCrossEntropy:
    """``log sum_j exp(z_j) - z_label``: the outputs are logarithms of odds, targets are labels 0, ..., k - 1.

    Notes
    -----
    Its Hessian in the outputs is ``diag(p) - p p^T``, the Fisher matrix of the label.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.testing import SoftmaxCrossEntropy
    >>> loss = SoftmaxCrossEntropy()
    >>> outputs = np.log([[1.0, 3.0]])
    >>> round(loss.value(outputs, [1]), 6)
    0.287682
    >>> loss.slopes(outputs, [1]).round(6)
    array([[ 0.25, -0.25]])
    """

    def value(self, outputs: Any, targets: Any) -> float:
        """Mean over the samples.

        Parameters
        ----------
        outputs : array, shape (n, k)
        targets : array of int, shape (n,)

        Raises
        ------
        InputError
            Targets are no labels of the outputs.
        """
        z, labels = _labeled(outputs, targets)
        top = z.max(axis=1)
        sums = np.log(np.exp(z - top[:, None]).sum(axis=1)) + top
        return float(np.mean(sums - z[np.arange(len(z)), labels]))

    def slopes(self, outputs: Any, targets: Any) -> Array:
        """Gradient of the summed loss in the outputs, (n, k).

        Raises
        ------
        InputError
            Targets are no labels of the outputs.
        """
        z, labels = _labeled(outputs, targets)
        made = _softmax(z)
        made[np.arange(len(z)), labels] -= 1
        return made

    def sample_labels(self, outputs: Any, rng: np.random.Generator) -> Array:
        """A label for each sample, drawn from the model."""
        levels = np.cumsum(_softmax(validate.as_matrix(outputs, name="outputs")), axis=1)
        drawn: Array = (rng.random((len(levels), 1)) * levels[:, -1:] >= levels).sum(axis=1)
        return np.asarray(np.minimum(drawn, levels.shape[1] - 1))

    def hessian_factors(self, outputs: Any) -> Array:
        """S of shape (n, k, k) with ``S S^T`` the Hessian in the outputs of each sample."""
        p = _softmax(validate.as_matrix(outputs, name="outputs"))
        roots = np.sqrt(p)
        return np.asarray(np.eye(p.shape[1], dtype=p.dtype) * roots[:, None] - p[:, :, None] * roots[:, None])


class SquaredError:
    """``|z - y|^2 / 2``: the outputs are means of normal distributions with variance one.

    Examples
    --------
    >>> from randnla.testing import SquaredError
    >>> loss = SquaredError()
    >>> loss.value([[1.0, 2.0]], [[0.0, 0.0]]), loss.slopes([[1.0, 2.0]], [[0.0, 0.0]])
    (2.5, array([[1., 2.]]))
    """

    def value(self, outputs: Any, targets: Any) -> float:
        """Mean over the samples.

        Parameters
        ----------
        outputs, targets : array, shape (n, k)

        Raises
        ------
        InputError
            The shapes differ.
        """
        return float((self.slopes(outputs, targets) ** 2).sum() / 2 / len(outputs))

    def slopes(self, outputs: Any, targets: Any) -> Array:
        """Gradient of the summed loss in the outputs, (n, k).

        Raises
        ------
        InputError
            The shapes differ.
        """
        z, y = validate.as_matrix(outputs, name="outputs"), validate.as_matrix(targets, name="targets")
        if y.shape != z.shape:
            raise InputError(f"targets: expected shape {z.shape} as outputs have, got {y.shape}")
        return np.asarray(z - y.astype(z.dtype))

    def sample_labels(self, outputs: Any, rng: np.random.Generator) -> Array:
        """A target for each sample, drawn from the model."""
        z = validate.as_matrix(outputs, name="outputs")
        return np.asarray(z + rng.standard_normal(z.shape).astype(z.dtype))

    def hessian_factors(self, outputs: Any) -> Array:
        """S of shape (n, k, k) with ``S S^T`` the Hessian in the outputs of each sample: identities."""
        z = validate.as_matrix(outputs, name="outputs")
        return np.broadcast_to(np.eye(z.shape[1], dtype=z.dtype), (*z.shape, z.shape[1]))


def _softmax(z: Array) -> Array:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _labeled(outputs: Any, targets: Any) -> tuple[Array, Array]:
    z = validate.as_matrix(outputs, name="outputs")
    labels = validate.indices(targets, z.shape[1], name="targets")
    if len(labels) != len(z):
        raise InputError(f"targets: expected {len(z)} labels, one for each sample, got {len(labels)}")
    return z, labels
