# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The subsampled randomized cosine transform against the explicit matrix."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.fft

from randnla._backend.generic import trig as oracle
from randnla._backend.kernels import chirp, trig
from randnla._backend.kernels.turns import cosine

Array = np.ndarray[Any, Any]
DTYPES = [np.float32, np.float64]


def tolerance(dtype: Any, m: int, expected: Array) -> float:
    """FFTs err by a small multiple of eps log2(m), in norm."""
    return float(4 * np.finfo(dtype).eps * np.log2(m + 2) * np.linalg.norm(expected))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [1, 2, 3, 7, 64, 97, 360, 501])
@pytest.mark.parametrize("adjoint", [False, True])
def test_equals_the_explicit_matrix(dtype: Any, m: int, adjoint: bool) -> None:
    d, n = (m + 1) // 2, 6
    rows = d - d // 3
    where = {"seed": m, "stream": 1, "d": d, "row_start": d // 3, "m": m, "adjoint": adjoint}
    rng = np.random.default_rng(m)
    shape_in, shape_out = ((rows, n), (m, n)) if adjoint else ((m, n), (rows, n))
    A = rng.standard_normal(shape_in).astype(dtype)
    expected = np.empty(shape_out)
    oracle.apply_cosine(A, expected, **where)
    for source in (A, np.asfortranarray(A), A[::-1].copy()[::-1]):
        for out in (np.empty(shape_out, dtype), np.empty(shape_out, dtype, order="F")):
            trig.apply_cosine(source, out, **where)
            assert np.linalg.norm(out - expected) <= tolerance(dtype, m, expected)


@pytest.mark.parametrize("m", [1, 2, 3, 8, 97, 360, 2**40 + 1, 2**60])
def test_cosines_of_turns(m: int) -> None:
    """Against fifty digits, at the ends of all eighths and in between, of either sign."""
    rng = np.random.default_rng(m % 1000)
    ends = np.array([k * m // 2 + d for k in range(-8, 9) for d in (-1, 0, 1)])
    turns = np.concatenate([ends, rng.integers(-6 * m, 6 * m, 300)])
    values = cosine(turns, m)
    with mpmath.workdps(50):
        exact = [mpmath.cospi(mpmath.mpf(int(t)) / (2 * m)) for t in turns]
        errors = [
            abs(mpmath.mpf(float(v)) - e) / max(abs(e), mpmath.mpf(1) / 2)
            for v, e in zip(values, exact, strict=True)
        ]
    assert max(errors) <= 2 * np.finfo(np.float64).eps
    assert np.array_equal(values, cosine(-turns, m))
    if m < 2**59:
        assert np.array_equal(values, cosine(turns + 4 * m, m))
    assert cosine(np.array([0, m, 2 * m, 3 * m]), m).tolist() == [1.0, 0.0, -1.0, 0.0]


def test_all_rows_together_are_an_isometry() -> None:
    """d = m: S^T S = D C^T C D = I; a wrong row k = 0 would show in a constant column."""
    for m in (5, 96, 1001):
        where = {"seed": 3, "stream": 0, "d": m, "m": m}
        A = trig.trig_signs(m, seed=3, stream=0, dtype=np.float64)[:, None] * np.ones((1, 2))
        SA, back = np.empty((m, 2)), np.empty((m, 2))
        trig.apply_cosine(A, SA, **where)
        np.testing.assert_allclose(np.linalg.norm(SA, axis=0), np.sqrt(m), rtol=1e-14 * np.log2(m))
        trig.apply_cosine(SA, back, adjoint=True, **where)
        assert np.linalg.norm(back - A) <= tolerance(np.float64, m, A)


def test_second_moment_is_the_identity() -> None:
    """The rows of S^T S = (m/d) D C^T R^T R C D, averaged over seeds, tend to those of I.

    Entries of C are at most sqrt(2/m), so an entry of S^T S lies in [-2, 2]; Hoeffding's bound for
    the mean of k such, over m^2 entries at alpha = 1e-12.
    """
    m, d, k = 6, 3, 4000
    mean = np.zeros((m, m))
    S = np.empty((d, m))
    for seed in range(k):
        trig.apply_cosine(np.eye(m), S, seed=seed, stream=0, d=d, m=m)
        mean += S.T @ S / k
    bound = 4 * np.sqrt(np.log(2 * m * m / 1e-12) / (2 * k))
    assert np.abs(mean - np.eye(m)).max() <= bound
    assert bound < 0.3


def test_panels_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    A = np.random.default_rng(0).standard_normal((300, 50))
    where = {"seed": 3, "stream": 0, "d": 20, "m": 300}
    whole, parts = np.empty((20, 50)), np.empty((20, 50))
    trig.apply_cosine(A, whole, **where)
    monkeypatch.setattr(trig, "_PANEL_BYTES", 7 * 300 * 8)
    trig.apply_cosine(A, parts, **where)
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-14 * np.linalg.norm(whole))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [1, 2, 3, 4, 9, 13, 97, 1009, 10_007])
@pytest.mark.parametrize("long", [False, True])
def test_blocks_of_a_chirp_equal_the_transform(
    m: int, dtype: Any, long: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if long:
        monkeypatch.setattr(chirp, "_LONG_BYTES", 0)
    rng = np.random.default_rng(m)
    x, positions = rng.standard_normal(m), rng.permutation(m)[: (m + 1) // 2]
    expected = scipy.fft.dct(x, norm="ortho")
    found = chirp.cosine(x.astype(dtype), positions)
    assert found.dtype == dtype
    assert np.linalg.norm(found - expected[positions]) <= tolerance(dtype, m, expected)
    sparse = np.zeros(m)
    sparse[positions] = found
    back = chirp.cosine_adjoint(found, positions, m)
    assert back.dtype == dtype
    assert np.linalg.norm(back - scipy.fft.idct(sparse, norm="ortho")) <= tolerance(dtype, m, sparse)


def test_which_lengths_go_over_the_chirp() -> None:
    """Long ones with a prime factor above the root: the library treats the others in place."""
    assert chirp.needed(1_000_003, 4)
    assert chirp.needed(2 * 500_009, 8)
    assert not chirp.needed(10_007, 8)
    assert not chirp.needed(1_000_000, 8)
    assert not chirp.needed(991 * 1000, 8)


@pytest.mark.parametrize("adjoint", [False, True])
def test_a_long_prime_length_agrees_with_the_library(adjoint: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    m, d = 200_003, 64
    assert chirp.needed(m, 8)
    where = {"seed": 1, "stream": 0, "d": d, "row_start": 3, "m": m, "adjoint": adjoint}
    shapes = ((d - 3, 2), (m, 2)) if adjoint else ((m, 2), (d - 3, 2))
    A = np.random.default_rng(1).standard_normal(shapes[0])
    out, expected = np.empty(shapes[1]), np.empty(shapes[1])
    trig.apply_cosine(A, out, **where)
    monkeypatch.setattr(chirp, "needed", lambda m, itemsize: False)
    trig.apply_cosine(A, expected, **where)
    assert np.linalg.norm(out - expected) <= tolerance(np.float64, m, expected) * (m / d) ** 0.5


def test_empty_shapes() -> None:
    out = np.full((4, 3), np.nan)
    trig.apply_cosine(np.ones((0, 3)), out, seed=0, stream=0, d=2, m=4, adjoint=True)
    np.testing.assert_array_equal(out, 0)
    trig.apply_cosine(np.ones((4, 0)), np.empty((2, 0)), seed=0, stream=0, d=2, m=4)
