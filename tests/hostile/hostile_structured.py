# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Operators under attack: made of a hostile part, they refuse it by name or multiply as its matrix does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hostile_curvature import dtype_for, side
from hostile_functions import indefinite, magnitude
from hostile_targets import Array, Target, precision, rescale, slack

from randnla.operators import (
    DampedKronecker,
    DiagonalPlusLowRank,
    EntryOperator,
    KernelMatrix,
    Kronecker,
    KroneckerSum,
    LowRank,
    Masked,
    TwoTermKronecker,
)

# What errors call them, before and after they are looked through for NaN.
U, FACTOR = r"(A \()?U\b\)?", r"(A \()?factors?\b( 0\)|\[0\])?"
SMALL = np.array([[2.0, 0.5], [0.5, 1.0]])


def columns_of(A: Any) -> int:
    return 0 if getattr(A, "shape", ())[1:] == (0,) else side(A, 1)


def unit_of(A: Any, eps: float) -> float:
    """`magnitude`, not so small that its reciprocal leaves the range of the dtype."""
    return max(magnitude(A), 2.0**-100 if eps > 1e-10 else 0.0)


def held(A: Any) -> Any:
    """Of what is known by its products alone no eigenvectors are made: `test_structured` asks for that."""
    return np.array(A) if isinstance(A, np.memmap) else A


def thin(rows: int, columns: int = 3) -> Array:
    """What float32 holds."""
    return np.random.default_rng(13).integers(-8, 9, (rows, columns)) / 8


def multiplied(make: Callable[[Any], Any]) -> Callable[[Any], Array]:
    def call(A: Any) -> Array:
        op = make(A)
        op.require_finite(name="A")
        return np.asarray(op @ thin(op.shape[1]).astype(np.float32))

    return call


def check_product(matrix: Callable[[Array], Array]) -> Callable[..., str | None]:
    """`matrix(truth in units of 2^e)`, e that of `magnitude`, is what the operator stands for."""

    def check(result: Any, truth: Array, eps: float) -> str | None:
        e = int(np.log2(magnitude(truth)))
        M = matrix(rescale(truth, e))
        exact = M @ thin(M.shape[1])
        if np.shape(result) != exact.shape:
            return f"shape {np.shape(result)}, expected {exact.shape}"
        error = float(np.linalg.norm(rescale(result, e) - exact))
        bound = (200 * eps * float(np.linalg.norm(M)) + slack(truth, e, eps)) * (1 + len(M) ** 0.5)
        return None if error <= bound else f"error {error:.3e} > {bound:.3e}"

    return check


# -- one part under attack -----------------------------------------------------------------------------


def low_rank(U: Any) -> LowRank:
    return LowRank(U, V=thin(12, columns_of(U)).astype(np.float32))


def plus_low_rank(U: Any) -> DiagonalPlusLowRank:
    m = U.shape[0] if isinstance(U, np.ndarray) and U.ndim == 2 else side(U, 0)
    return DiagonalPlusLowRank(magnitude(U), U, V=thin(m, columns_of(U)).astype(np.float32))


def kernel(points: Any) -> Array:
    K = KernelMatrix(points, bandwidth=magnitude(points))
    return np.asarray(K @ thin(K.shape[1]).astype(np.float32))


def check_kernel(result: Any, truth: Array, eps: float) -> str | None:
    X = rescale(truth, int(np.log2(magnitude(truth))))
    K = np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(axis=2))
    if np.shape(result) != (len(X), 3):
        return f"shape {np.shape(result)}"
    error = float(np.linalg.norm(result - K @ thin(len(X))))
    # Differences of denormal numbers are those of their last bits: exact in either.
    bound = 200 * eps * (1 + float(np.linalg.norm(K))) * (1 + len(X) ** 0.5)
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


def from_entries(A: Any) -> Any:
    """An operator whose function returns what is under attack."""
    shape = A.shape if isinstance(A, np.ndarray) and A.ndim == 2 else (side(A, 0), side(A, 1))

    def entries(rows: Any, columns: Any) -> Any:
        return A[np.ix_(rows, columns)] if isinstance(A, np.ndarray) and A.ndim == 2 else A

    return EntryOperator(shape, entries=entries, dtype=dtype_for(A))


def masked(A: Any) -> Any:
    shape = A.shape if len(getattr(A, "shape", ())) == 2 else (side(A, 0), side(A, 1))
    return Masked(A, np.ones(shape, bool))


