# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The operator -div(kappa grad u) of a manifold that is known by a cloud of points."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.results import Info, Result

from .arguments import checked_bandwidth, checked_coefficient, checked_dimension, checked_neighbors
from .boundary import Boundary, checked_boundary, continued, make_ghosts
from .cloud import Array, checked_points, dimension_of, of_itself, require_spread
from .kernels import KERNELS, Kernel, make_kernel


@dataclass(frozen=True, eq=False, repr=False)
class LaplacianResult(Result):
    """``-div(kappa grad u) ~ (stiffness @ u) / mass + offset``.

    Attributes
    ----------
    stiffness : (N, N) sparse array in compressed rows
        Symmetric positive semidefinite with zero row sums; with ghost points, neither.
    mass : (N,) array
    offset : (N,) array
        What the values on the boundary add; zero without ghost points.
    bandwidth : float
        The eps of the kernel.
    dimension : float or None
        Intrinsic dimension, None where it was not needed.

    Examples
    --------
    >>> import numpy as np
    >>> t = 2 * np.pi * np.arange(400) / 400
    >>> L = laplacian(np.c_[np.cos(t), np.sin(t)], neighbors=32)
    >>> bool(np.abs(L.apply(np.sin(3 * t)) - 9 * np.sin(3 * t)).max() < 0.05)
    True
    """

    stiffness: Any
    mass: Any
    offset: Any = field(kw_only=True)
    bandwidth: float = field(kw_only=True)
    dimension: float | None = field(kw_only=True)
    info: Info = field(default_factory=Info, kw_only=True)

    _not_factors = ("info", "offset", "bandwidth", "dimension")

    @property
    def symmetric(self) -> bool:
        """Without ghost points."""
        return self.info.path != "ghost points"

    def apply(self, u: Any) -> Any:
        """The operator at every point, for values (N,) or (N, k) of a function."""
        kind = namespace.kind_of(u)
        x = validate.as_array(u, name="u", ndim=(1, 2))
        if len(x) != len(self.mass):
            raise InputError(f"u: expected {len(self.mass)} rows, got shape {x.shape}")
        along = (slice(None),) + (None,) * (x.ndim - 1)
        return namespace.restore(kind, (self.stiffness @ x) / self.mass[along] + self.offset[along])


def laplacian(
    points: Any,
    kappa: Any = 1.0,
    *,
    neighbors: int | str = "auto",
    bandwidth: float | str = "auto",
    kernel: str = "fixed",
    dimension: float | str = "auto",
    boundary: Boundary | None = None,
    check_finite: bool = True,
) -> LaplacianResult:
    """The operator ``-div(kappa grad u)`` on a manifold from points on it, by diffusion maps.

    Parameters
    ----------
    points : (N, D) array
        Real; one point a row. No parametrization, no grid, no dimension is asked for.
    kappa : float or (N,) array, default 1
        The positive coefficient at the points. 1: the Laplace-Beltrami operator, with eigenvalues >= 0.
    neighbors : int or "auto"
        Of a point, itself included; "auto" is 128, at most N.
    bandwidth : float or "auto"
        eps of the kernel ``exp(-d^2 / (4 eps))``, with "variable" ``exp(-d^2 / (4 eps rho_i rho_j))``.
        "auto": where the logarithm of the kernel's sum has the largest slope over log eps.
    kernel : {"fixed", "variable"}
        "variable" follows the sampling density; for densities that vary by more than ten.
    dimension : float or "auto"
        Intrinsic dimension, for the variable kernel and ghost points; "auto" estimates and rounds it.
    boundary : Boundary, optional
        With ghost points, values beyond the boundary continue u there. Without a boundary, the operator of a
        manifold that has one is that of zero normal derivative, to first order in sqrt(eps).
    check_finite : bool, default True

    Returns
    -------
    LaplacianResult
        `stiffness`, `mass` and `offset`; ``.apply(u)``. `info.path` says "symmetric" or "ghost points",
        `info.rank` is N less the number of connected parts of the graph.

    Raises
    ------
    InputError
        An argument does not fit; points coincide so that no length is left.
    NonFiniteError
        Points or kappa hold NaN or Inf.

    Notes
    -----
    *Algorithm*: diffusion maps (Coifman and Lafon, 2006, alpha = 1; Berry and Harlim, 2016, beta = -1/2) on
    the symmetrized graph of nearest neighbors, weighted as in Gilani and Harlim (2019): with s = kappa^(1/2),
    ``sum_j s_i K_ij s_j (u_j - u_i) / (eps m_i)`` tends to ``s (Lap(s u) - u Lap s) =
    div(kappa grad u)``, with an error of O(eps) + O(N^(-1/2) eps^(-1/2 - d/4)) for N points
    at random. Multiplied by m_i it is symmetric, pair by pair and bit for bit.

    *Cost*: a KD-tree query and some twenty passes over N k pairs; 40 N k bytes.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> t = 2 * np.pi * np.arange(400) / 400
    >>> L = randnla.manifold.laplacian(np.c_[np.cos(t), 2 * np.sin(t)], neighbors=32)
    >>> bool(abs(L.stiffness - L.stiffness.T).max() == 0), L.info.path
    (True, 'symmetric')
    """
    array = checked_points(points, check_finite=validate.flag(check_finite, name="check_finite"))
    weights = checked_coefficient(kappa, len(array), name="kappa", check_finite=check_finite)
    if not (weights > 0).all():
        raise InputError(f"kappa: expected positive numbers, got {weights.min()}")
    count = checked_neighbors(neighbors, len(array))
    eps = checked_bandwidth(bandwidth)
    d = checked_dimension(dimension, array.shape[1])
    validate.choice(kernel, KERNELS, name="kernel")
    edge = checked_boundary(boundary, array)
    require_spread(array)
    if edge is None or edge.ghosts == 0:
        return _closed(array, weights, count, kernel, eps, d)
    return _with_ghosts(array, weights, count, kernel, eps, d, edge)


