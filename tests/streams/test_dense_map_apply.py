# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Dense maps applied on the fly equal the product with the written map."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from randnla import _core
from randnla._backend.errors import InputError
from randnla._backend.kernels import streams

Array = np.ndarray[Any, Any]
KINDS = ["gaussian", "sign"]
DTYPES = [np.float32, np.float64]


@pytest.fixture(autouse=True)
def _team() -> Iterator[None]:
    yield
    _core.set_num_threads(0)


def written(shape: tuple[int, int], dtype: Any, which: dict[str, Any]) -> Array:
    return streams.fill_dense_map(np.empty(shape, dtype), **which)


def within_rounding(got: Array, P: Array, A: Array) -> None:
    """|fl(P A) - P A| <= gamma_n |P| |A| entrywise for any order of summation (Higham, Th. 3.5).

    The reference is a float64 product (for float64 input its own error doubles the bound).
    """
    n, u = P.shape[1], float(np.finfo(got.dtype).eps) / 2
    gamma = n * u / (1 - n * u) * (2 if got.dtype == np.float64 else 1 + 1e-8)
    exact = P.astype(np.float64) @ A.astype(np.float64)
    bound = gamma * (abs(P).astype(np.float64) @ abs(A).astype(np.float64)) * (1 + 1e-9)
    assert (abs(got - exact) <= bound).all()


# out rows, inner dimension, columns: shared by rows, by columns, by the sum, tiny, and across the
# steps of the panels in each direction.
SHAPES = [
    (1, 1, 1), (3, 20000, 1), (40, 5000, 2), (200, 3000, 300), (900, 2100, 70), (2, 3000, 300),
    (5000, 40, 3), (1100, 1500, 8), (17, 33, 2000), (64, 20000, 3),
]  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("adjoint", [False, True])
def test_equals_written_map(shape: tuple[int, int, int], threads: int, adjoint: bool) -> None:
    rows, inner, cols = shape
    _core.set_num_threads(threads)
    rng = np.random.default_rng(0)
    for dtype in DTYPES:
        for kind in KINDS if rows * inner < 500_000 else [KINDS[threads % 2]]:
            A = rng.standard_normal((inner, cols)).astype(dtype)
            which = {"kind": kind, "seed": 4, "stream": 2, "row_start": 5, "col_start": 77, "scale": 0.3}
            out = np.full((rows, cols), np.nan, dtype)
            assert streams.apply_dense_map(A, out, **which, adjoint=adjoint) is out
            S = written((inner, rows) if adjoint else (rows, inner), dtype, which)
            within_rounding(out, S.T if adjoint else S, A)


LAYOUTS = {
    "c": lambda x: np.ascontiguousarray(x),
    "fortran": lambda x: np.asfortranarray(x),
    "reversed": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "strided": lambda x: np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3],
    "read_only": lambda x: np.broadcast_to(x, x.shape),
    "column_slice": lambda x: np.hstack([x, x])[:, : x.shape[1]],
}


