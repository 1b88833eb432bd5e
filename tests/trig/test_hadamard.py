# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The subsampled randomized Hadamard transform against explicit matrices and the NumPy oracle."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

from randnla._backend.errors import InputError
from randnla._backend.generic import trig as oracle
from randnla._backend.kernels import trig
from randnla._backend.kernels.runtime import set_team_size, team_size

Array = np.ndarray[Any, Any]
DTYPES = [np.float32, np.float64]


def spread(x: Array) -> Array:
    """The same values with no unit stride, the rows reversed."""
    base = np.full((2 * x.shape[0], 3 * x.shape[1]), np.nan, x.dtype)
    view = base[::-2, ::3]
    view[...] = x
    return view


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "sliced": spread,
    "reversed C": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "reversed F": lambda x: np.asfortranarray(x[::-1, ::-1])[::-1, ::-1],
    "wide C": lambda x: np.hstack([x, x])[:, : x.shape[1]],
    "tall F": lambda x: np.asfortranarray(np.vstack([x, x]))[: x.shape[0]],
}


def apply(layout_in: str, layout_out: str, A: Array, rows: int, **where: Any) -> Array:
    out = LAYOUTS[layout_out](np.full((rows, A.shape[1]), np.nan, A.dtype))
    trig.apply_hadamard(LAYOUTS[layout_in](A), out, **where)
    return out


@functools.cache
def sylvester(order: int) -> Array:
    return scipy.linalg.hadamard(order).astype(np.float64)


def explicit(m: int, d: int, seed: int, stream: int) -> Array:
    """R H D, entries +-1; the map is sqrt(1/d) times this."""
    order = trig.hadamard_order(m)
    rows = trig.sample_coordinates(kind="trig_rows", seed=seed, stream=stream, population=order, count=d)
    return sylvester(order)[rows, :m] * trig.trig_signs(m, seed=seed, stream=stream, dtype=np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_lengths_equal_the_explicit_matrix(dtype: Any) -> None:
    """Integer data: sums are exact, the scale is one rounding, so results are equal."""
    rng = np.random.default_rng(0)
    names = list(LAYOUTS)
    for m in [*range(1, 300), *range(300, 1025, 9), 511, 512, 513, 1023, 1024]:
        order = trig.hadamard_order(m)
        d, n = 1 + (7 * m) % (order if m % 16 == 0 else min(order, 40)), 1 + m % 5
        S, scale = explicit(m, d, m, 1), dtype(np.sqrt(1.0 / d))
        where = {"seed": m, "stream": 1, "d": d, "m": m}
        layouts = names[m % len(names)], names[(m // 7) % len(names)]
        A, B = (rng.integers(-99, 100, (r, n)).astype(np.float64) for r in (m, d))
        got = apply(*layouts, A.astype(dtype), d, **where)
        np.testing.assert_array_equal(got, (S @ A).astype(dtype) * scale)
        got = apply(*layouts, B.astype(dtype), m, adjoint=True, **where)
        np.testing.assert_array_equal(got, (S.T @ B).astype(dtype) * scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [1, 5, 16, 100, 256, 1000, 1024])
@pytest.mark.parametrize("n", [1, 3, 16, 70, 150])
def test_every_layout_has_the_bits_of_the_oracle(dtype: Any, m: int, n: int) -> None:
    rng = np.random.default_rng([m, n])
    d = max(1, trig.hadamard_order(m) * 3 // 4)
    where = {"seed": 2**63 + m, "stream": n, "d": d, "m": m}
    A, B = (rng.standard_normal((r, n)).astype(dtype) for r in (m, d))
    A[rng.random((m, n)) < 0.2] = -0.0
    forward, backward = np.empty((d, n), dtype), np.empty((m, n), dtype)
    oracle.apply_hadamard(A, forward, **where)
    oracle.apply_hadamard(B, backward, adjoint=True, **where)
    for layout_in in LAYOUTS:
        for layout_out in ("C", "F", "sliced"):
            got = apply(layout_in, layout_out, A, d, **where)
            assert got.tobytes() == forward.tobytes()
            got = apply(layout_in, layout_out, B, m, adjoint=True, **where)
            assert got.tobytes() == backward.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [2**13, 2**15 - 9, 2**18, 2**18 + 1, 2**20])
def test_long_vectors_have_the_bits_of_the_oracle(dtype: Any, m: int) -> None:
    """Beyond L1 and L2: one column, contiguous and (padded to a panel) strided."""
    A = np.random.default_rng(m).standard_normal((m, 1)).astype(dtype)
    where = {"seed": m, "stream": 2, "d": 500, "m": m}
    expected = np.empty((500, 1), dtype)
    oracle.apply_hadamard(A, expected, **where)
    np.testing.assert_array_equal(apply("C", "C", A, 500, **where), expected)
    np.testing.assert_array_equal(apply("sliced", "C", A, 500, **where), expected)
    back = np.empty((m, 1), dtype)
    oracle.apply_hadamard(expected, back, adjoint=True, **where)
    np.testing.assert_array_equal(apply("C", "C", expected, m, adjoint=True, **where), back)
    np.testing.assert_array_equal(apply("C", "sliced", expected, m, adjoint=True, **where), back)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "d"), [(8000, 8), (8192, 2100), (16_000, 7000), (16_000, 9000)])
def test_panels_have_the_bits_of_columns(dtype: Any, m: int, d: int) -> None:
    """Panels of 4, 2, 1 and 1 (whole) lines, starting anywhere in one; what lies beside them is untouched."""
    where = {"seed": d, "stream": 6, "d": d, "m": m}
    A = np.random.default_rng(m).standard_normal((m, 41)).astype(dtype)
    expected = apply("F", "F", A, d, **where)
    base = np.zeros((m, 128), dtype)
    for offset in (0, 1, 3, 4, 15):
        view, out = base[:, offset : offset + 41], np.full((d, 64), np.nan, dtype)
        view[...] = A
        trig.apply_hadamard(view, out[:, offset : offset + 41], **where)
        np.testing.assert_array_equal(out[:, offset : offset + 41], expected)
        assert np.isnan(np.delete(out, np.s_[offset : offset + 41], axis=1)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1024, 1029])
