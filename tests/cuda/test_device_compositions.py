# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Methods put together from device kernels: what a kernel leaves is what the next one takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from randnla._backend.kernels import kron


class Kernels:
    """The kernels as functions of arrays of one dtype."""

    def __init__(self, device: Any, dtype: Any) -> None:
        self.device, self.dtype, self.module = device, dtype, device.module

    def multiply(self, A: Any, B: Any, alpha: float = 1.0, C: Any = None, weights: Any = None) -> Any:
        beta = 0.0 if C is None else 1.0
        out = np.full((len(A), B.shape[1]), np.nan, self.dtype) if C is None else C.copy()
        work = self.device.work(self.module.multiply_work(*out.shape, len(B), out.itemsize), self.dtype)
        views = alpha, self.device.view(A), self.device.view(B), beta, self.device.view(out)
        weights = weights or self.module.Weights()
        self.device.call("multiply", self.dtype, *views, weights, self.device.vector(work))
        return out

    def orthogonalize(self, Y: Any) -> tuple[Any, Any]:
        """Q and R of two rounds of Cholesky QR."""
        n, Q, R = Y.shape[1], Y, np.eye(Y.shape[1])
        for _ in range(2):
            G, L, X = np.empty((n, n)), np.empty((n, n)), np.empty_like(Q)
            info = np.full(1, -1, np.int32)
            work = self.device.work(self.module.gram_work(*Q.shape, Q.itemsize), self.dtype)
            views = 1.0, self.device.view(Q), 0.0, self.device.view(G)
            self.device.call("gram_wide", self.dtype, *views, self.device.vector(work))
            addresses = self.device.vector(G), self.device.vector(L), 1, n, self.device.shifts(np.zeros(1))
            self.device.call("batched_cholesky", np.float64, *addresses, self.device.vector(info))
            assert info[0] == 0
            views = self.device.view(Q), self.device.view(L.T), self.device.view(X)
            self.device.call("solve_upper", self.dtype, *views)
            Q, R = X, L.T @ R
        return Q, R


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", ["inverse", "inverse_root"])
def test_two_sided_kronecker_apply_with_damping(device: Any, dtype: Any, function: str) -> None:
    m, n, damping = 70, 41, 0.05
    rng = np.random.default_rng(0)
    P, Q = (np.linalg.qr(rng.standard_normal((k, k)))[0].astype(dtype) for k in (m, n))
    s, t = rng.exponential(size=m), rng.exponential(size=n)
    V, k = rng.standard_normal((m, n)).astype(dtype), Kernels(device, dtype)
    half = k.multiply(P.T, V)
    weights = device.module.Weights(
        left=device.vector(s),
        right=device.vector(t),
        damping=damping,
        scale=1.0,
        function=("value", "inverse", "root", "inverse_root").index(function),
    )
    turned = k.multiply(half, Q, weights=weights)
    X = k.multiply(k.multiply(P, turned), Q.T)
    x = s[:, None] * t + damping
    exact = (
        P.astype(float) @ ((1 / x if function == "inverse" else x**-0.5) * (P.T.astype(float) @ V @ Q)) @ Q.T
    )
    u = np.finfo(dtype).eps / 2
    # Four products with orthonormal factors: each at most (length) u in the norm.
    assert np.linalg.norm(X - exact) <= 2 * (m + n) * u * np.linalg.norm(V) / damping
    halves = -2 if function == "inverse" else -1
    core = kron.kron_function(P, Q, kron.KronWeights(s, t, damping, halves), V[None])[0]
    assert np.linalg.norm(X - core) <= 4 * (m + n) * u * np.linalg.norm(V) / damping


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_brand_update(device: Any, dtype: Any) -> None:
    """The eigenpairs of ``rho U diag(s) U^T + B B^T`` of rank r + c: products and an orthogonalization."""
    n, r, c, rho = 150, 8, 5, 0.9
    rng = np.random.default_rng(1)
    U = np.linalg.qr(rng.standard_normal((n, r)))[0].astype(dtype)
    s, B = np.geomspace(4, 0.1, r), rng.standard_normal((n, c)).astype(dtype) / 4
    k = Kernels(device, dtype)
    W = k.multiply(U.T, B)
    rest = k.multiply(U, W, -1.0, B)
    again = k.multiply(U.T, rest)  # twice is enough
    rest = k.multiply(U, again, -1.0, rest)
    Q, R = k.orthogonalize(rest)
    top = np.vstack([W + again, R])
    core = top @ top.T
    core[:r, :r] += rho * np.diag(s)
    values, vectors = np.linalg.eigh(core)
    V = k.multiply(np.hstack([U, Q]), vectors.astype(dtype))
    wide = U.astype(float)
    exact = rho * (wide * s) @ wide.T + B.astype(float) @ B.T
    u = np.finfo(dtype).eps / 2
    size = np.linalg.norm(exact, 2)
    assert np.linalg.norm(V.T.astype(float) @ V - np.eye(r + c), 2) <= 10 * n * u
    assert np.linalg.norm((V * values) @ V.T - exact, 2) <= 10 * n * u * size
    np.testing.assert_allclose(values, np.linalg.eigvalsh(exact)[-(r + c) :], rtol=0, atol=10 * n * u * size)
