# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Registries: a new thing is tested by adding a row here; a public name without a row fails the suite."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

import randnla
from randnla import operators, sketching

# False alarm probability of one statistical assertion.
ALPHA = 1e-12

REAL_DTYPES = (np.float32, np.float64)
DTYPES = (
    np.float16,
    np.float32,
    np.float64,
    np.complex64,
    np.complex128,
    np.int8,
    np.int64,
    np.uint16,
    np.bool_,
)


# -- layouts: the same values, stored otherwise ------------------------------------------------------


def _sliced(A):
    big = np.full((2 * A.shape[0], 3 * A.shape[1]), 99, dtype=A.dtype)
    big[::2, 1::3] = A
    return big[::2, 1::3]


def _read_only(A):
    copy = A.copy()
    copy.flags.writeable = False
    return copy


def _unaligned(A):
    raw = np.zeros(A.nbytes + 1, dtype=np.uint8)
    out = raw[1:].view(A.dtype).reshape(A.shape)
    out[...] = A
    return out


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "c": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "sliced": _sliced,
    "fortran_sliced": lambda A: _sliced(A.T).T,
    "reversed_rows": lambda A: A[::-1].copy()[::-1],
    "reversed_columns": lambda A: A[:, ::-1].copy()[:, ::-1],
    "read_only": _read_only,
    "unaligned": _unaligned,
    "big_endian": lambda A: A.astype(A.dtype.newbyteorder(">")),
}


# -- kinds of arrays ---------------------------------------------------------------------------------


def _torch(A):
    import torch

    return torch.from_numpy(np.array(A))


BACKENDS: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": lambda A: A,
    "torch": _torch,
}


# -- operators: from an array, an operator of the same values ----------------------------------------


def _stream(A):
    return operators.RowStream(
        lambda: (A[i : i + 7] for i in range(0, len(A), 7)), shape=A.shape, dtype=A.dtype
    )


OPERATORS: dict[str, Callable[[np.ndarray], operators.LinearOperator]] = {
    "Dense": operators.Dense,
    "Sparse_csr": lambda A: operators.Sparse(scipy.sparse.csr_array(A)),
    "Sparse_csc": lambda A: operators.Sparse(scipy.sparse.csc_matrix(A)),
    "Sparse_coo": lambda A: operators.Sparse(scipy.sparse.coo_array(A)),
    "RowStream": _stream,
    "RowStream_transposed": lambda A: _stream(A.T).T,
    "as_operator_scipy": lambda A: randnla.as_operator(scipy.sparse.linalg.aslinearoperator(A)),
    "transposed": lambda A: operators.Dense(A.T).T,
    "adjoint": lambda A: operators.Dense(A.conj().T).H,
    "product": lambda A: operators.Dense(A) @ operators.Dense(np.eye(A.shape[1], dtype=A.dtype)),
    "sum": lambda A: operators.Dense(A) + operators.Sparse(scipy.sparse.csr_array(A)) - operators.Dense(A),
    "scaled": lambda A: 0.5 * operators.Dense(2 * A),
}


# -- random maps -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SketchCase:
    """A kind of map.

    make : (d, m, rng=, dtype=, stream=) -> map
    embedding : bound on ``d E ||U^T S^T S U - I||_F^2`` for orthonormal U, from U.
    rounding : multiple of eps that products may differ by from the dense ones, over sums of magnitudes.
    """

    make: Callable[..., sketching.RandomMap]
    embedding: Callable[[np.ndarray], float]
    any_length: bool = True
    sampling: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


def _pairs(U: np.ndarray) -> float:
    # (S^T S)_ij, i < j, are uncorrelated with variance 1/d at most, and the diagonal is 1 (variance 2/d for
    # Gaussian): E ||U^T S^T S U - I||_F^2 <= (k^2 + k) / d, with equality for Gaussian.
    k = U.shape[1]
    return float(k * k + k)


def _cosine(U: np.ndarray) -> float:
    # C_ij^2 <= 2/m doubles the variances; the diagonal, of variance 2/d, adds 2 k.
    k = U.shape[1]
    return float(2 * k * k + 4 * k)


