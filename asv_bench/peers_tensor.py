# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Contenders for decompositions of tensors, as in `peers`: tensorly comes with the first call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def khatri_rao(A: Array, B: Array) -> Array:
    return (A[:, None, :] * B).reshape(-1, A.shape[1])


def by_hand_mttkrp(T: Array, factors: list[Array], mode: int) -> Array:
    """The unfolding, a copy but for the first mode, times the Khatri-Rao product."""
    others = [factor for k, factor in enumerate(factors) if k != mode]
    return np.moveaxis(T, mode, 0).reshape(T.shape[mode], -1) @ khatri_rao(*others)


def einsum_mttkrp(T: Array, factors: list[Array], mode: int) -> Array:
    rule = ("ijk,jr,kr->ir", "ijk,ir,kr->jr", "ijk,ir,jr->kr")[mode]
    others = [factor for k, factor in enumerate(factors) if k != mode]
    return np.einsum(rule, T, *others, optimize=True)


def by_hand_tensor_sketch(factors: list[Array], d: int, rng: np.random.Generator) -> Array:
    """Pham and Pagh (2013): CountSketches of the factors, multiplied as Fourier transforms."""
    total = np.ones((d // 2 + 1, factors[0].shape[1]), np.complex128)
    for F in factors:
        S = np.zeros((d, F.shape[1]))
        np.add.at(S, rng.integers(0, d, len(F)), rng.choice([-1.0, 1.0], len(F))[:, None] * F)
        total *= np.fft.rfft(S, axis=0)
    return np.fft.irfft(total, d, axis=0)


def by_hand_khatri_rao_sketch(factors: list[Array], d: int, rng: np.random.Generator) -> Array:
    """Sun, Guo, Tropp and Udell (2018): a product of signs with every factor."""
    parts = [rng.choice([-1.0, 1.0], (d, len(F))) @ F for F in factors]
    return np.prod(parts, axis=0) / d**0.5


def sklearn_tensor_sketch(F: Array, degree: int, d: int) -> Array:
    """Of powers of the columns: all factors the same."""
    from sklearn.kernel_approximation import PolynomialCountSketch

    return PolynomialCountSketch(degree=degree, n_components=d, random_state=0).fit_transform(F.T).T


def tensorly_mttkrp(T: Array, factors: list[Array], mode: int) -> Array:
    from tensorly.tenalg import unfolding_dot_khatri_rao

    return unfolding_dot_khatri_rao(T, (None, factors), mode)


def by_hand_als(T: Array, rank: int, sweeps: int) -> list[Array]:
    """Alternating least squares from singular vectors of the unfoldings, as many sweeps as told."""
    factors = []
    for k, d in enumerate(T.shape):
        M = np.moveaxis(T, k, 0).reshape(d, -1)
        w, V = np.linalg.eigh(M @ M.T)
        factors.append(V[:, np.argsort(-w)[:rank]])
    for _ in range(sweeps):
        for k in range(T.ndim):
            G = np.prod([F.T @ F for j, F in enumerate(factors) if j != k], axis=0)
            factors[k] = np.linalg.solve(G, by_hand_mttkrp(T, factors, k).T).T
            if k < T.ndim - 1:
                factors[k] = factors[k] / np.linalg.norm(factors[k], axis=0)
    return factors


def tensorly_parafac(T: Array, rank: int) -> list[Array]:
    from tensorly.decomposition import parafac

    weights, factors = parafac(T, rank, init="svd", n_iter_max=500, tol=1e-10, random_state=0)
    return [factors[0] * weights, *factors[1:]]


def tensorly_tucker(T: Array, rank: int) -> tuple[Array, list[Array]]:
    from tensorly.decomposition import tucker

    core, factors = tucker(T, [rank] * T.ndim, n_iter_max=1, init="svd")
    return core, factors
