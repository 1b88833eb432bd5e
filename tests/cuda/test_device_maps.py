# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Device kernels under emulation against the CPU core: entries to the bit, products to rounding or better.

"To the bit" is asked of every entry of every map, and of products that add in the core's order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layouts import matrix

from randnla._backend.kernels import sparse_maps, streams, trig

DTYPES = (np.float32, np.float64)
KINDS = ("gaussian", "sign")
SEED, STREAM = 2**63 + 12345, 7


def dense_map(device: Any, kind: str, **block: Any) -> Any:
    return device.module.DenseMap(
        kind=streams.KINDS[kind],
        seed=SEED,
        stream=STREAM,
        **{"row_start": 0, "col_start": 0, "scale": 1.0, **block},
    )


def core_block(kind: str, shape: tuple[int, int], dtype: Any, **block: Any) -> Any:
    out = np.empty(shape, dtype)
    return streams.fill_dense_map(out, kind=kind, seed=SEED, stream=STREAM, **block)


def bits(A: Any) -> Any:
    return np.ascontiguousarray(A).view({4: np.uint32, 8: np.uint64}[A.itemsize])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shape", "block"),
    [
        ((70, 130), {}),
        ((3, 100), {"row_start": 2**40 + 3, "col_start": 2**41 + 2047, "scale": 0.37}),
        ((65, 1), {"col_start": 63, "row_start": 5}),
        ((1, 65), {"col_start": 2**62 + 1, "row_start": 2**63 - 70, "scale": -3.0}),
    ],
)
def test_entries_have_the_bits_of_the_core(
    device: Any, kind: str, dtype: Any, shape: tuple[int, int], block: dict[str, Any]
) -> None:
    for layout in "CF":
        out = np.full(shape, np.nan, dtype, order=layout)
        counters = device.call("fill_dense_map", dtype, dense_map(device, kind, **block), device.view(out))
        np.testing.assert_array_equal(bits(out), bits(core_block(kind, shape, dtype, **block)))
        assert counters["bytes_written"] == out.nbytes  # the ideal
        assert counters["bytes_read"] == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_dense_sketch(device: Any, kind: str, dtype: Any, adjoint: bool, layout: str) -> None:
    m, n, width = 132, 68, 66
    block = {"row_start": 11, "col_start": 36, "scale": 0.125}
    A = matrix((m, n), dtype, layout)
    S = core_block(kind, (n, width) if adjoint else (width, n), dtype, **block)
    exact = A.astype(np.longdouble) @ (S if adjoint else S.T)
    Y = np.full((m, width), np.nan, dtype)
    squares = np.full(device.module.sum_of_squares_parts(m, Y.itemsize), np.nan)
    device.call(
        "apply_dense_map",
        dtype,
        dense_map(device, kind, **block),
        adjoint,
        device.view(A),
        device.view(Y),
        device.vector(squares),
    )
    # A sum of n rounded products in one order: n u |A| |S| (Higham 2002, section 3.1), fused one less.
    u = np.finfo(dtype).eps / 2
    bound = n * u / (1 - n * u) * (abs(A).astype(np.longdouble) @ abs(S if adjoint else S.T))
    assert (abs(Y - exact) <= bound).all()
    # Squares: at most 64 m terms in the element type, then float64.
    total = (A.astype(np.longdouble) ** 2).sum()
    assert abs(squares.sum() - total) <= 64 * u * total


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_dense_sketch_of_integers_is_exact(device: Any, kind: str, dtype: Any) -> None:
    """With A made of unit vectors the product is the map: its bits."""
    n, width = 100, 40
    A = np.eye(n, dtype=dtype)
    Y = np.full((n, width), np.nan, dtype)
    device.call("apply_dense_map", dtype, dense_map(device, kind), False, device.view(A), device.view(Y), 0)
    np.testing.assert_array_equal(Y, core_block(kind, (width, n), dtype).T)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["C", "F"])
def test_dense_sketch_reads_a_once(device: Any, dtype: Any, layout: str) -> None:
    A = matrix((256, 256), dtype, layout)
    Y = np.empty((256, 64), dtype)
    counters = device.call(
        "apply_dense_map", dtype, dense_map(device, "sign"), False, device.view(A), device.view(Y), 0
    )
    assert counters["bytes_read"] == A.nbytes
    assert counters["bytes_written"] == Y.nbytes


def sparse_map(device: Any, kind: str, rows: int, nnz: int, dtype: Any) -> Any:
    return device.module.SparseMap(
        kind=streams.KINDS[kind],
        seed=SEED,
        stream=STREAM,
        rows=rows,
        nnz=nnz,
        element_bits=8 * np.dtype(dtype).itemsize,
    )


