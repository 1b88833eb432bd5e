# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Damped inverses applied to gradients: a few products, under any transformation and on any device.

A side of a Kronecker product is ``{"matrix": inverse}``; ``{"U", "s"}``, all of its eigenpairs; ``{"U",
"leading", "tail"}``, leading pairs and what continues them; or ``{"s"}``, a diagonal.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import lax

from randnla.curvature.inverses.two_sided import DELICATE

from .sites import HIGHEST


def times(*factors: Any) -> Any:
    """Products from left to right, in all digits."""
    product = factors[0]
    for factor in factors[1:]:
        product = jnp.matmul(product, factor, precision=HIGHEST)
    return product


def precondition(inverse: dict[str, Any], V: Any, *, joint: bool) -> Any:
    """The inverse that a state holds, applied to a gradient.

    Parameters
    ----------
    inverse : dict
        As `opened` has it: of a unit-wise block ("vectors"), an eigenbasis ("second") or a Kronecker product.
    V : (m, n) array
    joint : bool
        The damping is of the product, not of the sides.
    """
    shifts = inverse["shifts"]
    if "vectors" in inverse:
        X, values = inverse["vectors"], inverse["values"] + shifts[2]
        core = jnp.einsum("kij,ik->kj", X, V, precision=HIGHEST) / values
        return jnp.einsum("kij,kj->ik", X, core, precision=HIGHEST)
    left, right = inverse["left"], inverse["right"]
    if "second" in inverse:
        P, Q = left["U"], right["U"]
        return times(P, times(P.T, V, Q) / (jnp.maximum(inverse["second"], 0) + shifts[2]), Q.T)
    if joint:
        return _joint(left, right, shifts[2], V)
    twice = _is_delicate(left, right, shifts, V)
    V = _one_side(left, shifts[0], V, twice)
    if "matrix" in right:
        return times(V, right["matrix"])
    return _one_side(right, shifts[1], V.T, twice).T


def _one_side(side: dict[str, Any], shift: Any, V: Any, twice: Any) -> Any:
    """A damped side times V."""
    if "matrix" in side:
        return times(side["matrix"], V)
    weights = 1 / (_known(side) + shift)
    if "U" not in side:
        return weights[:, None] * V
    U = side["U"]
    if "tail" not in side:
        return times(U, weights[:, None] * times(U.T, V))
    rest = 1 / (side["tail"] + shift)

    def once(V: Any) -> Any:
        return rest * V + times(U, (weights - rest)[:, None] * times(U.T, V))

    def again(V: Any) -> Any:
        core, outside = _split(U, V)
        return rest * outside + times(U, weights[:, None] * core)

    return lax.cond(twice, again, once, V)


def _known(side: dict[str, Any]) -> Any:
    """The eigenvalues that a side holds."""
    return side["leading"] if "leading" in side else side["s"]


def _split(U: Any, V: Any) -> tuple[Any, Any]:
    """Coefficients of V in a basis, and what is orthogonal to it, projected out twice."""
    core = times(U.T, V)
    rest = V - times(U, core)
    more = times(U.T, rest)
    return core + more, rest - times(U, more)


def _spread(side: dict[str, Any], shift: Any) -> tuple[Any, Any]:
    """The least and the largest damped eigenvalue, 1 where the inverse is an array."""
    if "matrix" in side:
        return 1.0, 1.0
    values = jnp.append(side["leading"], side["tail"]) if "tail" in side else side["s"]
    return values.min() + shift, values.max() + shift


def _is_delicate(left: dict[str, Any], right: dict[str, Any], shifts: Any, V: Any) -> Any:
    """Whether rounding of the largest weight would hide the least one, as the engine decides."""
    (a, b), (c, d) = _spread(left, shifts[0]), _spread(right, shifts[1])
    bound = DELICATE * math.sqrt(max(V.shape)) * float(jnp.finfo(V.dtype).eps)
    return bound * (b * d) > a * c


def _joint(left: dict[str, Any], right: dict[str, Any], shift: Any, V: Any) -> Any:
    """``P [(P^T V Q) / (s t^T + shift)] Q^T``, and the same for what lies off the bases."""
    s, t = _known(left), _known(right)
    parts = []  # of V: coefficients, eigenvalues on the left, and the way back
    for core, back, values in _parts(left, V, s):
        for inner, forth, others in _parts(right, core.T, t):
            weighted = inner.T / (jnp.multiply.outer(values, others) + shift)
            parts.append(back(forth(weighted.T).T))
    return sum(parts[1:], parts[0])


def _parts(side: dict[str, Any], V: Any, s: Any) -> Any:
    """V in the eigenvectors of a side, and what is left: (coefficients, way back, eigenvalues)."""
    if "U" not in side:
        return [(V, lambda X: X, s)]
    U = side["U"]
    if "tail" not in side:
        return [(times(U.T, V), lambda X: times(U, X), s)]
    core, rest = _split(U, V)
    return [(core, lambda X: times(U, X), s), (rest, lambda X: X, side["tail"][None])]