def test_large_adjoints_have_the_bits_of_columns(dtype: Any, width: int) -> None:
    """More than 16 MB, so streamed past the caches where the rows lie on lines of memory."""
    m, d, n = 4999, 60, 900
    where = {"seed": 3, "stream": 3, "d": d, "m": m, "adjoint": True}
    B = np.random.default_rng(0).standard_normal((d, n)).astype(dtype)
    out = np.full((m, width), np.nan, dtype)
    trig.apply_hadamard(B, out[:, 5 : 5 + n], **where)
    np.testing.assert_array_equal(out[:, 5 : 5 + n], apply("F", "F", B, m, **where))
    assert np.isnan(out[:, :5]).all()
    assert np.isnan(out[:, 5 + n :]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [300, 8000])
def test_row_ranges_are_slices_of_the_whole(dtype: Any, m: int) -> None:
    A = np.random.default_rng(0).standard_normal((m, 20)).astype(dtype)
    where = {"seed": 1, "stream": 0, "d": 250, "m": m}
    whole = apply("C", "C", A, 250, **where)
    for start, stop in [(0, 1), (3, 100), (249, 250), (17, 17)]:
        for layout in ("C", "F"):
            part = apply(layout, "C", A, stop - start, row_start=start, **where)
            assert part.tobytes() == whole[start:stop].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_adjoint_identity(dtype: Any) -> None:
    """<S A, B> = <A, S^T B>; each side errs by at most about eps log2(M) |S A| |B|."""
    rng = np.random.default_rng(4)
    m, d, n = 5000, 300, 33
    A, B = rng.standard_normal((m, n)).astype(dtype), rng.standard_normal((200, n)).astype(dtype)
    where = {"seed": 8, "stream": 8, "d": d, "m": m, "row_start": 100}
    SA = apply("C", "C", A, 200, **where).astype(np.float64)
    StB = apply("C", "F", B, m, adjoint=True, **where).astype(np.float64)
    sizes = [np.linalg.norm(x) for x in (SA, B, A, StB)]
    bound = 13 * np.finfo(dtype).eps * (sizes[0] * sizes[1] + sizes[2] * sizes[3])
    assert abs(np.vdot(SA, B) - np.vdot(A, StB)) <= bound


