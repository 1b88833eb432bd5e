# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Elliptic equations on manifolds that are known by points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError, warn
from randnla._backend.results import Info, Result
from randnla._backend.rng import STREAM_VERSION, seed_from

from .arguments import checked_coefficient, checked_dimension
from .boundary import Boundary, checked_boundary
from .cloud import Array, checked_points
from .direct import solve_directly
from .evaluation import Fitted, LocalPolynomials
from .features import BASES, COUNT, fit_features, make_features
from .operators import LaplacianResult, laplacian
from .precondition import PRECONDITIONERS
from .system import Elliptic, exponents, pose

METHODS = ("direct", "features", "network")
TOLERANCE = 1e-8
REACH = 0.5
"""Share of a kernel that falls on neighbors, below which a change of the bandwidth tells nothing."""
FACTORED_FROM = 20_000
"""Points of a surface from which factoring its small graph is cheaper than the steps that this saves."""


@dataclass(frozen=True, eq=False, repr=False)
class EllipticResult(Result):
    """Values u (N,) or (N, k) at the points, and `evaluate`, a function of other points on the manifold.

    `laplacian` is the operator that was solved with.
    """

    u: Any
    evaluate: Callable[[Any], Any]
    laplacian: Any = field(kw_only=True)
    info: Info = field(default_factory=Info, kw_only=True)

    _not_factors = ("info", "laplacian")


