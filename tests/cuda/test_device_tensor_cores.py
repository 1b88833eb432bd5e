# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kernels for tensor cores, whose products the emulator makes of fragments in the layouts of PTX."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layouts import matrix

from randnla._backend.kernels import fixed_point, streams

SEED, STREAM = 2**63 + 12345, 7


def sign_map(device: Any, **block: Any) -> Any:
    whole = {"row_start": 0, "col_start": 0, "scale": 1.0, **block}
    return device.module.DenseMap(kind=streams.KINDS["sign"], seed=SEED, stream=STREAM, **whole)


def apply_fixed(
    device: Any, A: Any, d: int, adjoint: bool, layout: str = "C", **block: Any
) -> tuple[Any, Any]:
    out = np.full((d, A.shape[1]), np.nan, np.float32, order="F" if layout == "F" else "C")
    map_ = sign_map(device, **block)
    return out, device.call("apply_sign_map", np.float32, map_, adjoint, device.view(A), device.view(out))


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
@pytest.mark.parametrize(
    ("shape", "d", "block"),
    [
        ((1, 1), 1, {}),
        ((300, 68), 40, {"scale": 0.3}),
        ((260, 3), 140, {"row_start": 36, "col_start": 2**40 + 40, "scale": -5e-3}),
        ((64, 70), 33, {"row_start": 2**41 + 255, "col_start": 77, "scale": 2.0**-140}),
    ],
)
def test_fixed_point_has_the_bits_of_the_core(
    device: Any, adjoint: bool, layout: str, shape: tuple[int, int], d: int, block: dict[str, Any]
) -> None:
    A = matrix(shape, np.float32, layout)
    A *= np.float32(2.0) ** np.random.default_rng(1).integers(-60, 60, shape[1])
    expected = np.empty((d, shape[1]), np.float32)
    fixed_point.apply_sign_map(A, expected, seed=SEED, stream=STREAM, adjoint=adjoint, **block)
    out, _ = apply_fixed(device, A, d, adjoint, layout, **block)
    np.testing.assert_array_equal(np.ascontiguousarray(out).view(np.uint32), expected.view(np.uint32))


def test_fixed_point_of_numbers_that_are_not_finite_or_tiny(device: Any) -> None:
    A = matrix((300, 12), np.float32)
    A[3, 0], A[270, 1], A[0, 2] = np.nan, np.inf, -np.inf
    A[:, 3], A[:, 4], A[:, 5] = 0, 1e-45, np.finfo(np.float32).max
    A[:, 6] *= np.float32(1e-42)
    A[:, 7] = np.where(np.arange(300) == 9, np.float32(0x7F7F80 * 2.0**-20), A[:, 7])  # rounds up a power
    expected = np.empty((20, 12), np.float32)
    fixed_point.apply_sign_map(A, expected, seed=SEED, stream=STREAM)
    out, _ = apply_fixed(device, A, 20, False)
    np.testing.assert_array_equal(out, expected)
    assert np.isnan(out[:, :3]).all()


@pytest.mark.parametrize("layout", ["C", "F"])
def test_fixed_point_reads_a_once(device: Any, layout: str) -> None:
    A = matrix((512, 64), np.float32, layout)
    out, counters = apply_fixed(device, A, 128, False)
    assert counters["bytes_read"] == A.nbytes
    assert counters["bytes_written"] == out.nbytes


def stored(A: Any, kind: str) -> tuple[Any, Any]:
    """A as it is stored, and what that means in float32."""
    if kind == "f32":
        return A, A
    bits = (np.asarray(A).view(np.uint32) >> 16).astype(np.uint16)
    return bits, (bits.astype(np.uint32) << 16).view(np.float32)