def test_all_rows_together_are_an_isometry() -> None:
    """d = M: S^T S = D H^T H D / M = I, for integers exactly."""
    m, order = 1000, 1024
    A = np.random.default_rng(4).integers(-9, 10, (m, 4)).astype(np.float64)
    where = {"seed": 8, "stream": 8, "d": order, "m": m}
    SA = apply("C", "C", A, order, **where)
    np.testing.assert_array_equal(apply("C", "C", SA, m, adjoint=True, **where), A)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_errors_are_small(dtype: Any) -> None:
    """log2 M levels, each of half an ulp: the norm of the error is near eps/2 sqrt(log2 M) |SA|."""
    m, order = 2**16 - 1, 2**16
    A = np.random.default_rng(6).standard_normal((m, 3))
    where = {"seed": 1, "stream": 1, "d": order, "m": m}
    got = apply("F", "F", A.astype(dtype), order, **where)
    wide = np.longdouble
    x = np.zeros((order, 3), wide)
    x[:m] = A.astype(dtype) * oracle.trig_signs(m, seed=1, stream=1, dtype=wide)[:, None]
    oracle._hadamard_in_place(x)
    rows = oracle.sample_coordinates(kind="trig_rows", seed=1, stream=1, population=order, count=order)
    exact = x[rows] / wide(256)
    error = np.linalg.norm((got - exact).astype(np.float64)) / np.linalg.norm(exact.astype(np.float64))
    assert error <= np.finfo(dtype).eps * np.sqrt(16)


@pytest.mark.parametrize("layout", ["C", "F"])
def test_bits_do_not_depend_on_threads(layout: str) -> None:
    A = np.random.default_rng(0).standard_normal((3000, 300)).astype(np.float32)
    before = team_size()
    results = set()
    try:
        for threads in (1, 2, 3, 4):
            set_team_size(threads)
            results.add(apply(layout, "C", A, 100, seed=0, stream=0, d=100, m=3000).tobytes())
    finally:
        set_team_size(before)
    assert len(results) == 1


def test_nan_and_infinity_stay_in_their_column() -> None:
    A = np.ones((1000, 40), np.float32)
    A[999, 3], A[0, 20] = np.nan, np.inf
    for layout in ("C", "F", "sliced"):
        got = apply(layout, "C", A, 64, seed=0, stream=0, d=64, m=1000)
        assert np.isnan(got[:, 3]).all()
        assert np.isinf(got[:, 20]).all()
        assert np.isfinite(np.delete(got, [3, 20], axis=1)).all()


def test_zeros_are_positive() -> None:
    """A zero must not show which levels met the padding."""
    for layout in LAYOUTS:
        got = apply(layout, "C", np.full((600, 9), -0.0), 50, seed=0, stream=0, d=50, m=600)
        assert not np.signbit(got).any()


def test_powers_of_two_commute() -> None:
    A = np.random.default_rng(0).standard_normal((700, 5))
    where = {"seed": 0, "stream": 0, "d": 50, "m": 700}
    base = apply("C", "C", A, 50, **where)
    for p in (-900, -1, 1, 900):
        np.testing.assert_array_equal(apply("C", "C", np.ldexp(A, p), 50, **where), np.ldexp(base, p))