def damped(left: Any) -> Array:
    unit = unit_of(left, precision(left))
    K = DampedKronecker(held(left), SMALL.astype(np.float32), unit, form="exact")
    return np.asarray(K.solve(thin(K.shape[0]).astype(np.float32)))


def check_damped(result: Any, truth: Array, eps: float) -> str | None:
    e = int(np.log2(unit_of(truth, eps)))
    M = np.kron(rescale(truth, e), SMALL)
    exact = np.linalg.solve(M + np.eye(len(M)), thin(len(M)))
    if np.shape(result) != exact.shape:
        return f"shape {np.shape(result)}"
    error = float(np.linalg.norm(rescale(result, -e) - exact))
    bound = 200 * eps * (1 + float(np.linalg.norm(M))) * (1 + float(np.linalg.norm(exact)))
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


def eigenvalues(A: Any) -> Array:
    K = KroneckerSum(held(A), (magnitude(A) * SMALL).astype(dtype_for(A)))
    return K.eigen()[1]


def check_eigenvalues(result: Any, truth: Array, eps: float) -> str | None:
    e = int(np.log2(magnitude(truth)))
    A = rescale(truth, e)
    exact = np.add.outer(np.linalg.eigvalsh((A + A.conj().T) / 2), np.linalg.eigvalsh(SMALL)).ravel()
    if np.shape(result) != exact.shape:
        return f"shape {np.shape(result)}"
    error = float(np.abs(np.sort(rescale(result, e)) - np.sort(exact)).max(initial=0.0))
    bound = slack(truth, e, eps) + 200 * eps
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


def two_terms(C: Any) -> Array:
    """Beside a multiple of the identity that makes the condition number moderate."""
    unit, dtype = unit_of(C, precision(C)), np.empty(0, dtype_for(C)).real.dtype
    n = 0 if getattr(C, "shape", ())[:1] == (0,) else side(C, 0)
    K = TwoTermKronecker(
        (48 * unit * np.eye(n)).astype(dtype), np.eye(2, dtype=dtype), C, SMALL.astype(dtype)
    )
    return np.asarray(K.solve(thin(K.shape[0]).astype(np.float32)))


def check_two_terms(result: Any, truth: Array, eps: float) -> str | None:
    e = int(np.log2(unit_of(truth, eps)))
    M = 48 * np.eye(2 * len(truth)) + np.kron(rescale(truth, e), SMALL)
    if np.shape(result) != (len(M), 3):
        return f"shape {np.shape(result)}"
    error = float(np.linalg.norm(M @ rescale(result, -e) - thin(len(M))))
    bound = 200 * eps * (1 + float(np.linalg.norm(M)))
    return None if error <= bound else f"residual {error:.3e} > {bound:.3e}"


def _targets() -> list[Target]:
    dense: dict[str, Any] = {"dense_only": True}
    found = [
        Target(
            "LowRank @ X",
            multiplied(low_rank),
            check_product(lambda A: A @ thin(12, A.shape[1]).T),
            argument=U,
            **dense,
        ),
        Target(
            "DiagonalPlusLowRank @ X",
            multiplied(plus_low_rank),
            check_product(lambda A: np.eye(len(A)) + A @ thin(*A.shape).T),
            argument=U,
            **dense,
        ),
        Target(
            "Kronecker @ X",
            multiplied(lambda A: Kronecker(A, SMALL.astype(np.float32))),
            check_product(lambda A: np.kron(A, SMALL)),
            argument=FACTOR,
        ),
        Target(
            "KroneckerSum.eigen",
            eigenvalues,
            check_eigenvalues,
            "symmetric",
            argument=r"A\b( \(left\))?",
            **dense,
        ),
        Target("TwoTermKronecker.solve", two_terms, check_two_terms, "symmetric", argument="C", **dense),
        Target("KernelMatrix @ X", kernel, check_kernel, argument="points", real=True, **dense),
        Target(
            "DampedKronecker.solve",
            damped,
            check_damped,
            "semidefinite",
            argument="left",
            breaks=indefinite,
            **dense,
        ),
        Target(
            "Masked @ X",
            multiplied(masked),
            check_product(lambda A: A),
            entries_only=True,
        ),
        Target(
            "EntryOperator @ X",
            multiplied(from_entries),
            check_product(lambda A: A),
            argument=r"A(\.entries\(rows, columns\))?",
            takes_vectors=True,
            **dense,
        ),
    ]
    return found


TARGETS = {target.name: target for target in _targets()}
