# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Contenders for structured solves, as in `peers`: torch and linear_operator come with the first call."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Eigen = tuple[Array, Array]


def four_products(P: Array, Q: Array, V: Array) -> Array:
    """The products of a solve in eigenvectors, without what stands between them."""
    return P @ ((P.T @ V @ Q) @ Q.T)


def torch_four_products(P: Array, Q: Array, V: Array) -> Any:
    import torch

    p, q, v = (torch.from_numpy(X) for X in (P, Q, V))
    return lambda: (p @ ((p.T @ v @ q) @ q.T)).numpy()


def by_hand_kronecker_apply(eigen: list[Eigen], V: Array, damping: float) -> Array:
    (s, P), (t, Q) = eigen
    return P @ ((P.T @ V @ Q) / (np.multiply.outer(s, t) + V.dtype.type(damping))) @ Q.T


def torch_kronecker_apply(eigen: list[Eigen], V: Array, damping: float) -> Any:
    import torch

    (s, p), (t, q) = ((torch.from_numpy(w), torch.from_numpy(U)) for w, U in eigen)
    v = torch.from_numpy(V)
    return lambda: (p @ ((p.T @ v @ q) / (torch.outer(s, t) + damping)) @ q.T).numpy()


def torch_kronecker_solve(A: Array, B: Array, V: Array, damping: float) -> Array:
    import torch

    (s, p), (t, q) = (torch.linalg.eigh(torch.from_numpy(X)) for X in (A, B))
    v = torch.from_numpy(V)
    return (p @ ((p.T @ v @ q) / (torch.outer(s.clamp(0), t.clamp(0)) + damping)) @ q.T).numpy()


def linear_operator_kronecker_solve(A: Array, B: Array, V: Array, damping: float) -> Array:
    import torch
    from linear_operator.operators import DenseLinearOperator, KroneckerProductLinearOperator

    factors = (DenseLinearOperator(torch.from_numpy(X)) for X in (A, B))
    K = KroneckerProductLinearOperator(*factors).add_diagonal(torch.tensor(damping, dtype=torch.float32))
    with torch.no_grad():
        return K.solve(torch.from_numpy(V).reshape(-1, 1)).reshape(V.shape).numpy()


def by_hand_kronecker_low_rank_apply(
    eigen: list[tuple[Array, Array, Any]], V: Array, damping: float
) -> Array:
    """Range and complement on both sides: what remains of the four blocks after collecting terms."""
    (g, U, tau), (a, W, rho) = eigen
    f0, fl, fr = 1 / (tau * rho + damping), 1 / (g * rho + damping), 1 / (tau * a + damping)
    inner = 1 / (np.multiply.outer(g, a) + damping) - fl[:, None] - fr + f0
    number = V.dtype.type
    L, R = U.T @ V, V @ W
    out = number(f0) * V
    out += U @ ((fl - f0).astype(V.dtype)[:, None] * L + (inner.astype(V.dtype) * (L @ W)) @ W.T)
    out += (R * (fr - f0).astype(V.dtype)) @ W.T
    return out


def torch_kronecker_low_rank_apply(eigen: list[tuple[Array, Array, Any]], V: Array, damping: float) -> Any:
    import torch

    (g, u, tau), (a, w, rho) = ((torch.from_numpy(x), torch.from_numpy(X), float(t)) for x, X, t in eigen)
    v = torch.from_numpy(V)
    f0, fl, fr = 1 / (tau * rho + damping), 1 / (g * rho + damping), 1 / (tau * a + damping)
    inner = 1 / (torch.outer(g, a) + damping) - fl[:, None] - fr + f0

    def run() -> Array:
        left, right = u.T @ v, v @ w
        top = (fl - f0)[:, None] * left + (inner * (left @ w)) @ w.T
        return (f0 * v).addmm_(u, top).addmm_(right * (fr - f0), w.T).numpy()

    return run


def by_hand_kronecker_low_rank(
    A: Array, B: Array, V: Array, damping: float, rank: int, *, spread: bool
) -> Array:
    """Randomized eigenvectors of both factors with one power iteration, then Woodbury's identity.

    What is truncated counts as zero, as in the published solvers, or its trace is spread over the rest.
    """
    rng = np.random.default_rng(0)
    eigen = []
    for X in (A, B):
        Q = np.linalg.qr(X @ rng.standard_normal((len(X), rank + 10), dtype=X.dtype))[0]
        Q = np.linalg.qr(X @ Q)[0]
        w, S = np.linalg.eigh(Q.T @ X @ Q)
        w, U = w[: -rank - 1 : -1], Q @ S[:, : -rank - 1 : -1]
        eigen.append((w, U, max(0.0, (np.trace(X) - w.sum()) / (len(X) - rank))))
    if spread:
        return by_hand_kronecker_low_rank_apply(eigen, V, damping)
    (g, U, _), (a, W, _) = eigen
    inner = (1 / (np.multiply.outer(g, a) + damping) - 1 / damping).astype(V.dtype)
    return V * V.dtype.type(1 / damping) + U @ (inner * (U.T @ V @ W)) @ W.T


def torch_window_products(G: Array, x: Array, c: Array) -> Any:
    """The two matrix-vector products alone."""
    import torch

    g, x_, c_ = (torch.from_numpy(X) for X in (G, x, c))

    def run() -> Any:
        g.mv(x_)
        return g.T.mv(c_)

    return run


def linear_operator_logdet(A: Any, samples: int, steps: int) -> Any:
    """By stochastic Lanczos quadrature from sparse products; ``max_cholesky_size`` forces it."""
    import torch
    from linear_operator import settings, to_linear_operator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that sparse tensors are new
        T = torch.sparse_csr_tensor(*(torch.from_numpy(x) for x in (A.indptr, A.indices, A.data)), A.shape)

    def call() -> float:
        torch.manual_seed(0)
        with (
            torch.no_grad(),
            settings.num_trace_samples(samples),
            settings.max_lanczos_quadrature_iterations(steps),
            settings.max_cholesky_size(1),
        ):
            return float(to_linear_operator(T).logdet())

    return call


def scipy_neighbors(X: Array, k: int, threads: int) -> Any:
    """The query alone that every graph of neighbors starts with."""
    from scipy.spatial import cKDTree

    return cKDTree(X).query(X, k, workers=threads)


def by_hand_diffusion_operator(X: Array, k: int, threads: int, eps: float) -> tuple[Any, Array]:
    """Diffusion maps in a few lines of SciPy, at a bandwidth that is given: stiffness and mass."""
    import scipy.sparse as sp

    distance, index = scipy_neighbors(X, k, threads)
    kernel = sp.csr_array(
        (np.exp(-(distance.ravel() ** 2) / (4 * eps)), index.ravel(), np.arange(0, index.size + 1, k)),
        shape=(len(X), len(X)),
    )
    kernel = kernel.maximum(kernel.T)
    scale = sp.diags_array(1 / kernel.sum(axis=1))
    kernel = scale @ kernel @ scale
    mass = kernel.sum(axis=1)
    return (sp.diags_array(mass) - kernel) / eps, mass