def test_empty_shapes() -> None:
    where = {"seed": 0, "stream": 0}
    assert apply("C", "C", np.ones((5, 0)), 3, d=3, m=5, **where).shape == (3, 0)
    assert apply("C", "C", np.ones((5, 2)), 0, d=3, m=5, **where).shape == (0, 2)
    np.testing.assert_array_equal(apply("C", "C", np.ones((0, 2)), 1, d=1, m=0, **where), np.zeros((1, 2)))
    np.testing.assert_array_equal(
        apply("C", "C", np.ones((0, 2)), 5, d=3, m=5, adjoint=True, **where), np.zeros((5, 2))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"m": 9}, "m rows"),
        ({"d": 0}, "positive"),
        ({"d": 9}, "order"),
        ({"row_start": -1}, "row_start"),
        ({"row_start": 5}, "row_start"),
    ],
)
def test_bad_maps_are_refused(change: dict[str, int], message: str) -> None:
    where = {"seed": 0, "stream": 0, "d": 8, "m": 8} | change
    with pytest.raises(InputError, match=message):
        trig.apply_hadamard(np.ones((8, 2)), np.empty((4, 2)), **where)


def test_mismatched_arrays_are_refused() -> None:
    where = {"seed": 0, "stream": 0, "d": 8, "m": 8}
    with pytest.raises(InputError, match="columns"):
        trig.apply_hadamard(np.ones((8, 2)), np.empty((4, 3)), **where)
    with pytest.raises(InputError, match="out"):
        trig.apply_hadamard(np.ones((8, 2)), np.empty((4, 2), np.float32), **where)
    with pytest.raises(InputError, match="a"):
        trig.apply_hadamard(np.ones((8, 2), np.int64), np.empty((4, 2), np.int64), **where)


def digest() -> str:
    """Of results on exact input: a random walk of integers over powers of two."""
    sha = hashlib.sha256()
    for dtype in DTYPES:
        for m, n in [(9, 3), (250, 20), (3000, 17), (40_000, 2)]:
            i = np.arange(m * n, dtype=np.int64).reshape(m, n)
            A = (np.ldexp(((i * 7919) % 10_007 - 5003).astype(np.float64), -((i % 9) * 3))).astype(dtype)
            for layout in ("C", "F"):
                got = apply(layout, "C", A, 7, seed=2026, stream=5, d=9, row_start=2, m=m)
                sha.update(got.astype(got.dtype.newbyteorder("<")).tobytes())
                back = apply("C", layout, got, m, seed=2026, stream=5, d=9, row_start=2, m=m, adjoint=True)
                sha.update(np.ascontiguousarray(back.astype(back.dtype.newbyteorder("<"))).tobytes())
    return sha.hexdigest()[:16]


def test_golden_digest() -> None:
    """The contract of csrc/DevNotes.md, level order included, frozen."""
    assert digest() == GOLDEN


@pytest.mark.parametrize("isa", ["v2", "v3", "v4"])
def test_every_instruction_set_has_the_same_bits(isa: str) -> None:
    here = os.path.dirname(__file__)
    code = f"import sys; sys.path.insert(0, {here!r}); import test_hadamard as t; print(t.digest())"
    result = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"RANDNLA_ISA": isa}, capture_output=True, text=True
    )
    if "not available here" in result.stderr:
        pytest.skip(f"this CPU lacks {isa}")
    assert result.stdout.strip() == GOLDEN, result.stderr


MEMORY = """
import resource, sys
import numpy as np
from randnla._backend.kernels import trig
from randnla._backend.kernels.runtime import set_team_size
set_team_size(2)
m, n, layout = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
A, out = np.ones((m, n), np.float32, order=layout), np.ones((50, n), np.float32, order=layout)
trig.apply_hadamard(A[:99, :5], out[:9, :5], seed=0, stream=0, d=9, m=99)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
trig.apply_hadamard(A, out, seed=0, stream=0, d=50, m=m)
print(peak() - before)
"""


@pytest.mark.parametrize(("m", "n", "layout"), [(300_000, 40, "F"), (100_000, 120, "C"), (2000, 6000, "C")])
def test_memory_is_a_few_padded_columns(m: int, n: int, layout: str) -> None:
    """Signs and positions 8 M; a thread one column, or a panel of 64 bytes a row (512 KB if short)."""
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, str(m), str(n), layout], capture_output=True, text=True, check=True
    )
    order = trig.hadamard_order(m)
    a_thread = 4 * order if layout == "F" else max(64 * order, 2**19)
    assert int(run.stdout) <= 8 * order + 2 * a_thread + 2**21


GOLDEN = "f532a6d8f65ea801"
