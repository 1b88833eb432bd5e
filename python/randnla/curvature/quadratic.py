# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""How long a step to take: the minimum of a quadratic model over an update and the update before it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend import validate
from randnla._backend.errors import InputError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class QuadraticMinimum:
    """Where a quadratic model is least over ``alpha Delta + mu delta_0``.

    Attributes
    ----------
    alpha, mu : float
        Of the update Delta and of the previous one, delta_0.
    value : float
        The model there less the model at zero: never positive.
    path : {"both", "alpha", "parallel", "flat"}
        both: a 2 by 2 system was solved. alpha: there is no previous update. parallel: the system is singular
        to `rcond`, since delta_0 is zero, parallel to Delta in the metric, or without curvature; mu is 0.
        flat: Delta itself has no curvature, so that the model has no minimum along it; alpha and mu are 0.
    """

    alpha: float
    mu: float
    value: float
    path: str


def minimize_quadratic(
    fisher: Any, gram: Any, slopes: Any, damping: float, *, rcond: float = 1e-6
) -> QuadraticMinimum:
    """Least ``M(d) = <grad h, d> + <d, (F + damping I) d> / 2`` over ``d = alpha Delta + mu delta_0``.

    Parameters
    ----------
    fisher : array of shape (2, 2) or (1, 1), or a number
        ``<u, F v>`` for u, v in (Delta, delta_0), with the exact Fisher matrix F of a batch: means of
        ``(J u)^T F_R (J v)`` over the samples, J the Jacobian of the outputs and F_R their Fisher matrix. On
        the first step, of Delta alone.
    gram : like `fisher`
        ``<u, v>``.
    slopes : array of shape (2,) or (1,), or a number
        ``<grad h, u>``.
    damping : float
        lambda + eta: the damping and the weight of the L2 penalty, nonnegative.
    rcond : float, default 1e-6
        The system is singular where ``1 - c^2 <= rcond``, c the cosine of Delta and delta_0 in the metric
        ``F + damping I``. The default is what float32 products can tell from parallel.

    Returns
    -------
    QuadraticMinimum

    Raises
    ------
    InputError
        Shapes do not fit, `fisher` or `gram` has a negative diagonal, `damping` or `rcond` is out of range.
    NonFiniteError
        NaN or Inf in an argument.

    Notes
    -----
    *Algorithm*: exact rescaling and momentum (Martens and Grosse, 2015, sections 6.4 and 7), in float64 with
    both directions at unit length, which leaves the cosine as the only number that can spoil the system.

    *Cost*: a few operations; the products are the caller's, two J-vector products a step.

    Examples
    --------
    >>> from randnla.curvature import minimize_quadratic
    >>> minimize_quadratic([[4.0, 0.0], [0.0, 16.0]], [[1.0, 0.0], [0.0, 1.0]], [-4.0, 16.0], damping=0.0)
    QuadraticMinimum(alpha=1.0, mu=-1.0, value=-10.0, path='both')
    >>> minimize_quadratic(4.0, 1.0, -1.0, damping=0.0)
    QuadraticMinimum(alpha=0.25, mu=0.0, value=-0.125, path='alpha')
    """
    slope = np.atleast_1d(validate.as_array(slopes, name="slopes", ndim=(0, 1))).astype(np.float64)
    if slope.size not in (1, 2):
        raise InputError(f"slopes: expected one or two numbers, got shape {slope.shape}")
    validate.require_finite(slope, name="slopes")
    damping = validate.real(damping, name="damping", low=0.0)
    rcond = validate.real(rcond, name="rcond", low=0.0, high=1.0)
    curved, plain = _form(fisher, slope.size, "fisher"), _form(gram, slope.size, "gram")
    with np.errstate(over="ignore", invalid="ignore"):
        metric = curved + damping * plain
    if not np.isfinite(metric).all():
        raise InputError(f"fisher, gram: their damped sum is beyond the range of float64, got {metric}")
    lengths = np.sqrt(np.diagonal(metric))
    if lengths[0] == 0.0:
        return QuadraticMinimum(0.0, 0.0, 0.0, "flat")
    first = float(slope[0] / lengths[0])
    if slope.size == 1 or lengths[1] == 0.0:
        return _along(first, float(lengths[0]), "alpha" if slope.size == 1 else "parallel")
    # With unit vectors the system is [1 c; c 1] x = -f, solved by -[f0 - c f1, f1 - c f0] / (1 - c^2).
    second = float(slope[1] / lengths[1])
    cosine = float(metric[0, 1] / lengths[0] / lengths[1])
    sine2 = (1.0 - cosine) * (1.0 + cosine)
    if sine2 <= rcond:
        return _along(first, float(lengths[0]), "parallel")
    x = -(first - cosine * second) / sine2
    y = -(second - cosine * first) / sine2
    value = min(0.0, 0.5 * (first * x + second * y))
    return QuadraticMinimum(x / float(lengths[0]), y / float(lengths[1]), value, "both")


