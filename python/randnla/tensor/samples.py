# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Components of the covariance of tensors that are known by samples; it is never formed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError, warn
from randnla._backend.kernels.dense import gemm
from randnla._backend.kernels.qr import tsqr
from randnla._backend.kernels.tensor import khatri_rao, slabs
from randnla._backend.results import Info
from randnla._backend.rng import seed_from
from randnla.lowrank.svd import svd

from .arguments import Array, Problem, change, checked_tensor, unit_columns
from .composite import leading_vector, rank_one
from .results import CPResult
from .sweeps import CONDITION, dual_basis


def cp_covariance(
    X: Any,
    rank: int,
    *,
    center: bool = True,
    tol: float | None = None,
    max_iters: int = 50,
    rng: Any = None,
    check_finite: bool = True,
) -> CPResult:
    """CP components of the covariance of random tensors, from samples of them.

    The model is ``X_i = sum_j f_ij a_0j o ... o a_{K-1}j + noise`` with uncorrelated f_j: the covariance, a
    tensor of order 2 K, is ``sum_j weights_j a_0j o ... o a_{K-1}j o a_0j o ... o a_{K-1}j`` and the noise's.

    Parameters
    ----------
    X : array of shape (N, d_0, ..., d_{K-1}), K = 2..5
        Real samples.
    rank : int
        Components; at most the least d_k and N.
    center : bool, default True
        Subtract the mean of the samples.
    tol : float, optional
        Largest sine of the angle that a column may still move by in a sweep, rounding apart; 1e-8, in
        float32 1e-4.
    max_iters : int, default 50
        Sweeps.
    rng : int, SeedSequence, Generator or None
        Seed of the start.
    check_finite : bool, default True
        Refuse NaN and Inf.

    Returns
    -------
    CPResult
        Weights are variances (over N) of the components' scores, noise in the direction of their duals
        included; each factor (d_k, rank) has a positive entry of largest magnitude in every column. `info`
        carries the Frobenius error against the covariance of the samples, measured.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        X holds NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        Columns still move, or factors are so nearly dependent that their duals inflate noise.

    Notes
    -----
    *Algorithm*: Han and Zhang (2021), composite PCA and ICO of a covariance tensor: the right singular
    vectors of the samples, folded and cut to rank one; then for each mode the leading eigenvector of the
    covariance of the samples contracted with the dual bases of the other modes. Components with correlated
    scores are recovered too where there is no noise. In the start each component is taken out of the span of
    the principal vectors left, so that equal variances do not lead to one twice; this is ours.

    *Cost*: K products of 2 r N prod(d_k) flops a sweep and Gram matrices of the contracted samples; the error
    takes 2 N d min(N, d) flops, d = prod(d_k).

    Examples
    --------
    >>> import numpy as np, randnla.tensor
    >>> rng = np.random.default_rng(0)
    >>> f, A, B = rng.standard_normal((50, 2)) * [3, 1], np.eye(5)[:, :2], np.eye(4)[:, 1:3]
    >>> result = randnla.tensor.cp_covariance(np.einsum("nr,ir,jr->nij", f, A, B), 2, rng=0)
    >>> result.factors[1].argmax(axis=0).tolist()
    [1, 2]
    """
    problem = checked_tensor(X, check_finite=check_finite, name="X")
    room = int(np.finfo(problem.values.dtype).maxexp) - 30
    if abs(2 * problem.exponent) > room:
        raise InputError(
            f"X: expected entries with variances in range, the largest between 2^-{room // 2} and "
            f"2^{room // 2}, got one near 2^{problem.exponent}"
        )
    center = validate.flag(center, name="center")
    rank = validate.rank(rank, min(problem.shape))
    max_iters = validate.integer(max_iters, name="max_iters", low=1)
    values = problem.values
    tol = (1e-8 if values.dtype == np.float64 else 1e-4) if tol is None else validate.tolerance(tol)
    seed = seed_from(rng)
    if center and values.size:
        values = values - values.mean(axis=0)
    values = np.ascontiguousarray(values)
    factors = _start(values, rank, seed)
    state = _iterate(values, factors, tol, max_iters)
    if not state["converged"] or state["condition"] > CONDITION:
        warn(
            f"cp_covariance: columns still move by {state['residual']:.3g} after {state['iterations']} "
            f"sweeps, factors have condition {state['condition']:.3g}; raise max_iters or tol, or take fewer "
            "components"
        )
    if not math.isfinite(state["condition"]):
        state["condition"] = None
    path = "centered, cpca" if center else "cpca"
    return _finish(problem, values, factors, method="ico", path=path, seed=seed, **state)