SPARSE = [("sparse_sign", 40, 8), ("sparse_sign", 9, 9), ("sparse_sign", 70000, 5)]
SPARSE += [("countsketch", 33, 1), ("countsketch", 100000, 1)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "d", "nnz"), SPARSE)
@pytest.mark.parametrize("first", [0, 2**40 + 13])
def test_sparse_columns_have_the_bits_of_the_core(
    device: Any, kind: Any, d: int, nnz: int, dtype: Any, first: int
) -> None:
    count = 150
    expected = sparse_maps.sparse_map_columns(
        kind=kind,
        seed=SEED,
        stream=STREAM,
        d=d,
        nnz=nnz,
        col_start=first,
        col_stop=first + count,
        dtype=dtype,
    )
    positions, signs = np.full((count, nnz), -1, np.int64), np.zeros((count, nnz), np.int8)
    addresses = device.vector(positions), device.vector(signs)
    device.module.sparse_map_columns(sparse_map(device, kind, d, nnz, dtype), first, count, *addresses, 0)
    np.testing.assert_array_equal(positions, expected[0])
    np.testing.assert_array_equal(signs, expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "d", "nnz"), [*SPARSE[:2], SPARSE[3], ("sparse_sign", 3000, 8)])
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_sparse_products(device: Any, kind: Any, d: int, nnz: int, dtype: Any, layout: str) -> None:
    m, n = 70, 37
    A = matrix((m, n), dtype, layout)
    block = {"kind": kind, "seed": SEED, "stream": STREAM, "d": d, "nnz": nnz, "scale": 0.3}
    map_ = sparse_map(device, kind, d, nnz, dtype)
    expected, out = np.empty((d, n), dtype), np.full((d, n), np.nan, dtype)
    sparse_maps.apply_sparse_map(A, expected, **block)
    device.call("apply_sparse_map", dtype, map_, 0.3, device.view(A), device.view(out), False)
    ordered = map_.is_ordered(out.itemsize)
    assert ordered == (d < 1000)
    if ordered:
        np.testing.assert_array_equal(bits(out), bits(expected))
    else:
        # m terms at most in any order, each scaled before it is added: m + 1 roundings.
        u = np.finfo(dtype).eps / 2
        terms = np.empty((d, n), dtype)
        sparse_maps.apply_sparse_map(np.ones_like(A), terms, **block)
        bound = np.zeros((d, n))
        positions, _ = sparse_maps.sparse_map_columns(
            **{k: v for k, v in block.items() if k != "scale"}, col_start=0, col_stop=m, dtype=dtype
        )
        np.add.at(bound, positions.ravel(), np.repeat(0.3 * abs(A), nnz, axis=0))
        assert (abs(out.astype(np.float64) - expected) <= 2 * (m + 1) * u * bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "d", "nnz"), SPARSE[:4])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_sparse_adjoints_have_the_bits_of_the_core(
    device: Any, kind: Any, d: int, nnz: int, dtype: Any, layout: str
) -> None:
    n = 5
    A = matrix((d, n), dtype, layout)
    block = {"kind": kind, "seed": SEED, "stream": STREAM, "d": d, "nnz": nnz, "scale": 0.3}
    expected, out = np.empty((70, n), dtype), np.full((70, n), np.nan, dtype)
    sparse_maps.apply_sparse_map(A, expected, adjoint=True, **block)
    map_ = sparse_map(device, kind, d, nnz, dtype)
    device.call("apply_sparse_map", dtype, map_, 0.3, device.view(A), device.view(out), True)
    np.testing.assert_array_equal(bits(out), bits(expected))


@pytest.mark.parametrize("dtype", DTYPES)
def test_ordered_sparse_sketch_reads_a_once(device: Any, dtype: Any) -> None:
    A, out = matrix((300, 64), dtype), np.empty((20, 64), dtype)
    map_ = sparse_map(device, "sparse_sign", 20, 4, dtype)
    counters = device.call("apply_sparse_map", dtype, map_, 1.0, device.view(A), device.view(out), False)
    assert counters["bytes_read"] == A.nbytes
    assert counters["bytes_written"] == out.nbytes


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
@pytest.mark.parametrize(("m", "d"), [(1, 1), (2, 2), (5, 3), (61, 40), (100, 128), (300, 17)])
def test_hadamard_has_the_bits_of_the_core(device: Any, dtype: Any, layout: str, m: int, d: int) -> None:
    n = 11
    A = matrix((m, n), dtype, layout)
    positions = trig.sample_coordinates(
        kind="trig_rows", seed=SEED, stream=STREAM, population=trig.hadamard_order(m), count=d
    )
    expected, out = np.empty((d, n), dtype), np.full((d, n), np.nan, dtype)
    trig.apply_hadamard(A, expected, seed=SEED, stream=STREAM, d=d, m=m)
    scale = dtype(np.sqrt(1.0 / d))
    views = device.view(A), device.view(out)
    device.call("apply_hadamard", dtype, SEED, STREAM, device.vector(positions), False, scale, *views)
    np.testing.assert_array_equal(bits(out), bits(expected))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
