# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The density of the eigenvalues of a Hermitian matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.results import Info, Result
from randnla.lowrank.error import column_norms
from randnla.lowrank.scaling import Array

from . import chebyshev
from .call import Call, account, begin, choose_probes, spread_of_mean
from .quadrature import Product, Quadrature
from .spectral_sum import symmetric_product

INTERVAL_STEPS = 30
"""Lanczos steps that enclose the spectrum for a Chebyshev series."""


@dataclass(frozen=True, eq=False, repr=False)
class SpectralDensity(Result):
    """Estimated density of eigenvalues at `points` (p,), integral one, and its standard error, each (p,)."""

    points: Any
    density: Any
    std_error: Any
    info: Info = field(default_factory=Info, kw_only=True)


def spectral_density(
    A: Any,
    points: Any = 200,
    *,
    method: str = "slq",
    degree: int = 100,
    samples: int = 16,
    width: float | None = None,
    probes: str = "auto",
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> SpectralDensity:
    """Density of the eigenvalues of a Hermitian matrix that is known by its products.

    Parameters
    ----------
    A : array, sparse matrix or operator of shape (n, n)
        Hermitian, n >= 1.
    points : int or array of shape (p,), default 200
        Where to evaluate; a number of points means as many, evenly over the spectrum.
    method : {"slq", "kpm"}
        "slq" smooths the nodes of Lanczos quadrature by Gaussians: isolated eigenvalues are sharp peaks of
        the right weight. "kpm" sums a Chebyshev series damped by Jackson's kernel.
    degree : int, default 100
        Lanczos steps, or the degree of the series, for which half as many products are needed.
    samples : int, default 16
        Test vectors.
    width : float, optional
        Standard deviation of the Gaussians of "slq"; by default the resolution of "kpm" of this degree,
        pi / (2 degree) of the length of the spectrum.
    probes : {"auto", "gaussian", "sign"}
        "auto": signs. The length of a vector does not matter.
    rng, check_finite, max_memory, callback
        As in `trace`.

    Returns
    -------
    SpectralDensity
        `points`, `density` and `std_error`, arrays of the kind of A; `info`.

    Raises
    ------
    InputError
        A is not Hermitian or is empty, or an argument does not fit.
    NonFiniteError
        A holds NaN or Inf.

    Notes
    -----
    *Algorithm*: stochastic Lanczos quadrature and the kernel polynomial method (Lin, Saad and Yang, 2016;
    Weisse, Wellein, Alvermann and Fehske, 2006).

    *Error*: the standard error of the smoothed density over the test vectors; not what smoothing does.

    *Cost*: a product with `samples` columns a step, `degree` steps for "slq" and half of them for "kpm".

    Examples
    --------
    >>> import numpy as np, randnla
    >>> d = np.linspace(-1.0, 1.0, 1000)
    >>> found = randnla.spectral_density(randnla.Diagonal(d), np.array([-0.5, 0.0, 0.5]), rng=0)
    >>> bool(np.allclose(found.density, 0.5, atol=0.05))
    True
    """
    validate.choice(method, ("slq", "kpm"), name="method")
    degree = validate.integer(degree, name="degree", low=2)
    samples = validate.integer(samples, name="samples", low=2)
    spread = None if width is None else validate.real(width, name="width", low=0.0)
    if spread == 0.0:
        raise InputError("width: expected a positive number, got 0.0")
    call = begin(A, rng=rng, check_finite=check_finite, max_memory=max_memory, callback=callback)
    given = _points(points)
    choose_probes(call, probes, "auto", "sign")
    if call.n == 0:
        raise InputError("A: expected a square matrix of order 1 at least, got shape (0, 0)")
    call.problem.op.require_finite(name="A")
    X = call.vectors(0, samples)
    start = (X / column_norms(X).astype(X.dtype)).astype(call.problem.dtype)
    product = symmetric_product(call)
    find = _by_quadrature if method == "slq" else _by_series
    x, values = find(call, product, start, degree, given, spread)
    e = call.exponent or 0
    mean, deviation = values.mean(axis=1), spread_of_mean(values, 1)
    size = float(mean.max(initial=0))
    info = account(call, method=method, samples=samples, error=float(deviation.max(initial=0)), size=size)
    with np.errstate(over="ignore"):  # a density per unit of a matrix of denormal numbers is not finite
        density, error = np.ldexp(mean, -e), np.ldexp(deviation, -e)
        where = np.ldexp(x, e) if isinstance(given, int) else given
    info = info.replace(error_estimate=float(error.max(initial=0)))
    return SpectralDensity(*namespace.restore_all(call.kind, where, density, error), info=info)


def _points(points: Any) -> Any:
    if isinstance(points, (int, np.integer)):
        return validate.integer(points, name="points", low=1)
    array = validate.as_array(points, name="points", ndim=1)
    if np.iscomplexobj(array):
        raise InputError(f"points: expected real numbers, got {array.dtype}")
    validate.require_finite(array, name="points")
    return array.astype(np.float64)


def _grid(call: Call, given: Any, low: float, high: float, margin: float) -> Array:
    """In units of the call."""
    if isinstance(given, int):
        return np.linspace(low - margin, high + margin, given)
    with np.errstate(over="ignore"):
        return np.asarray(np.ldexp(given, -(call.exponent or 0)))


def _span(low: float, high: float) -> float:
    """The length of a spectrum; where it is a point, a thousandth of its magnitude, or one."""
    size = max(abs(low), abs(high))
    return max(high - low, 1e-3 * size) if size > 0 else 1.0


def _by_quadrature(
    call: Call, product: Product, start: Array, degree: int, given: Any, width: float | None
) -> tuple[Array, Array]:
    run = Quadrature(product, start)
    while run.steps < degree and not run.done.all():
        run.step()
        call.problem.report("Lanczos step")
    nodes, weights = run.rule()
    used = nodes[weights > 0]
    low, high = float(used.min()), float(used.max())
    resolution = math.pi / 2 / degree * _span(low, high)
    sigma = resolution if width is None else math.ldexp(width, -(call.exponent or 0))
    x = _grid(call, given, low, high, 3 * sigma)
    values = np.empty((x.size, start.shape[1]))
    with np.errstate(under="ignore"):
        for j in range(start.shape[1]):
            away = (x[:, None] - nodes[j]) / sigma
            values[:, j] = np.exp(-0.5 * np.minimum(away**2, 1400.0)) @ weights[j]
    return x, values / (sigma * math.sqrt(2 * math.pi))


def _by_series(
    call: Call, product: Product, start: Array, degree: int, given: Any, width: float | None
) -> tuple[Array, Array]:
    if width is not None:
        raise InputError("width: of method='slq' only; the degree sets the resolution of 'kpm'")
    low, high = enclose(product, start[:, :2])
    center, half = (low + high) / 2, _span(low, high) / 2 * 1.01
    real = start.real.dtype.type

    def mapped(X: Array) -> Array:
        Y: Array = (product(X) - X * real(center)) * real(1 / half)
        return Y

    coefficients = chebyshev.moments(mapped, start, degree) * chebyshev.jackson(degree)[:, None]
    # A point at the very end of the interval would meet the pole of the weight.
    x = _grid(call, given, low, high, 0.0)
    t = (x - center) / half
    inside = np.abs(t) < 1
    values = np.zeros((x.size, start.shape[1]))
    values[inside] = chebyshev.density(coefficients, t[inside]) / half
    return x, values


def enclose(product: Product, start: Array) -> tuple[float, float]:
    """Bounds of the spectrum: the extreme Ritz values of a few steps, and the residuals of them beyond."""
    run = Quadrature(product, start)
    while run.steps < INTERVAL_STEPS and not run.done.all():
        run.step()
    nodes, weights = run.rule()
    used = nodes[weights > 0]
    rest = float(run.beta[-1].max(initial=0.0))
    low, high = float(used.min()), float(used.max())
    # beta |last entry of the Ritz vector| is the residual of a Ritz value; the entry is at most one.
    reach = min(rest, 0.1 * (high - low)) if run.steps >= INTERVAL_STEPS else rest
    return low - reach, high + reach
