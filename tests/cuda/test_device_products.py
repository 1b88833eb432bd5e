# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products, Gram matrices and triangular solves by the emulated device, and their bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layouts import matrix

DTYPES = (np.float32, np.float64)
LAYOUTS = ("C", "F", "strided")


def multiply(
    device: Any, A: Any, B: Any, C: Any, alpha: float = 1.0, beta: float = 0.0, weights: Any = None
) -> dict[str, int]:
    work = device.work(device.module.multiply_work(*C.shape, A.shape[1], C.itemsize), C.dtype)
    views = alpha, device.view(A), device.view(B), beta, device.view(C)
    return device.call("multiply", C.dtype, *views, weights or device.module.Weights(), device.vector(work))


def gram(device: Any, A: Any, C: Any, alpha: float = 1.0, beta: float = 0.0) -> dict[str, int]:
    work = device.work(device.module.gram_work(*A.shape, A.itemsize), A.dtype)
    name = "gram" if C.dtype == A.dtype else "gram_wide"
    return device.call(name, A.dtype, alpha, device.view(A), beta, device.view(C), device.vector(work))


def gamma(n: int, dtype: Any) -> float:
    """Bound of the relative error of a sum of n rounded products in any order (Higham 2002, section 3.1)."""
    nu = n * float(np.finfo(dtype).eps) / 2
    return nu / (1 - nu)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layouts", [("C", "C"), ("F", "C"), ("C", "F"), ("strided", "strided")])
@pytest.mark.parametrize("shape", [(1, 1, 1), (132, 68, 72), (70, 9, 131), (8, 140, 1100)])
def test_multiply(device: Any, dtype: Any, layouts: tuple[str, str], shape: tuple[int, int, int]) -> None:
    m, n, inner = shape
    A, B = matrix((m, inner), dtype, layouts[0]), matrix((inner, n), dtype, layouts[1], 1)
    C0 = matrix((m, n), dtype, seed=2)
    for alpha, beta in ((1.0, 0.0), (-0.5, 2.0)):
        C = C0.copy() if beta else np.full_like(C0, np.nan)
        multiply(device, A, B, C, alpha, beta)
        wide = [X.astype(np.longdouble) for X in (A, B, C0)]
        exact = alpha * (wide[0] @ wide[1]) + beta * wide[2]
        bound = abs(alpha) * (abs(wide[0]) @ abs(wide[1])) + abs(beta * wide[2])
        assert (abs(C - exact) <= gamma(inner + 3, dtype) * bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_multiply_reads_thin_factors_once(device: Any, dtype: Any) -> None:
    A, B, C = matrix((1024, 256), dtype), matrix((256, 64), dtype), np.empty((1024, 64), dtype)
    counters = multiply(device, A, B, C)
    strips = 1024 // (128 if dtype == np.float32 else 64)
    assert counters["bytes_read"] == A.nbytes + strips * B.nbytes
    assert counters["bytes_written"] == C.nbytes


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", range(4))
def test_weights_are_those_of_the_core(device: Any, dtype: Any, function: int) -> None:
    m, n = 70, 37
    P, V, out = np.eye(m, dtype=dtype), matrix((m, n), dtype), np.empty((m, n), dtype)
    s, t, damping, scale = np.linspace(0.1, 3, m), np.geomspace(1e-3, 5, n), 0.25, 0.7
    weights = device.module.Weights(
        left=device.vector(s), right=device.vector(t), damping=damping, scale=scale, function=function
    )
    multiply(device, P, V, out, weights=weights)
    x = s[:, None] * t + damping
    w = scale * (x, 1 / x, np.sqrt(x), 1 / np.sqrt(x))[function]
    exact = w * V
    assert (abs(out - exact) <= (gamma(1, dtype) + 4 * np.finfo(np.float64).eps) * abs(exact)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (70, 3), (132, 20), (300, 64), (2500, 12), (90, 133)])