def _sampled(U: np.ndarray) -> float:
    # E || sum_t u u^T m / d - I ||_F^2 <= (m / d) sum_j |u_j|^4
    return float(len(U) * ((U**2).sum(axis=1) ** 2).sum())


def scores_for(m: int) -> np.ndarray:
    """Uneven scores without zeros."""
    return 1.0 + np.arange(m) % 5


def _leverage(d, m, **options):
    return sketching.LeverageSampling(d, m, scores=scores_for(m), **options)


def _by_scores(U: np.ndarray) -> float:
    p = scores_for(len(U)) / scores_for(len(U)).sum()
    return float((((U**2).sum(axis=1) ** 2) / p).sum())


SKETCHES: dict[str, SketchCase] = {
    "Gaussian": SketchCase(sketching.Gaussian, _pairs),
    "Sign": SketchCase(sketching.Sign, _pairs),
    "SparseSign": SketchCase(sketching.SparseSign, _pairs),
    "CountSketch": SketchCase(sketching.CountSketch, _pairs),
    "SRHT": SketchCase(sketching.SRHT, _pairs, any_length=False),
    "SRFT": SketchCase(sketching.SRFT, _cosine, any_length=False),
    "RowSampling": SketchCase(sketching.RowSampling, _sampled, sampling=True),
    "LeverageSampling": SketchCase(_leverage, _by_scores, any_length=False, sampling=True),
}


# -- decompositions: a call on an (m, n) array with m >= n, with its factors put together -------------


@dataclass(frozen=True)
class Decomposition:
    """call(A, rng=...) -> result; rebuild(result, A) -> what approximates A; symmetric: A = A^T >= 0."""

    call: Callable[..., Any]
    rebuild: Callable[[Any, np.ndarray], np.ndarray]
    symmetric: bool = False


DECOMPOSITIONS: dict[str, Decomposition] = {
    "svd": Decomposition(lambda A, **o: randnla.svd(A, 4, **o), lambda r, A: (r.U * r.s) @ r.Vh),
    "eigh": Decomposition(
        lambda A, **o: randnla.eigh(A, 4, **o), lambda r, A: (r.V * r.w) @ r.V.conj().T, symmetric=True
    ),
    "nystrom": Decomposition(
        lambda A, **o: randnla.nystrom(A, 4, **o), lambda r, A: (r.V * r.w) @ r.V.conj().T, symmetric=True
    ),
    "pca": Decomposition(
        lambda A, **o: randnla.pca(A, 4, **o), lambda r, A: r.scores @ r.components + r.mean
    ),
    "range_finder": Decomposition(
        lambda A, **o: randnla.range_finder(A, 4, **o), lambda r, A: r.Q @ (r.Q.conj().T @ A)
    ),
    "qr": Decomposition(lambda A, **o: randnla.qr(A), lambda r, A: r.Q @ r.R),
}
AVAILABLE_DECOMPOSITIONS = {name: row for name, row in DECOMPOSITIONS.items() if name in randnla.__all__}

# Public names that are neither maps, operators nor decompositions, with the file that tests them.
OTHERS: dict[str, str] = {
    "BreakdownError": "backend/test_errors.py",
    "CapacityError": "backend/test_errors.py",
    "ConvergenceWarning": "backend/test_errors.py",
    "InputError": "backend/test_errors.py",
    "NonFiniteError": "backend/test_errors.py",
    "StateError": "backend/test_errors.py",
    "LinearOperator": "operators/test_operators.py",
    "as_operator": "operators/test_operators.py",
    "sketch": "sketching/test_sketch.py",
    "leverage_scores": "sketching/test_leverage.py",
    "info": "backend/test_system.py",
    "num_threads": "backend/test_threads.py",
    "set_num_threads": "backend/test_threads.py",
    "__version__": "backend/test_system.py",
}


def registered_names() -> set[str]:
    """All public names that some registry row covers."""
    bases = {name.split("_")[0] for name in OPERATORS}
    return bases | set(SKETCHES) | set(DECOMPOSITIONS) | set(OTHERS)


def hoeffding(total_squares: np.ndarray, count: int) -> np.ndarray:
    """Threshold for |sum of independent symmetric variables| given their squares, over `count` assertions."""
    return np.sqrt(2.0 * math.log(2.0 * count / ALPHA) * total_squares)