@pytest.mark.parametrize(("m", "d"), [(1, 1), (2, 2), (5, 3), (61, 40), (100, 128), (300, 17)])
def test_hadamard_adjoint_has_the_bits_of_the_core(
    device: Any, dtype: Any, layout: str, m: int, d: int
) -> None:
    n = 11
    B = matrix((d, n), dtype, layout)
    positions = trig.sample_coordinates(
        kind="trig_rows", seed=SEED, stream=STREAM, population=trig.hadamard_order(m), count=d
    )
    order = "F" if layout == "F" else "C"
    expected, out = np.empty((m, n), dtype), np.full((m, n), np.nan, dtype, order=order)
    trig.apply_hadamard(B, expected, seed=SEED, stream=STREAM, d=d, m=m, adjoint=True)
    scale = dtype(np.sqrt(1.0 / d))
    addresses = device.vector(positions), True, scale, device.view(B), device.view(out)
    counters = device.call("apply_hadamard", dtype, SEED, STREAM, *addresses)
    np.testing.assert_array_equal(bits(out), bits(expected))
    assert counters["bytes_written"] == out.nbytes


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["C", "F"])
def test_hadamard_reads_a_once(device: Any, dtype: Any, layout: str) -> None:
    m, n, d = 512, 16, 32
    A, out = matrix((m, n), dtype, layout), np.empty((d, n), dtype)
    positions = np.arange(d, dtype=np.int64)
    views = device.view(A), device.view(out)
    counters = device.call("apply_hadamard", dtype, 1, 0, device.vector(positions), False, 1.0, *views)
    blocks = n if layout == "F" else n * A.itemsize // 32  # a sector of 32 bytes of each row of A
    assert counters["bytes_read"] == A.nbytes + blocks * positions.nbytes
    assert counters["bytes_written"] == out.nbytes


def test_hadamard_limit_fits_shared_memory(device: Any) -> None:
    for dtype in DTYPES:
        m = device.module.hadamard_limit(np.dtype(dtype).itemsize)
        A, out = matrix((m, 1), dtype), np.empty((4, 1), dtype)
        positions = np.array([0, 1, m // 2, m - 1])
        views = device.view(A), device.view(out)
        device.call("apply_hadamard", dtype, SEED, STREAM, device.vector(positions), False, 1.0, *views)
        exact = A[:, 0].astype(np.longdouble) * trig.trig_signs(m, seed=SEED, stream=STREAM, dtype=dtype)
        parity = np.array([[bin(p & i).count("1") % 2 for i in range(m)] for p in positions])
        total = ((1 - 2 * parity) * exact).sum(1)
        # log2 m additions on the way to each entry.
        bound = np.log2(m) * np.finfo(dtype).eps / 2 * 1.01 * abs(exact).sum()
        assert (abs(out[:, 0] - total) <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
@pytest.mark.parametrize("n", [1, 40, 131])
def test_gather_rows(device: Any, dtype: Any, layout: str, n: int) -> None:
    A = matrix((50, n), dtype, layout)
    rows = np.random.default_rng(3).integers(0, 50, 19)
    out = np.full((19, n), np.nan, dtype)
    counters = device.call("gather_rows", dtype, device.vector(rows), 0.7, device.view(A), device.view(out))
    np.testing.assert_array_equal(out, dtype(0.7) * A[rows])
    assert counters["bytes_read"] == out.nbytes + rows.nbytes
    assert counters["bytes_written"] == out.nbytes


def test_empty_outputs_launch_nothing(device: Any) -> None:
    empty, A = np.empty((0, 5), np.float32), np.ones((3, 5), np.float32)
    views = device.view(A), device.view(empty)
    sparse = sparse_map(device, "countsketch", 5, 1, np.float32)
    for arguments in (
        ("fill_dense_map", np.float32, dense_map(device, "sign"), views[1]),
        ("gather_rows", np.float32, 0, 1.0, *views),
        ("apply_sparse_map", np.float32, sparse, 1.0, *views, False),
        ("apply_hadamard", np.float32, 1, 0, 0, False, 1.0, *views),
    ):
        assert device.call(*arguments)["launches"] == 0