def _along(slope: float, length: float, path: str) -> QuadraticMinimum:
    return QuadraticMinimum(-slope / length, 0.0, -0.5 * slope * slope, path)


def _form(given: Any, size: int, name: str) -> Floats:
    """A quadratic form on `size` vectors, its two off-diagonal entries averaged."""
    form = np.atleast_2d(validate.as_array(given, name=name, ndim=(0, 2))).astype(np.float64)
    if form.shape != (size, size):
        raise InputError(f"{name}: expected shape {(size, size)} as slopes has {size}, got {form.shape}")
    validate.require_finite(form, name=name)
    if (np.diagonal(form) < 0).any():
        raise InputError(f"{name}: expected a nonnegative diagonal, got {np.diagonal(form)}")
    return np.asarray((form + form.T) / 2)


def inner(U: Any, V: Any) -> float:
    """``<U, V>`` of two arrays, or of two mappings layer -> array, summed in float64.

    Raises
    ------
    InputError
        Layers or shapes differ.
    """
    pairs = _paired(U, V)
    return math.fsum(float(np.sum(np.multiply(u, v, dtype=np.float64))) for u, v in pairs.values())


def combine(alpha: float, U: Any, mu: float = 0.0, V: Any = None) -> Any:
    """``alpha U + mu V`` of two arrays, or of two mappings layer -> array; V may be missing.

    Raises
    ------
    InputError
        Layers or shapes differ.
    """
    pairs = _paired(U, U if V is None else V)
    made = {
        name: np.asarray(alpha * u if V is None or mu == 0.0 else alpha * u + mu * v)
        for name, (u, v) in pairs.items()
    }
    return made if isinstance(U, Mapping) else made[""]


def gram_of(Delta: Any, delta_0: Any = None) -> Floats:
    """The `gram` of `minimize_quadratic`: inner products of an update and of the previous one, if any."""
    if delta_0 is None:
        return np.array([[inner(Delta, Delta)]])
    cross = inner(Delta, delta_0)
    return np.array([[inner(Delta, Delta), cross], [cross, inner(delta_0, delta_0)]])


def _paired(U: Any, V: Any) -> dict[str, tuple[Any, Any]]:
    """Layers with their two arrays; one layer without a name where arrays were given."""
    if not isinstance(U, Mapping):
        U, V = {"": U}, {"": V}
    if not isinstance(V, Mapping) or U.keys() != V.keys():
        raise InputError(f"V: expected the layers {validate.shown(list(U))}, got {validate.shown(V)}")
    pairs = {}
    for name, value in U.items():
        u, v = np.asarray(value), np.asarray(V[name])
        if u.shape != v.shape:
            raise InputError(f"V: expected shape {u.shape} for layer {name!r}, got {v.shape}")
        pairs[name] = u, v
    return pairs
