# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kronecker products and Woodbury's identity with CuPy arrays, kernels under emulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import randnla
from randnla import DiagonalPlusLowRank, InputError, Kronecker, LowRank, NonFiniteError

DTYPES = (np.float32, np.float64)


def normal(*shape: int, dtype: Any = np.float64, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(gpu: Any, found: Any, expected: Any, dtype: Any) -> None:
    assert type(found) is gpu.cupy.ndarray
    seen = gpu.seen(found)
    assert (seen.shape, seen.dtype) == (expected.shape, dtype)
    size = 1 + np.abs(expected).max()
    np.testing.assert_allclose(seen, expected, atol=300 * float(np.finfo(dtype).eps) * size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", [((5, 7), (6, 4)), ((9, 9), (8, 8)), ((3, 4), (2, 5), (6, 3)), ((7, 5),)])
def test_kronecker_products(gpu: Any, shapes: Any, dtype: Any) -> None:
    factors = [normal(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes)]
    K, H = Kronecker(*map(gpu.put, factors)), Kronecker(*factors)
    rows, columns = K.shape
    for k in (1, 4):
        X, Y = normal(columns, k, dtype=dtype), normal(rows, k, dtype=dtype)
        close(gpu, K @ gpu.put(X), H @ X, dtype)
        close(gpu, K.rmatmat(gpu.put(Y)), H.rmatmat(Y), dtype)
        close(gpu, K.T @ gpu.put(Y), H.T @ Y, dtype)
    close(gpu, K @ gpu.put(np.asfortranarray(X)), H @ X, dtype)
    close(gpu, K @ gpu.put(X[:, 0]), H @ X[:, 0], dtype)
    close(gpu, gpu.put(Y[:, 0]) @ K, Y[:, 0] @ H, dtype)
    norm = H.frobenius_norm()
    assert norm is not None
    np.testing.assert_allclose(K.frobenius_norm(), norm, rtol=1e-6)


def test_kronecker_refuses_what_it_has_no_kernels_for(gpu: Any) -> None:
    A = normal(4, 4)
    with pytest.raises(
        InputError, match=r"factors\[1\]: expected arrays of one dtype on a GPU, or none there"
    ):
        Kronecker(gpu.put(A), A)
    with pytest.raises(InputError, match=r"factors\[1\]: expected arrays of one dtype"):
        Kronecker(gpu.put(A), gpu.put(A.astype(np.float32)))
    K = Kronecker(gpu.put(A), gpu.put(A))
    with pytest.raises(
        InputError, match="X: expected an array of float64 on a GPU, as the operator is, got a nda"
    ):
        K @ np.ones(16)
    with pytest.raises(
        InputError, match="X: expected an array of float64 on a GPU, as the operator is, got float32"
    ):
        K @ gpu.put(np.ones(16, np.float32))
    with pytest.raises(InputError, match="A: inverse needs factors in closed form, got a DeviceDense"):
        K.inverse()
    with pytest.raises(InputError, match="this takes no arrays on a GPU"):
        Kronecker(A, A) @ gpu.put(np.ones(16))
    with pytest.raises(InputError, match="X: expected an array of float64 on a GPU"):
        randnla.svd(K, 2)
    A[1, 1] = np.inf
    with pytest.raises(NonFiniteError, match=r"A \(factor 1\): it holds NaN or Inf"):
        Kronecker(gpu.put(normal(4, 4)), gpu.put(A)).require_finite()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("core", ["none", "diagonal", "full"])
@pytest.mark.parametrize("right", [False, True])
def test_low_rank_products(gpu: Any, right: bool, core: str, dtype: Any) -> None:
    U = normal(70, 3, dtype=dtype)
    V = normal(50, 3, dtype=dtype, seed=1) if right else None
    C = {"none": None, "diagonal": normal(3, seed=2), "full": normal(3, 3, seed=2)}[core]
    A = LowRank(gpu.put(U), C, None if V is None else gpu.put(V))
    H = LowRank(U, C if C is None else C.astype(dtype), V)
    X, Y = normal(H.shape[1], 2, dtype=dtype), normal(H.shape[0], 2, dtype=dtype)
    close(gpu, A @ gpu.put(X), H @ X, dtype)
    close(gpu, A.rmatmat(gpu.put(Y)), H.rmatmat(Y), dtype)
    close(gpu, A.H @ gpu.put(Y), H.H @ Y, dtype)
    np.testing.assert_allclose(A.frobenius_norm(), H.frobenius_norm(), rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("right", [False, True])
def test_solves_by_woodburys_identity(gpu: Any, right: bool, dtype: Any) -> None:
    """Only cores of r by r cross, whatever the order."""
    sent = []
    for n in (60, 120):
        U, C = normal(n, 4, dtype=dtype), np.diag(np.r_[1.0, 2.0, 0.5, 0.0])
        V = U + 0.1 * normal(n, 4, dtype=dtype, seed=1) if right else None
        A = DiagonalPlusLowRank(0.5, gpu.put(U), C, None if V is None else gpu.put(V))
        H = DiagonalPlusLowRank(0.5, U.astype(np.float64), C, None if V is None else V.astype(np.float64))
        X = normal(n, 3, dtype=dtype)
        before = (gpu.transfers.to_host, gpu.transfers.to_device)
        close(gpu, A @ gpu.put(X), H @ X, dtype)
        close(gpu, A.rmatmat(gpu.put(X)), H.rmatmat(X), dtype)
        close(gpu, A.solve(gpu.put(X)), H.solve(X), dtype)
        inverse = A.inverse()
        close(gpu, inverse @ gpu.put(X[:, 1]), H.solve(X[:, 1]), dtype)
        np.testing.assert_allclose(A.logdet(), H.logdet(), rtol=1e-6)
        sent.append((gpu.transfers.to_host - before[0], gpu.transfers.to_device - before[1]))
    assert sent[0] == sent[1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_several_numbers_on_the_diagonal(gpu: Any, dtype: Any) -> None:
    U, d, X = normal(40, 3, dtype=dtype), 1 + normal(40, dtype=dtype, seed=3) ** 2, normal(40, 2, dtype=dtype)
    A, H = DiagonalPlusLowRank(gpu.put(d), gpu.put(U)), DiagonalPlusLowRank(d, U)
    close(gpu, A @ gpu.put(X), H @ X, dtype)
    with pytest.raises(
        InputError, match="has no inverse, for a d of several numbers on a GPU, in closed form"
    ):
        A.solve(gpu.put(X))


def test_low_rank_refuses_what_it_has_no_kernels_for(gpu: Any) -> None:
    U = normal(20, 2)
    with pytest.raises(InputError, match="V: expected an array of float64 on a GPU, as the operator is"):
        LowRank(gpu.put(U), V=U)
    with pytest.raises(InputError, match="d: expected an array of float64 on a GPU"):
        DiagonalPlusLowRank(np.ones(20), gpu.put(U))
    with pytest.raises(InputError, match="V: this takes no arrays on a GPU"):
        LowRank(U, V=gpu.put(U))
    with pytest.raises(InputError, match="C: expected real numbers beside factors on a GPU"):
        LowRank(gpu.put(U), C=np.array([1j, 2.0]))
    A = DiagonalPlusLowRank(1.0, gpu.put(U))
    for what in (A.sqrt, A.inverse_sqrt, A.condition, A.diag):
        with pytest.raises(InputError, match="on a GPU in closed form"):
            what()
    U[3, 1] = np.nan
    with pytest.raises(NonFiniteError, match=r"A \(U\): it holds NaN or Inf"):
        DiagonalPlusLowRank(1.0, gpu.put(U)).require_finite()