def _start(X: Array, rank: int, seed: int) -> list[Array]:
    """Principal components, folded and cut to rank one, each taken out of the span of those that follow.

    Equal variances leave a rotation of the components, of which two would be cut to the same one: it would
    stay twice, for the dual basis cannot part it.
    """
    shape = X.shape[1:]
    factors: list[Array] = [np.zeros((d, rank), X.dtype) for d in shape]
    if not rank:
        return factors
    left = svd(X.reshape(len(X), -1), rank, rng=seed).Vh
    for j in range(rank):
        vectors = rank_one(left[0].reshape(shape))
        for factor, v in zip(factors, vectors, strict=True):
            factor[:, j] = v
        c = left @ khatri_rao([v[:, None] for v in vectors])[:, 0]
        # A reflection of c to a multiple of the first coordinate, which is left out.
        c[0] += np.copysign(np.linalg.norm(c), c[0])
        size = float(c @ c)
        left = left[1:] - np.outer(c[1:], (c @ left) * (2 / size if size > 0 else 0))
    return factors


def _iterate(X: Array, factors: list[Array], tol: float, max_iters: int) -> dict[str, Any]:
    """Concurrent orthogonalization: the leading eigenvector of ``Y_j^T Y_j``, Y_j = X x_{l != k} b_lj."""
    if not factors[0].size or not np.any(X):
        return {"converged": True, "iterations": 0, "residual": 0.0, "condition": 1.0}
    duals, conditions = map(list, zip(*map(dual_basis, factors), strict=True))
    moved, condition, sweep = math.inf, max(conditions), 0
    while sweep < max_iters and moved > tol:
        moved, sweep = 0.0, sweep + 1
        for k, old in enumerate(factors):
            Y = contracted(X, duals, k)
            V = np.stack([leading_vector(Y[:, :, j].T) for j in range(old.shape[1])], axis=1)
            sizes = np.array([np.linalg.norm(Y[:, :, j] @ v) for j, v in enumerate(V.T)])
            V, _ = unit_columns(np.where(sizes > 0, V, old))
            moved = max(moved, change(V, old, sizes))
            factors[k] = V
            duals[k], c = dual_basis(V)
            condition = max(condition, c)
    return {"converged": moved <= tol, "iterations": sweep, "residual": moved, "condition": condition}


def contracted(X: Array, vectors: list[Array], mode: int) -> Array:
    """``Y[i, :, j] = X_i x_{l != mode} vectors_l[:, j]``: (N, d_mode, r), in blocks for the cache."""
    shape = X.shape[1:]
    weights = khatri_rao([v for k, v in enumerate(vectors) if k != mode])
    out = np.empty((len(X), shape[mode], weights.shape[1]), X.dtype)
    for part, slab in slabs(X, math.prod(shape)):
        rows = np.ascontiguousarray(np.moveaxis(slab, mode + 1, 1)).reshape(-1, len(weights))
        gemm(rows, weights, out[part].reshape(-1, weights.shape[1]))
    return out


def _finish(problem: Problem, X: Array, factors: list[Array], **account: Any) -> CPResult:
    """Variances of the scores, order and signs, and the error against the covariance of the samples."""
    rank = factors[0].shape[1]
    for factor in factors:
        if factor.size:
            picked = factor[np.argmax(np.abs(factor), axis=0), np.arange(rank)]
            factor *= np.where(picked < 0, -1, 1).astype(factor.dtype)
    flat = X.reshape(len(X), math.prod(X.shape[1:]))
    scores = gemm(flat, khatri_rao([dual_basis(factor)[0] for factor in factors]))
    weights = np.sum(np.square(scores, dtype=np.float64), axis=0) / max(1, len(X))
    weights[weights <= np.finfo(X.dtype).eps ** 2 * np.max(weights, initial=0.0)] = 0
    order = np.argsort(-weights, kind="stable")
    weights, factors = weights[order].astype(X.dtype), [factor[:, order] for factor in factors]
    error, size = covariance_errors(flat, weights, khatri_rao(factors))
    info = Info(
        rank=int(np.count_nonzero(weights)),
        error_estimate=math.ldexp(error, 2 * problem.exponent),
        error_kind="frobenius",
        error_relative=error / size if size > 0 else 0.0,
        certificate="exact",
        **account,
    )
    kind = problem.kind
    weights = namespace.restore(kind, np.ldexp(weights, 2 * problem.exponent))
    return CPResult(weights, namespace.restore_all(kind, *factors), info=info)


def covariance_errors(X: Array, weights: Array, V: Array) -> tuple[float, float]:
    """``||X^T X / N - V diag(weights) V^T||_F`` and ``||X^T X / N||_F``, differences before norms.

    Of many samples block by block, of few through the R of a QR decomposition of ``[X^T V]``, which has the
    same norms.
    """
    n, d = X.shape
    if n == 0 or d == 0:
        return 0.0, 0.0
    if n + V.shape[1] <= d:
        _, R = tsqr(np.concatenate([X.T, V], axis=1), with_q=False)
        X, V = np.ascontiguousarray(R[:, :n].T), R[:, n:]
    scaled, off, whole = np.ascontiguousarray((V * weights).T), 0.0, 0.0
    step = max(1, (1 << 20) // X.shape[1])
    for i in range(0, X.shape[1], step):
        block = gemm(X[:, i : i + step].T, X) / n
        whole += float(np.sum(np.square(block, dtype=np.float64)))
        block -= gemm(V[i : i + step], scaled)
        off += float(np.sum(np.square(block, dtype=np.float64)))
    return math.sqrt(off), math.sqrt(whole)
