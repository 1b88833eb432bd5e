# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Diffusion maps: eigenfunctions of the Laplacian as coordinates, and their continuation off the cloud."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse
from scipy.spatial import cKDTree

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError, warn
from randnla._backend.results import Info, Result
from randnla._backend.rng import STREAM_VERSION, seed_from
from randnla.lowrank.scaling import fix_signs

from .arguments import checked_bandwidth, checked_dimension, checked_neighbors
from .cloud import Neighbors, checked_points, nearest, require_spread
from .evaluation import checked_queries
from .kernels import KERNELS, make_kernel
from .operators import stiffness_of
from .spectrum import smallest

TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class DiffusionMapResult(Result):
    """Eigenvalues w (k,) ascending from 0 and eigenfunctions V (N, k) of minus the Laplacian at the points.

    The mean square of each over the manifold, ``mass @ V**2 / mass.sum()``, is 1.

    Attributes
    ----------
    mass : (N,) array
        Volumes of the points up to a constant.
    bandwidth : float
    dimension : float or None
    """

    w: Any
    V: Any
    mass: Any = field(kw_only=True)
    bandwidth: float = field(kw_only=True)
    dimension: float | None = field(kw_only=True)
    points: Any = field(kw_only=True)
    scales: Any = field(kw_only=True)
    weights: Any = field(kw_only=True)
    neighbors: int = field(kw_only=True)
    info: Info = field(default_factory=Info, kw_only=True)

    _not_factors = ("info", "mass", "bandwidth", "dimension", "points", "scales", "weights", "neighbors")

    def coordinates(self, time: float = 0.0) -> Any:
        """The embedding (N, k - 1) after this diffusion time: ``exp(-w_j time) V_j`` without the constant."""
        t = validate.real(time, name="time", low=0.0)
        return np.exp(-t * self.w[1:]) * self.V[:, 1:]

    def extend(self, points: Any) -> Any:
        """The eigenfunctions (M, k) at other points of the manifold, by Nystrom interpolation.

        ``phi(x) = sum_j p(x, x_j) phi(x_j) / (1 - eps rho(x)^2 w)`` with the transition probabilities p of
        the kernel: what an eigenfunction of those satisfies on the cloud. rho is 1 for the fixed kernel; for
        the variable one its logarithm is averaged over the points around x. Errors grow as ``eps rho^2 w``
        nears 1.
        """
        kind = namespace.kind_of(points)
        X = checked_queries(points, self.points.shape[1])
        found = nearest(cKDTree(self.points), X, self.neighbors)
        scales = self.scales[found.index]
        around = self._transitions(found, scales * scales[:, :1])
        own = np.exp(np.sum(around * np.log(scales), axis=1, keepdims=True))
        weights = self._transitions(found, scales * own)
        rows = np.arange(0, weights.size + 1, self.neighbors)
        P = scipy.sparse.csr_array(
            (weights.ravel(), found.index.ravel(), rows), shape=(len(X), len(self.points))
        )
        decay = 1 - self.bandwidth * own**2 * self.w
        return namespace.restore(kind, (P @ self.V) / np.maximum(decay, 1e-3))

    def _transitions(self, found: Neighbors, scales: Any) -> Any:
        """Rows of the kernel normalized; far from the cloud, beyond its reach, the nearest points count."""
        squared = found.squared / scales
        squared -= squared.min(axis=1, keepdims=True)
        weights = np.exp(-squared / (4 * self.bandwidth)) * self.weights[found.index]
        return weights / weights.sum(axis=1, keepdims=True)

    def interpolate(self, u: Any, points: Any) -> Any:
        """A function u (N,) on the cloud at other points: projected on the eigenfunctions, which extend."""
        x = validate.as_array(u, name="u", ndim=1)
        if len(x) != len(self.mass):
            raise InputError(f"u: expected {len(self.mass)} numbers, got {len(x)}")
        kind = namespace.kind_of(points)
        c = self.V.T @ (self.mass * x) / self.mass.sum()
        return namespace.restore(kind, self.extend(np.asarray(namespace.to_host(points, name="points"))) @ c)