def _closed(
    points: Array, kappa: Array, count: int, kind: str, eps: float | None, d: float | None
) -> LaplacianResult:
    made = make_kernel(points, count, kind, eps, d)
    return _result(made, stiffness_of(made, kappa), made.mass, np.zeros(len(points)), "symmetric")


def _result(made: Kernel, stiffness: Any, mass: Array, offset: Array, path: str) -> LaplacianResult:
    info = Info(
        rank=len(mass) - made.graph.components(),
        method="diffusion maps",
        path=path,
        entries=len(made.values),
        memory=4 * made.values.nbytes,
    )
    return LaplacianResult(
        stiffness, mass, offset=offset, bandwidth=made.eps, dimension=made.dimension, info=info
    )


def stiffness_of(made: Kernel, kappa: Array) -> Any:
    """``(diag(W 1) - W) / eps`` with ``W_ij = s_i K_ij s_j``, s the root of kappa."""
    graph = made.graph
    values = made.values  # of no use afterwards
    if np.ptp(kappa) > 0 or kappa[0] != 1:
        graph.multiply(values, np.sqrt(kappa))
    values *= -1.0 / made.eps
    values[graph.indptr[:-1]] = 0.0
    values[graph.indptr[:-1]] = -graph.sums(values)
    return graph.matrix(values)


def resolved_dimension(points: Array, d: float | None) -> int:
    """As given, or estimated and rounded."""
    found = dimension_of(of_itself(points, min(len(points), 21)).squared) if d is None else d
    if not np.isfinite(found):
        raise InputError("dimension: cannot be estimated from these points; expected a number")
    return int(min(max(1, round(found)), points.shape[1]))


def _with_ghosts(
    points: Array, kappa: Array, count: int, kind: str, eps: float | None, d: float | None, edge: Boundary
) -> LaplacianResult:
    n = len(points)
    whole = resolved_dimension(points, d)
    ghosts = make_ghosts(points, edge, whole)
    made = make_kernel(np.concatenate([points, ghosts.points]), count, kind, eps, float(whole))
    full = stiffness_of(made, continued(kappa, ghosts))[:n]
    beyond = full[:, n:]
    stiffness = (full[:, :n] + beyond @ ghosts.weights).tocsr()
    mass = made.mass[:n]
    return _result(made, stiffness, mass, (beyond @ ghosts.offset) / mass, "ghost points")