# Of the size of an entry: what is lost of a float32 as two numbers of eleven bits.
LOST = {"f32": 2.0**-22, "bf16": 0.0}


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize(
    ("shape", "width", "block"),
    [
        ((1, 1), 1, {}),
        ((132, 200), 66, {"scale": 0.125}),
        ((5, 264), 3, {"row_start": 2**40 + 2047, "col_start": 2**41 + 36, "scale": -3.0}),
    ],
)
@pytest.mark.parametrize("layout", ["C", "F"])
def test_sign_sketch_on_tensor_cores(
    device: Any,
    kind: str,
    adjoint: bool,
    layout: str,
    shape: tuple[int, int],
    width: int,
    block: dict[str, Any],
) -> None:
    m, n = shape
    A, wide = stored(matrix(shape, np.float32), kind)
    A = np.asarray(A, order=layout)
    S = streams.fill_dense_map(
        np.empty((n, width) if adjoint else (width, n), np.float32),
        kind="sign",
        seed=SEED,
        stream=STREAM,
        **block,
    )
    Y = np.full((m, width), np.nan, np.float32)
    name = "apply_sign_map_tensor" if kind == "f32" else "apply_sign_map_tensor_bf16"
    device.call(name, np.float32, sign_map(device, **block), adjoint, device.view(A), device.view(Y))
    exact = wide.astype(np.float64) @ (S if adjoint else S.T)
    u = np.finfo(np.float32).eps / 2
    bound = ((n + 1) * u / (1 - (n + 1) * u) + LOST[kind]) * (
        abs(wide).astype(np.float64) @ abs(S if adjoint else S.T)
    )
    assert (abs(Y - exact) <= bound).all()


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("adjoint", [False, True])
def test_sign_sketch_on_tensor_cores_of_integers_is_exact(device: Any, kind: str, adjoint: bool) -> None:
    """Every sum of small integers is exact: each index of every fragment is right."""
    n, width, block = 256, 64, {"row_start": 7, "col_start": 40}
    integers = np.random.default_rng(0).integers(-64, 64, (128, n)).astype(np.float32)
    A, wide = stored(integers, kind)
    S = streams.fill_dense_map(
        np.empty((n, width) if adjoint else (width, n), np.float32),
        kind="sign",
        seed=SEED,
        stream=STREAM,
        **block,
    )
    Y = np.full((128, width), np.nan, np.float32)
    name = "apply_sign_map_tensor" if kind == "f32" else "apply_sign_map_tensor_bf16"
    device.call(name, np.float32, sign_map(device, **block), adjoint, device.view(A), device.view(Y))
    np.testing.assert_array_equal(Y, wide @ (S if adjoint else S.T))


@pytest.mark.parametrize("kind", LOST)
def test_sign_sketch_on_tensor_cores_reads_a_once(device: Any, kind: str) -> None:
    A, _ = stored(matrix((128, 256), np.float32), kind)
    Y = np.empty((128, 64), np.float32)
    name = "apply_sign_map_tensor" if kind == "f32" else "apply_sign_map_tensor_bf16"
    counters = device.call(name, np.float32, sign_map(device), False, device.view(A), device.view(Y))
    assert counters["bytes_read"] == A.nbytes
    assert counters["bytes_written"] == Y.nbytes


def gram_tensor(
    device: Any, kind: str, A: Any, C: Any, alpha: float = 1.0, beta: float = 0.0
) -> dict[str, int]:
    work = device.work(device.module.gram_tensor_work(*A.shape), np.float32)
    name = "gram_tensor" if kind == "f32" else "gram_tensor_bf16"
    views = alpha, device.view(A), beta, device.view(C), device.vector(work)
    return device.call(name, np.float32, *views)


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (77, 130), (1200, 24)])
def test_gram_on_tensor_cores(device: Any, kind: str, layout: str, shape: tuple[int, int]) -> None:
    A, wide = stored(matrix(shape, np.float32), kind)
    A, wide = np.asarray(A, order=layout), wide.astype(np.float64)
    before = matrix((shape[1], shape[1]), np.float32, seed=1)
    before += before.T
    C = np.tril(before) + np.triu(np.full_like(before, np.nan), 1)
    gram_tensor(device, kind, A, C, 0.1, 0.9)
    np.testing.assert_array_equal(C, C.T)
    u = np.finfo(np.float32).eps / 2
    # The sums of a slab in float32, and what is lost of products of split numbers.
    bound = 0.1 * ((shape[0] + 1) * u + 3 * LOST[kind]) * 1.01 * (abs(wide.T) @ abs(wide)) + 2 * u * abs(
        before
    )
    assert (abs(C - (0.1 * wide.T @ wide + 0.9 * before)) <= bound + 2 * u * abs(C)).all()


@pytest.mark.parametrize("kind", LOST)
def test_gram_on_tensor_cores_of_integers_is_exact(device: Any, kind: str) -> None:
    A, wide = stored(np.random.default_rng(0).integers(-8, 9, (128, 136)).astype(np.float32), kind)
    C = np.full((136, 136), np.nan, np.float32)
    gram_tensor(device, kind, A, C)
    np.testing.assert_array_equal(C, wide.T @ wide)


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("n", [16, 128])
def test_gram_on_tensor_cores_reads_a_once(device: Any, kind: str, n: int) -> None:
    A, _ = stored(matrix((256, n), np.float32), kind)
    C = np.empty((n, n), np.float32)
    counters = gram_tensor(device, kind, A, C)
    triangle = n * (n + 1) // 2 * C.itemsize
    assert counters["bytes_read"] == A.nbytes + triangle
    assert counters["bytes_written"] == C.nbytes + triangle