@pytest.mark.parametrize("into", ["c", "fortran", "reversed", "strided"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("adjoint", [False, True])
def test_any_layout(layout: str, into: str, adjoint: bool) -> None:
    rng = np.random.default_rng(1)
    for dtype, cols in ((np.float32, 90), (np.float64, 3)):
        A = LAYOUTS[layout](rng.standard_normal((410, cols)).astype(dtype))
        out = LAYOUTS[into](np.full((130, cols), np.nan, dtype))
        which = {"kind": "gaussian", "seed": 1, "stream": 0}
        streams.apply_dense_map(A, out, **which, adjoint=adjoint)
        S = written((410, 130) if adjoint else (130, 410), dtype, which)
        within_rounding(out, S.T if adjoint else S, A)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(KINDS),
    dtype=st.sampled_from(DTYPES),
    shape=st.tuples(st.integers(1, 300), st.integers(1, 2500), st.integers(1, 150)),
    corner=st.tuples(st.integers(0, 2**63 - 5000), st.integers(0, 2**63 - 5000)),
    threads=st.integers(1, 4),
    adjoint=st.booleans(),
)
def test_any_block(kind: Any, dtype: Any, shape: Any, corner: Any, threads: int, adjoint: bool) -> None:
    rows, inner, cols = shape
    _core.set_num_threads(threads)
    A = np.random.default_rng(rows).uniform(-1, 1, (inner, cols)).astype(dtype)
    out = np.full((rows, cols), np.nan, dtype)
    which = {"kind": kind, "seed": 9, "stream": 1, "row_start": corner[0], "col_start": corner[1]}
    streams.apply_dense_map(A, out, **which, adjoint=adjoint)
    S = written((inner, rows) if adjoint else (rows, inner), dtype, which)
    within_rounding(out, S.T if adjoint else S, A)


def test_adjoint_identity() -> None:
    """<S x, y> = <x, S^T y>: both sides round, each below gamma |y|^T |S| |x|."""
    m, d = 3001, 257
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((m, 4)), rng.standard_normal((d, 4))
    Sx, Sty = np.empty((d, 4)), np.empty((m, 4))
    for kind in KINDS:
        streams.apply_dense_map(x, Sx, kind=kind, seed=3, stream=0)
        streams.apply_dense_map(y, Sty, kind=kind, seed=3, stream=0, adjoint=True)
        S = written((d, m), np.float64, {"kind": kind, "seed": 3, "stream": 0})
        gamma = 2 * (m + d) * np.finfo(np.float64).eps
        bound = gamma * (abs(y) * (abs(S) @ abs(x))).sum(axis=0)
        assert (abs((Sx * y).sum(axis=0) - (x * Sty).sum(axis=0)) <= bound).all()


def test_linearity_exact_on_integers() -> None:
    """Signs times small integers are exact in any order: S (A + 2 B) = S A + 2 S B to the bit."""
    rng = np.random.default_rng(3)
    A, B = (rng.integers(-50, 50, (5000, 130)).astype(np.float32) for _ in range(2))
    for adjoint in (False, True):
        images = []
        for X in (A, B, A + 2 * B):
            out = np.empty((300, 130), np.float32)
            images.append(streams.apply_dense_map(X, out, kind="sign", seed=1, stream=0, adjoint=adjoint))
        np.testing.assert_array_equal(images[2], images[0] + 2 * images[1])


@pytest.mark.parametrize("adjoint", [False, True])
def test_signs_have_the_same_bits_for_any_team(adjoint: bool) -> None:
    """Integer data: every sum is exact, so any panel, split or order must give the same bits."""
    A = np.random.default_rng(4).integers(-50, 50, (9000, 200)).astype(np.float64)
    images = []
    for threads in (1, 2, 3, 4):
        _core.set_num_threads(threads)
        out = np.empty((500, 200))
        images.append(streams.apply_dense_map(A, out, kind="sign", seed=6, stream=0, adjoint=adjoint))
    S = written((9000, 500) if adjoint else (500, 9000), np.float64, {"kind": "sign", "seed": 6, "stream": 0})
    for image in images:
        np.testing.assert_array_equal(image, (S.T if adjoint else S) @ A)


def test_empty_operands() -> None:
    for adjoint in (False, True):
        which: dict[str, Any] = {"kind": "gaussian", "seed": 0, "stream": 0, "adjoint": adjoint}
        out = np.full((3, 2), np.nan)
        streams.apply_dense_map(np.empty((0, 2)), out, **which)
        np.testing.assert_array_equal(out, np.zeros((3, 2)))
        assert streams.apply_dense_map(np.ones((4, 0)), np.empty((3, 0)), **which).shape == (3, 0)
        assert streams.apply_dense_map(np.ones((4, 2)), np.empty((0, 2)), **which).shape == (0, 2)


def test_bad_calls_are_refused() -> None:
    which: dict[str, Any] = {"kind": "gaussian", "seed": 0, "stream": 0}
    with pytest.raises(InputError, match="as many columns"):
        streams.apply_dense_map(np.ones((4, 2)), np.empty((3, 3)), **which)
    with pytest.raises(InputError, match="out: expected dtype float32"):
        streams.apply_dense_map(np.ones((4, 2), np.float32), np.empty((3, 2)), **which)
    with pytest.raises(InputError, match=r"col_start: indices must stay below 2\*\*63"):
        streams.apply_dense_map(np.ones((4, 2)), np.empty((3, 2)), **which, col_start=2**63 - 4)
    with pytest.raises(InputError, match=r"row_start: indices must stay below 2\*\*63"):
        streams.apply_dense_map(np.ones((4, 2)), np.empty((3, 2)), **which, row_start=2**63 - 3)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_stops_a_long_product(threads: int) -> None:
    """The handler's exception comes out while the call (a trillion flops) is far from its end."""

    class AlarmError(Exception):
        pass

    def ring(*_: object) -> None:
        raise AlarmError

    A = np.ones((20000, 100))
    which: dict[str, Any] = {"kind": "gaussian", "seed": 0, "stream": 0}
    out = np.full((250_000, 100), np.nan)
    _core.set_num_threads(threads)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(AlarmError):
            streams.apply_dense_map(A, out, **which)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert np.isnan(out[-1]).all()
    streams.apply_dense_map(A, out[:50], **which)
    within_rounding(out[:50], written((50, 20000), np.float64, which), A)


MEMORY = """
    import resource, sys
    import numpy as np
    from randnla import _core
    from randnla._backend.kernels import streams
    dtype, kind, d, m, n, order, adjoint = {case!r}
    _core.set_num_threads(2)
    A = np.ones((m, 3 * n), dtype)[:, ::3] if order == "S" else np.ones((m, n), dtype, order=order)
    out = np.zeros((d, n), dtype)
    out += 1
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    streams.apply_dense_map(A, out, kind=kind, seed=0, stream=0, adjoint=adjoint)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        ("f4", "gaussian", 2000, 20000, 100, "C", False),
        ("f8", "sign", 1500, 30000, 40, "F", False),
        ("f8", "gaussian", 300, 30000, 200, "S", False),
        ("f8", "gaussian", 30000, 1000, 70, "C", True),
        ("f4", "gaussian", 2, 300, 50000, "S", False),
    ],
    ids=str,
)
def test_extra_memory_is_bounded(case: Any) -> None:
    """Peak resident set, cold start included (the BLAS' own buffers too): at most 32 MB above."""
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEMORY).format(case=case)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert int(run.stdout) * 1024 <= 32 << 20
