# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products with windows of long rows, and sampled products of factors, by the emulated device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from randnla._backend.kernels import woodbury

STORED = ("f32", "f64", "f16", "bf16")


def window(shape: tuple[int, int], stored: str, layout: str = "C") -> Any:
    """A window as it is stored; sixteen bits hold numbers of all sizes and of both signs."""
    G = np.random.default_rng(1).standard_normal(shape) * np.geomspace(1e-6, 1e4, shape[1])
    if stored == "bf16":
        G = (G.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    else:
        G = G.astype({"f32": np.float32, "f64": np.float64, "f16": np.float16}[stored])
    if layout == "strided":
        wide = np.zeros((2 * shape[0], 3 * shape[1]), G.dtype)
        wide[::2, ::3] = G
        return wide[::2, ::3]
    return np.asarray(G, order=layout)


def call(device: Any, name: str, G: Any, stored: str, *arguments: Any) -> dict[str, int]:
    dtype = np.float64 if stored == "f64" else np.float32
    return device.call(name if G.itemsize > 2 else f"{name}_{stored}", dtype, device.view(G), *arguments)


def dots(device: Any, G: Any, stored: str, X: Any) -> tuple[Any, dict[str, int]]:
    C = np.full((len(G), len(X)), np.nan)
    work = device.work(device.module.window_work(len(G), len(X), G.shape[1]), np.float64)
    return C, call(device, "window_dots", G, stored, device.view(X), device.view(C), device.vector(work))


def combine(device: Any, G: Any, stored: str, C: Any, alpha: float, X: Any) -> tuple[Any, dict[str, int]]:
    Y = np.full(X.shape, np.nan, X.dtype)
    views = device.view(C), alpha, device.view(X), device.view(Y)
    return Y, call(device, "window_combine", G, stored, *views)


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (9, 4104, 1), (3, 2050, 2), (10, 64, 3)])
def test_window_products(device: Any, stored: str, layout: str, m: int, n: int, k: int) -> None:
    dtype = np.float64 if stored == "f64" else np.float32
    G, X = window((m, n), stored, layout), np.random.default_rng(2).standard_normal((k, n)).astype(dtype)
    wide = woodbury.widened(G).astype(np.longdouble)
    u = np.finfo(np.float64).eps / 2
    C, _ = dots(device, G, stored, X)
    assert (abs(C - wide @ X.T) <= n * u * (abs(wide) @ abs(X.T))).all()
    Y, _ = combine(device, G, stored, C, -0.5, X)
    exact = C.T @ wide - 0.5 * X.astype(np.longdouble)
    size = abs(C.T) @ abs(wide) + abs(0.5 * X)
    assert (abs(Y - exact) <= (m + 2) * u * size + np.finfo(dtype).eps / 2 * abs(exact)).all()
    if layout == "C":
        # Both sum in float64; the core sums float32 products of sixteen bits in short runs.
        core = woodbury.window_dots(G, X)
        tolerance = n * u if G.itemsize > 2 else 8 * np.finfo(np.float32).eps
        assert (abs(C - core) <= 2 * tolerance * (abs(wide) @ abs(X.T))).all()


@pytest.mark.parametrize("stored", ["f16", "bf16"])
def test_sixteen_bits_are_widened_exactly(device: Any, stored: str) -> None:
    every = np.arange(2**16, dtype=np.uint16)
    G = every.view(np.float16) if stored == "f16" else every
    wide = woodbury.widened(G)
    G, finite = np.where(np.isfinite(wide), G, G.dtype.type(0)).reshape(16, -1), np.isfinite(wide)
    Y, _ = combine(device, G, stored, np.eye(16), 0.0, np.zeros((16, 4096), np.float32))
    np.testing.assert_array_equal(Y.ravel(), np.where(finite, wide, 0))
    special = np.array(
        [[0x7C00, 0xFC00, 0x7E00]] if stored == "f16" else [[0x7F80, 0xFF80, 0x7FC0]], np.uint16
    )
    special = special.view(np.float16) if stored == "f16" else special
    Y, _ = combine(device, special, stored, np.ones((1, 1)), 0.0, np.zeros((1, 3), np.float32))
    np.testing.assert_array_equal(Y, [[np.inf, -np.inf, np.nan]])


@pytest.mark.parametrize("stored", STORED)
def test_window_is_read_once(device: Any, stored: str) -> None:
    m, n = 16, 4096
    G, X = window((m, n), stored), np.ones((1, n), np.float64 if stored == "f64" else np.float32)
    C, counters = dots(device, G, stored, X)
    sums = 2 * C.nbytes  # of two blocks
    assert counters["bytes_read"] == G.nbytes + X.nbytes + sums
    assert counters["bytes_written"] == C.nbytes + sums
    Y, counters = combine(device, G, stored, C, 1.0, X)
    assert counters["bytes_read"] == G.nbytes + X.nbytes + 2 * C.nbytes
    assert counters["bytes_written"] == Y.nbytes


def test_woodbury_by_kernels(device: Any) -> None:
    """``(lambda I + G^T G)^-1 x`` from three kernels: window, small system, window."""
    m, n, damping = 6, 2056, 0.3
    rng = np.random.default_rng(0)
    G, x = rng.standard_normal((m, n)) / 8, rng.standard_normal((1, n))
    gram, info = np.empty((m, m)), np.full(1, -1, np.int32)
    work = device.work(device.module.gram_work(n, m, 8), np.float64)
    device.call("gram", np.float64, 1.0, device.view(G.T), 0.0, device.view(gram), device.vector(work))
    C, _ = dots(device, G, "f64", x)
    Z = np.empty_like(C)
    shape = 1, m, 1, device.shifts(np.full(1, damping)), device.vector(info)
    device.call("batched_solve", np.float64, device.vector(gram), device.vector(C), device.vector(Z), *shape)
    assert info[0] == 0
    y, _ = combine(device, G, "f64", -Z / damping, 1 / damping, x)
    residual = damping * y + (y @ G.T) @ G - x
    assert np.linalg.norm(residual) <= 100 * np.finfo(np.float64).eps * np.linalg.norm(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("rank", [1, 5, 32, 44])
def test_sampled_products(device: Any, dtype: Any, layout: str, rank: int) -> None:
    rng = np.random.default_rng(3)
    U, V = (np.asarray(rng.standard_normal((k, rank)).astype(dtype), order=layout) for k in (40, 30))
    i, j = rng.integers(0, 40, 75), rng.integers(0, 30, 75)
    out = np.full(75, np.nan, dtype)
    addresses = device.vector(i), device.vector(j), 75, device.view(U), device.view(V)
    counters = device.call("sampled_products", dtype, *addresses, device.vector(out))
    exact = (U[i].astype(np.longdouble) * V[j]).sum(1)
    bound = rank * np.finfo(dtype).eps / 2 * 1.01 * (abs(U[i]) * abs(V[j])).sum(1)
    assert (abs(out - exact) <= bound).all()
    assert counters["bytes_read"] == 2 * U[i].nbytes + i.nbytes + j.nbytes
    assert counters["bytes_written"] == out.nbytes