def solve_elliptic(
    points: Any,
    f: Any,
    *,
    a: Any = 0.0,
    kappa: Any = 1.0,
    boundary: Boundary | None = None,
    method: str = "direct",
    neighbors: int | str = "auto",
    bandwidth: float | str = "auto",
    kernel: str = "fixed",
    dimension: float | str = "auto",
    preconditioner: str | None = "auto",
    basis: str = "fourier",
    features: int | str = "auto",
    length: float | str = "auto",
    regularization: float = 1e-10,
    boundary_weight: float | str = "auto",
    network: Any = None,
    tol: float | None = None,
    maxiter: int | None = None,
    certify: bool = False,
    rng: Any = None,
    check_finite: bool = True,
) -> EllipticResult:
    """Solve ``-div(kappa grad u) + a u = f`` on a manifold from points on it.

    Parameters
    ----------
    points : (N, D) array
        Real; one point a row.
    f : (N,) or (N, k) array
        At the points. Values at Dirichlet points are not read, with ghost points or none.
    a : float or (N,) array, default 0
        Nonnegative. Where it is zero and no value of u is given, u has mean zero over the manifold, and f is
        freed of its mean.
    kappa : float or (N,) array, default 1
        Positive.
    boundary : Boundary, optional
        Points with known values or normal derivatives; None for a closed manifold.
    method : {"direct", "features", "network"}
        "direct" solves for the values at the points: by conjugate gradients, with ghost points by
        GMRES or LU; `evaluate` then interpolates. "features" seeks u among sums of smooth functions of the
        ambient coordinates, "network" among what `network` can express; both by least squares, and both are
        functions off the cloud as they stand.
    neighbors, bandwidth, kernel, dimension
        As in `laplacian`.
    preconditioner : {"auto", "sparsified", "nystrom", "rpcholesky"} or None
        Of conjugate gradients. "sparsified" factors a graph of eight neighbors with the same second moments;
        "nystrom" and "rpcholesky" deflate 64 smooth modes. "auto" is "sparsified" from 20000 points of
        dimension D <= 3, else None. GMRES always takes "sparsified".
    basis : {"fourier", "kernel"}
        Of "features": random Fourier features, or Gaussians around the pivots of `rpcholesky`.
    features : int or "auto"
        Number of them; "auto" is 600, at most half of the points.
    length : float or "auto"
        Length scale of them, "auto" .45 of the root mean square radius of the cloud.
    regularization : float, default 1e-10
        Weight of the squared coefficients, over the mean square of a column.
    boundary_weight : float or "auto"
        Of the root mean square misfit to known values beside that of the equation, for "features" and
        "network"; "auto" is ten times the mean of kappa over the squared radius of the cloud, and a hundred
        times the mean of a; of that .03 for "network".
    network : object, optional
        Of "network", such as `randnla.torch.EllipticNetwork`: ``fit(problem, weight, seed)`` trains it,
        ``evaluate(points)`` is what it has become.
    tol : float, optional
        Of the relative residual of "direct", 1e-8.
    maxiter : int, optional
        Steps of its iterations.
    certify : bool, default False
        Estimate the error of the discretization by direct solutions at half and at twice the bandwidth.
    rng : None, int, SeedSequence or Generator
    check_finite : bool, default True

    Returns
    -------
    EllipticResult
        `u`, `evaluate`, `laplacian`. `info.residual` is the relative residual of the discrete equations,
        computed anew from u: of the linear algebra for "direct", the misfit for the others. How far the
        discrete equations are from the manifold's it does not tell; with `certify`, ``info.error_estimate``
        does: the larger root mean square over the manifold of what u moves by, an estimate, no bound;
        inf for a bandwidth so small that most of the kernel falls on the point itself.

    Raises
    ------
    InputError
        An argument does not fit; a connected part of the graph has a = 0 and no known value, beside others.
    NonFiniteError
        An argument holds NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        The residual of "direct" exceeds `tol`.

    Notes
    -----
    *Algorithm*: Liang, Jiang, Harlim and Yang (2024): diffusion maps for the operator, ghost points at the
    boundary, least squares over a hypothesis space. Features in the place of their networks make it a convex
    problem, for `lstsq`. *Cost*: that of `laplacian`; "direct" 2 N k flops a step, some
    (eps a / kappa)^(-1/2) steps; "features" 2 N k m + N m^2 flops and 16 N m bytes for m features.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> t = 2 * np.pi * np.arange(800) / 800
    >>> X = np.c_[np.cos(t), np.sin(t)]
    >>> u, evaluate = randnla.manifold.solve_elliptic(X, 5 * np.sin(2 * t), a=1.0, neighbors=40)
    >>> bool(np.abs(u - np.sin(2 * t)).max() < 1e-2)
    True
    >>> bool(abs(evaluate(np.array([[np.cos(0.3), np.sin(0.3)]]))[0] - np.sin(0.6)) < 1e-2)
    True
    """
    check_finite = validate.flag(check_finite, name="check_finite")
    certify = validate.flag(certify, name="certify")
    array = checked_points(points, check_finite=check_finite)
    kind = namespace.kind_of(f)
    absorbed = checked_coefficient(a, len(array), name="a", check_finite=check_finite)
    if not (absorbed >= 0).all():
        raise InputError(f"a: expected nonnegative numbers, got {absorbed.min()}")
    options = _checked_options(
        array.shape, method, preconditioner, basis, features, length, regularization, boundary_weight, network
    )
    d = checked_dimension(dimension, array.shape[1])
    edge = checked_boundary(boundary, array)
    right, vector = _right_hand_side(f, len(array), edge, check_finite=check_finite)
    tolerance = TOLERANCE if tol is None else validate.tolerance(tol)
    steps = None if maxiter is None else validate.integer(maxiter, name="maxiter", low=0)
    seed = seed_from(rng)
    shape: dict[str, Any] = {"neighbors": neighbors, "kernel": kernel, "dimension": dimension}
    operator = partial(laplacian, array, kappa, boundary=edge, check_finite=check_finite, **shape)
    solved = partial(
        solve_directly, preconditioner=options.preconditioner, tol=tolerance, maxiter=steps, seed=seed
    )
    L = operator(bandwidth=bandwidth)
    problem = pose(array, L, absorbed, right, edge)
    if method == "direct":
        u, info = solved(problem)
        evaluate: Any = LocalPolynomials(array, u, d, vector)
    else:
        evaluate, info = _fitted(problem, method, options, kappa, seed, vector=vector)
        u = evaluate._values(array)
    info = _account(problem, u, method, info, tolerance, seed)
    if certify:
        others = (pose(array, operator(bandwidth=x * L.bandwidth), absorbed, right, edge) for x in (0.5, 2.0))
        moved = [solved(other)[0] for other in others]
        info = info.replace(**_discretization(problem, u, moved, reached=_reaches(L, kappa)))
    return EllipticResult(namespace.restore(kind, u[:, 0] if vector else u), evaluate, laplacian=L, info=info)


def _discretization(problem: Elliptic, u: Array, others: list[Array], *, reached: bool) -> dict[str, Any]:
    """Root mean square of the largest move from u, of the worst column; inf unless neighbors are reached."""

    def size(x: Array) -> float:
        unit = exponents(x)
        return float(np.max(np.ldexp(np.sqrt(problem.mean(np.ldexp(x, -unit) ** 2)), unit), initial=0.0))

    error, whole = max(size(other - u) for other in others), size(u)
    if not reached:
        error = np.inf
    return {
        "error_estimate": error,
        "error_kind": "root mean square",
        "error_relative": error / whole if whole > 0 else (np.inf if error > 0 else 0.0),
        "certificate": "three bandwidths",
    }


