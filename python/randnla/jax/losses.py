# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Losses as K-FAC needs them: values, labels drawn from the model, roots of the Hessian in the outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from randnla._backend import validate
from randnla._backend.errors import InputError


@dataclass(frozen=True)
class Loss:
    """A loss as the negative log likelihood of what the model says of its targets.

    Parameters
    ----------
    value : callable (outputs, targets) -> array (samples, ...)
        The loss of every sample; axes behind the first are summed.
    sample : callable (key, outputs) -> targets, optional
        Targets drawn from the model, for the Fisher matrix of sampled labels ("mc").
    roots : callable (outputs) -> array (k, samples, ...), optional
        Vectors whose outer products add up to the Hessian of every sample's loss, for "ggn".

    Examples
    --------
    Mean absolute errors are those of Laplace's distribution:

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from randnla.jax import Loss
    >>> laplace = Loss(lambda z, y: jnp.abs(z - y), lambda key, z: z + jax.random.laplace(key, z.shape))
    >>> laplace.value(jnp.ones((2, 1)), jnp.zeros((2, 1))).shape
    (2, 1)
    """

    value: Callable[[Any, Any], Any]
    sample: Callable[[Any, Any], Any] | None = None
    roots: Callable[[Any], Any] | None = None


def _cross_entropy(z: Any, y: Any) -> Any:
    """y: indices of classes, or probabilities."""
    logs = jax.nn.log_softmax(z)
    if jnp.issubdtype(jnp.asarray(y).dtype, jnp.integer):
        return -jnp.take_along_axis(logs, y[..., None], axis=-1)[..., 0]
    return -jnp.sum(y * logs, axis=-1)


def _class_roots(z: Any) -> Any:
    """``sqrt(p_c) (e_c - p)``: their outer products add up to ``diag(p) - p p^T``."""
    p = jax.nn.softmax(z)
    return jnp.moveaxis(
        jnp.sqrt(p)[..., :, None] * (jnp.eye(z.shape[-1], dtype=z.dtype) - p[..., None, :]), -2, 0
    )


def _unit_roots(z: Any) -> Any:
    return jnp.moveaxis(jnp.broadcast_to(jnp.eye(z.shape[-1], dtype=z.dtype), (*z.shape, z.shape[-1])), -1, 0)


LOSSES = {
    "cross_entropy": Loss(_cross_entropy, jax.random.categorical, _class_roots),
    "squared_error": Loss(
        lambda z, y: 0.5 * jnp.sum((z - y) ** 2, axis=-1),
        lambda key, z: z + jax.random.normal(key, z.shape, z.dtype),
        _unit_roots,
    ),
}


def loss_of(loss: Loss | str) -> Loss:
    """A loss as it is, or by its name.

    Raises
    ------
    InputError
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise InputError(f"loss: expected a Loss or one of {', '.join(LOSSES)}, got {validate.shown(loss)}")
    return LOSSES[validate.choice(loss, tuple(LOSSES), name="loss")]
