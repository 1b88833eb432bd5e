# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tucker decompositions by truncated decompositions of the unfoldings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import gemm
from randnla._backend.results import Info
from randnla._backend.rng import seed_from
from randnla.lowrank.svd import svd

from .arguments import checked_tensor
from .results import TuckerResult


def hosvd(T: Any, ranks: int | Sequence[int], *, rng: Any = None, check_finite: bool = True) -> TuckerResult:
    """Randomized Tucker decomposition: the sequentially truncated higher-order SVD.

    Parameters
    ----------
    T : array of shape (d_0, ..., d_{K-1}), K = 2..6
        Real.
    ranks : int or sequence of K ints
        Columns of the factors; at most the mode's length and the product of the other ranks and lengths left.
    rng : int, SeedSequence, Generator or None
        Seed of the randomized decompositions.
    check_finite : bool, default True
        Refuse NaN and Inf.

    Returns
    -------
    TuckerResult
        `info` with the error, which the steps' residuals make up exactly: they are orthogonal to each other.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        T holds NaN or Inf.

    Notes
    -----
    *Algorithm*: Vannieuwenhoven, Vandebril and Meerbergen (2012), with the randomized SVD of each
    unfolding. The error is at most the root of K times the least possible, up to the excess of the bases.

    *Cost*: a randomized SVD of each unfolding of what is left; the unfoldings of inner modes are copies.

    Examples
    --------
    >>> import numpy as np, randnla.tensor
    >>> result = randnla.tensor.hosvd(np.ones((4, 5, 6)), 1, rng=0)
    >>> round(abs(float(result.core[0, 0, 0])) ** 2, 9)
    120.0
    """
    problem = checked_tensor(T, check_finite=check_finite, orders=(2, 3, 4, 5, 6))
    wanted = _checked_ranks(ranks, problem.shape)
    seed = seed_from(rng)
    core, factors, squares = problem.values, [], 0.0
    for k, r in enumerate(wanted):
        M = np.moveaxis(core, k, 0).reshape(core.shape[k], math.prod(core.shape[:k] + core.shape[k + 1 :]))
        if r > M.shape[1]:
            raise InputError(
                f"ranks: expected at most {M.shape[1]} in mode {k}, the product of the others, got {r}"
            )
        U = svd(M, r, rng=seed).U
        P = gemm(U.T, M)
        step = max(1, (1 << 20) // max(1, len(M)))
        for j in range(0, M.shape[1], step):
            left = M[:, j : j + step] - gemm(U, P[:, j : j + step])
            squares += float(np.sum(np.square(left, dtype=np.float64)))
        rest = core.shape[:k] + core.shape[k + 1 :]
        core = np.moveaxis(P.reshape((r, *rest)), 0, k)
        factors.append(U)
    error = math.sqrt(squares)
    size = math.hypot(error, float(np.sqrt(np.sum(np.square(core, dtype=np.float64)))))
    info = Info(
        method="st-hosvd",
        seed=seed,
        error_estimate=math.ldexp(error, problem.exponent),
        error_kind="frobenius",
        error_relative=error / size if size > 0 else 0.0,
        certificate="exact",
    )
    core = np.ldexp(np.ascontiguousarray(core), problem.exponent)
    return TuckerResult(
        namespace.restore(problem.kind, core), namespace.restore_all(problem.kind, *factors), info=info
    )


def _checked_ranks(ranks: Any, shape: tuple[int, ...]) -> list[int]:
    if isinstance(ranks, Sequence) and not isinstance(ranks, str):
        if len(ranks) != len(shape):
            raise InputError(f"ranks: expected one number or {len(shape)}, got {len(ranks)}")
        return [
            validate.rank(r, d, name=f"ranks[{k}]") for k, (r, d) in enumerate(zip(ranks, shape, strict=True))
        ]
    return [validate.rank(ranks, d, name="ranks") for d in shape]
