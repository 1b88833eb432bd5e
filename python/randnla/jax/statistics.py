# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Averages of factors as functions of arrays, under any transformation."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import jax.numpy as jnp
from jax import lax

from randnla.curvature import Embedding, ScaleShift
from randnla.curvature.factors.average import Average

from .sites import HIGHEST, Factors, rows_of


def keep_of(average: Average, count: Any, dtype: Any) -> Any:
    """The weight that a sum of `count` batches keeps of them when one more comes."""
    k = (count + 1).astype(dtype)
    if average.start == "running":
        return jnp.minimum(1 - 1 / k, jnp.asarray(average.ema, dtype))
    if average.start == "first":
        return jnp.where(k == 1, 0, jnp.asarray(average.ema, dtype))
    return jnp.asarray(average.ema, dtype)


def average_of(average: Average, count: Any, total: Any) -> Any:
    """The average that a sum of `count` batches stands for."""
    power = jnp.asarray(average.ema, total.dtype) ** count
    if average.start == "identity":
        return total + power * jnp.eye(len(total), dtype=total.dtype)
    return total / (1 - power) if average.start == "debias" else total


def averaged(total: Any, batch: Any, keep: Any) -> Any:
    """One batch more in a sum."""
    return keep * total + (1 - keep) * batch


def are_finite(*arrays: Any) -> Any:
    """Whether the squares of all entries, and their sums, are finite."""
    good = jnp.asarray(True)
    for array in arrays:
        if jnp.issubdtype(array.dtype, jnp.floating):
            good &= jnp.isfinite(jnp.sum(array * array))
    return good


def all_finite(matrices: Iterable[Any]) -> Any:
    """Whether no entry is NaN or infinite: 0 times such an entry is NaN, and so is every sum with it.

    As products these sums cost XLA a fraction of what reductions of truth values do.
    """
    columns = [jnp.ones(len(V), V.dtype) @ (V * 0) for V in matrices]
    return jnp.isfinite(sum(jnp.sum(column) for column in columns))


def batch_of(
    layer: Any, factors: Factors, dtype: Any, *, as_rows: Collection[str] = ()
) -> tuple[dict[str, Any], Any]:
    """Second moments of a batch by the names of the sums they go into, and whether they are finite.

    Sides in `as_rows` are left as rows, with the factor of their mean second moment: (rows, uses).
    """
    if isinstance(layer, ScaleShift):
        return _unitwise(layer, factors, dtype)
    a, g = rows_of(layer, factors, dtype)
    count, uses = a.shape[:2]
    gradients = g.reshape(-1, g.shape[-1])
    if isinstance(layer, Embedding):
        indices = a.reshape(-1)
        inside = jnp.all((indices >= 0) & (indices < layer.size))
        counts = jnp.zeros(layer.size, dtype).at[indices].add(1)
        return {"left": counts / count, "right": _moment(gradients, 1)}, are_finite(g) & inside
    rows = {"left": (gradients, 1), "right": (a.reshape(count * uses, -1), uses)}
    batch = {side: pair if side in as_rows else _moment(*pair) for side, pair in rows.items()}
    return batch, are_finite(a, g)


def _moment(rows: Any, uses: int) -> Any:
    return jnp.matmul(rows.T, rows, precision=HIGHEST) / (len(rows) / uses)


def _unitwise(layer: ScaleShift, factors: Factors, dtype: Any) -> tuple[dict[str, Any], Any]:
    """Moments (parts, parts, size) of the gradients of every sample with respect to scale and shift."""
    scales: Any = 0.0
    shifts: Any = 0.0
    for x, y in zip(*factors, strict=True):
        x = x.reshape(len(x), -1, layer.size).astype(dtype)
        y = y.reshape(len(y), len(x), -1, layer.size).astype(dtype)
        scales, shifts = scales + (x * y).sum(axis=2), shifts + y.sum(axis=2)
    parts = [part for part, wanted in ((scales, layer.scale), (shifts, layer.shift)) if wanted]
    stack = jnp.stack([part.reshape(-1, layer.size) for part in parts])
    moments = jnp.einsum("ink,jnk->ijk", stack, stack, precision=HIGHEST) / stack.shape[1]
    return {"sum": moments}, are_finite(stack)


def eigenbasis_moments(layer: Any, factors: Factors, P: Any, Q: Any) -> Any:
    """Mean over samples of the squared entries of ``P^T (sum over uses of g a^T) Q``."""
    a, g = rows_of(layer, factors, P.dtype)
    a, g = jnp.matmul(a, Q, precision=HIGHEST), jnp.matmul(g, P, precision=HIGHEST)
    draws, count, uses, m = g.shape
    if uses == 1:
        squares = (g * g).sum(axis=0).reshape(count, m)
        return jnp.matmul(squares.T, (a * a).reshape(count, -1), precision=HIGHEST) / (draws * count)

    def add(total: Any, sample: Any) -> Any:
        x, y = sample  # (uses, n), (draws, uses, m)
        each = jnp.einsum("dtm,tn->dmn", y, x, precision=HIGHEST)
        return total + jnp.sum(each * each, axis=0), None

    total, _ = lax.scan(add, jnp.zeros((m, a.shape[-1]), P.dtype), (a, jnp.swapaxes(g, 0, 1)))
    return total / (draws * count)