def _reaches(L: LaplacianResult, kappa: Any) -> bool:
    """Whether the kernel has half of its weight off the point itself, for the median point.

    Below, it tells little but that point, at half and at twice the bandwidth as well: u does not move.
    """
    away = L.bandwidth * L.stiffness.diagonal() / (np.asarray(kappa) * L.mass)
    return bool(np.median(away) >= REACH)


def _right_hand_side(f: Any, n: int, edge: Boundary | None, *, check_finite: bool) -> tuple[Array, bool]:
    """f as columns, with zeros where u is known, and whether it is one vector."""
    array = validate.as_array(f, name="f", ndim=(1, 2))
    if array.dtype.kind == "c" or len(array) != n:
        raise InputError(f"f: expected {n} rows of real numbers, got shape {array.shape}, {array.dtype}")
    right = array.astype(np.float64)
    if edge is not None and edge.kind == "dirichlet":
        right[edge.indices] = 0.0
    if check_finite:
        validate.require_finite(right, name="f")
    vector = right.ndim == 1
    return right[:, None] if vector else right, vector


@dataclass(frozen=True)
class _Options:
    preconditioner: str
    basis: str
    count: int
    length: float | None
    regularization: float
    weight: float | None
    network: Any


def _checked_options(
    shape: tuple[int, ...],
    method: Any,
    preconditioner: Any,
    basis: Any,
    features: Any,
    length: Any,
    regularization: Any,
    weight: Any,
    network: Any,
) -> _Options:
    n, ambient = shape
    validate.choice(method, METHODS, name="method")
    name = "none" if preconditioner is None else preconditioner
    validate.choice(name, ("auto", *PRECONDITIONERS), name="preconditioner")
    if name == "auto":
        name = "sparsified" if n >= FACTORED_FROM and ambient <= 3 else "none"
    validate.choice(basis, BASES, name="basis")
    if isinstance(features, str):
        validate.choice(features, ("auto",), name="features")
        features = min(COUNT, max(1, n // 2))
    count = validate.integer(features, name="features", low=1, high=n)
    if (method == "network") != (network is not None):
        raise InputError(
            f'network: expected one with method="network" and only then, got {type(network).__name__} '
            f"with {method!r}; randnla.torch.EllipticNetwork is one"
        )
    return _Options(
        name,
        basis,
        count,
        _positive(length, "length"),
        validate.real(regularization, name="regularization", low=0.0),
        _positive(weight, "boundary_weight"),
        network,
    )


def _positive(value: Any, name: str) -> float | None:
    if isinstance(value, str):
        validate.choice(value, ("auto",), name=name)
        return None
    number = validate.real(value, name=name)
    if number <= 0:
        raise InputError(f"{name}: expected a positive number, got {value}")
    return number


def _fitted(
    problem: Elliptic, method: str, options: _Options, kappa: Any, seed: int, *, vector: bool
) -> tuple[Any, Info]:
    weight = options.weight
    if weight is None:
        radius = float(np.mean(np.sum((problem.points - problem.points.mean(axis=0)) ** 2, axis=1)))
        weight = 10.0 * float(np.mean(kappa)) / radius + 100.0 * float(problem.a.mean())
        weight *= 1.0 if method == "features" else 0.03  # which first-order methods can follow
    if method == "features":
        made = make_features(problem.points, options.basis, options.count, options.length, seed)
        return fit_features(problem, made, options.regularization, weight, seed, vector=vector)
    options.network.fit(problem, weight, seed)
    return Fitted(options.network, problem.points.shape[1], vector), Info()


def _account(problem: Elliptic, u: Array, method: str, info: Info, tol: float, seed: int) -> Info:
    """The residual anew, whatever the solver said, and the warning that goes with it."""
    if not np.isfinite(u).all():
        raise InputError("points, f: the solution is not finite; expected other units")
    residual = problem.residual(u)
    path = info.path if method == "direct" else ("symmetric" if problem.L.symmetric else "ghost points")
    found = info.replace(
        method=method,
        path=path,
        residual=residual,
        error_kind="backward",
        error_estimate=None,
        error_relative=residual,
        certificate="exact",
        converged=residual <= tol if method == "direct" else None,
        seed=seed,
        stream_version=STREAM_VERSION,
        memory=(info.memory or 0) + (problem.L.info.memory or 0),
    )
    if found.converged is False:
        warn(f"solve_elliptic: relative residual {residual:.3g} exceeds tol={tol:.3g}")
    return found