def diffusion_map(
    points: Any,
    rank: int = 10,
    *,
    neighbors: int | str = "auto",
    bandwidth: float | str = "auto",
    kernel: str = "fixed",
    dimension: float | str = "auto",
    tol: float = TOLERANCE,
    rng: Any = None,
    check_finite: bool = True,
) -> DiffusionMapResult:
    """The smoothest functions on a manifold known by points: eigenfunctions of its Laplace-Beltrami operator.

    Parameters
    ----------
    points : (N, D) array
        Real; one point a row.
    rank : int, default 10
        Number of eigenfunctions, the constant among them; at least 1, at most N.
    neighbors, bandwidth, kernel, dimension
        As in `laplacian`.
    tol : float, default 1e-6
        Residual of every pair, over the largest eigenvalue asked for.
    rng : None, int, SeedSequence or Generator
        Of the first basis.
    check_finite : bool, default True

    Returns
    -------
    DiffusionMapResult
        w ascending, V with the entry of largest magnitude of each column positive. `info.error_estimate` is
        the largest residual norm: an eigenvalue of the discrete operator lies as near to every w.
        ``.coordinates(time)`` is the embedding; ``.extend(points)`` and ``.interpolate(u, points)`` go off
        the cloud.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        The points hold NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        A residual exceeds `tol`.

    Notes
    -----
    *Algorithm*: Coifman and Lafon (2006), alpha = 1, or Berry and Harlim (2016), see `laplacian`. The pairs
    of ``M^(-1/2) K M^(-1/2)`` are found by `eigh` behind a Chebyshev filter (Zhou and Saad, 2007),
    warm-started round by round. Clouds of at most 200 points are left to LAPACK.

    *Cost*: a round takes some (1.5 / eps / gap)^(1/2) products with rank + 8 columns, gap that of the
    eigenvalues after the last one.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> t = 2 * np.pi * np.arange(1000) / 1000
    >>> found = randnla.manifold.diffusion_map(np.c_[np.cos(t), np.sin(t)], 5, neighbors=32, rng=0)
    >>> found.w.round(1) + 0.0
    array([0., 1., 1., 4., 4.])
    """
    array = checked_points(points, check_finite=validate.flag(check_finite, name="check_finite"))
    n = len(array)
    k = validate.integer(rank, name="rank", low=1, high=n)
    count = checked_neighbors(neighbors, n)
    eps, d = checked_bandwidth(bandwidth), checked_dimension(dimension, array.shape[1])
    validate.choice(kernel, KERNELS, name="kernel")
    limit, seed = validate.tolerance(tol), seed_from(rng)
    require_spread(array)
    made = make_kernel(array, count, kernel, eps, d)
    K, mass = stiffness_of(made, np.ones(n)), made.mass
    scaling = scipy.sparse.diags_array(1.0 / np.sqrt(mass))
    A = (scaling @ K @ scaling).tocsr()
    pairs = smallest(A, k, 2.0 * float(A.diagonal().max()), limit, seed)
    V = pairs.V / np.sqrt(mass / mass.sum())[:, None]
    fix_signs(V)
    worst = float(pairs.residuals.max())
    size = float(pairs.w[-1])
    info = Info(
        rank=k,
        method=kernel,
        path="lapack" if pairs.rounds == 0 else "filtered subspace",
        error_estimate=worst,
        error_kind="spectral",
        error_relative=worst / size if size > 0 else worst,
        certificate="exact",
        converged=worst <= limit * max(size, 1e-12 * float(A.diagonal().max())),
        iterations=pairs.rounds,
        matvecs=pairs.matvecs,
        seed=seed,
        stream_version=STREAM_VERSION,
        memory=4 * made.values.nbytes + 4 * V.nbytes,
    )
    if not info.converged:
        warn(f"diffusion_map: residual {worst:.3g} exceeds tol={limit:.3g} times {size:.3g}")
    return DiffusionMapResult(
        pairs.w, V, mass=mass, bandwidth=made.eps, dimension=made.dimension, points=array,
        scales=made.scales, weights=made.weights, neighbors=count, info=info,
    )  # fmt: skip