@pytest.mark.parametrize("wide", [False, True])
def test_gram(device: Any, dtype: Any, layout: str, shape: tuple[int, int], wide: bool) -> None:
    A, out = matrix(shape, dtype, layout), np.float64 if wide else dtype
    before = matrix((shape[1], shape[1]), out, seed=1)
    before += before.T
    exact, size = A.T.astype(np.longdouble) @ A, abs(A.T).astype(np.longdouble) @ abs(A)
    C = np.full_like(before, np.nan)
    gram(device, A, C)
    np.testing.assert_array_equal(C, C.T)
    assert (abs(C - exact) <= gamma(shape[0] + 2, dtype) * size).all()
    # The average of a factor: only the lower triangle of what was is read.
    C = np.tril(before) + np.triu(np.full_like(before, np.nan), 1)
    gram(device, A, C, 0.1 / max(1, shape[0]), 0.9)
    expected = 0.1 / max(1, shape[0]) * exact + 0.9 * before
    bound = gamma(shape[0] + 4, dtype) * (0.1 * size + 0.9 * abs(before))
    assert (abs(C - expected) <= bound).all()
    np.testing.assert_array_equal(C, C.T)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("n", [16, 64, 128])
def test_gram_reads_a_once(device: Any, dtype: Any, layout: str, n: int) -> None:
    if n > (128 if dtype == np.float32 else 64):
        return  # wider ones are bound by arithmetic
    A, C = matrix((2048, n), dtype, layout), np.empty((n, n))
    counters = gram(device, A, C)
    slabs, triangle = 2, n * (n + 1) // 2
    assert counters["bytes_read"] == A.nbytes + slabs * triangle * A.itemsize
    assert counters["bytes_written"] == C.nbytes + slabs * triangle * A.itemsize


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(1, 1), (70, 3), (300, 20), (257, 64), (64, 96)])
def test_solve_upper(device: Any, dtype: Any, layout: str, shape: tuple[int, int]) -> None:
    Y = matrix(shape, dtype, layout)
    n = shape[1]
    R = np.triu(np.random.default_rng(1).standard_normal((n, n))) / n
    R[np.diag_indices(n)] = np.linspace(0.5, 2, n)
    R = np.asfortranarray(R + np.tril(np.full((n, n), np.nan), -1))  # nothing below is read
    X = np.asarray(np.full(shape, np.nan, dtype), order="C" if layout == "C" else "F")
    device.call("solve_upper", dtype, device.view(Y), device.view(R), device.view(X))
    rounded = np.triu(R).astype(dtype).astype(np.longdouble)
    # A row of X solves a triangle perturbed by gamma_n |R| (Higham 2002, theorem 8.5).
    assert (abs(X @ rounded - Y) <= gamma(n + 1, dtype) * (abs(X) @ abs(rounded))).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_solve_upper_reads_y_once(device: Any, dtype: Any) -> None:
    n, m = 32, 512
    Y, R, X = matrix((m, n), dtype), np.eye(n) + np.triu(np.ones((n, n))), np.empty((m, n), dtype)
    counters = device.call("solve_upper", dtype, device.view(Y), device.view(R), device.view(X))
    assert counters["bytes_read"] == Y.nbytes + m // 256 * n * (n + 1) // 2 * 8
    assert counters["bytes_written"] == X.nbytes


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("condition", [1e1, 1e3])
def test_cholesky_qr_by_kernels(device: Any, dtype: Any, condition: float) -> None:
    """Two rounds of Gram, factor and substitution: orthonormal to rounding for cond^2 u < 1."""
    m, n = 300, 12
    rng = np.random.default_rng(5)
    U, V = (np.linalg.qr(rng.standard_normal((k, n)))[0] for k in (m, n))
    Y = ((U * np.geomspace(1, 1 / condition, n)) @ V.T).astype(dtype)
    Q, R = Y, np.eye(n)
    for _ in range(2):
        C, L, info = np.empty((n, n)), np.empty((n, n)), np.full(1, -1, np.int32)
        gram(device, Q, C)
        addresses = device.vector(C), device.vector(L), 1, n, device.shifts(np.zeros(1))
        device.call("batched_cholesky", np.float64, *addresses, device.vector(info))
        assert info[0] == 0
        np.testing.assert_array_equal(L, np.tril(L))
        X = np.empty_like(Q)
        device.call("solve_upper", dtype, device.view(Q), device.view(L.T), device.view(X))
        Q, R = X, L.T @ R
    u = np.finfo(dtype).eps / 2
    # Yamamoto et al. 2015, section 3.2: |Q^T Q - I| <= 6 (mn + n(n+1)) u, |Q R - Y| <= 5 n^2 u |Y|.
    assert np.linalg.norm(Q.T.astype(np.float64) @ Q - np.eye(n), 2) <= 6 * (m * n + n * (n + 1)) * u
    assert np.linalg.norm(Q @ R - Y) <= 5 * n**2 * u * np.linalg.norm(Y, 2)
