# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Accuracy of the pieces of Box-Muller against extended precision, and their extremes.

The oracle is tested here; `test_stream_bits` shows that the kernels have its bits.
"""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from randnla._backend.generic import streams as oracle

Array = np.ndarray[Any, Any]
L = np.longdouble
TWO_PI = L("6.283185307179586476925286766559005768")
ONES = 0xFFFFFFFF


def words(count: int, seed: int) -> Array:
    """Random words, all small ones, all large ones, and those around the quarter turns."""
    near = np.arange(-2000, 2000, dtype=np.int64)
    quarters = np.concatenate([(q * 2**29 + near) % 2**32 for q in range(8)])
    ends = np.arange(200_000, dtype=np.int64)
    random = np.random.default_rng(seed).integers(0, 2**32, count)
    return np.concatenate([random, ends, ONES - ends, quarters]).astype(np.uint32)


def worst_ulp(got: Array, exact: Array) -> float:
    """Largest error in units in the last place of the exact value; where that is 0, got must be too."""
    zero = exact == 0
    assert (got[zero] == 0).all()
    spacing = np.spacing(abs(exact[~zero]).astype(got.dtype)).astype(L)
    return float((abs(got[~zero].astype(L) - exact[~zero]) / spacing).max())


def turned(x: Array, q: Array) -> tuple[Array, Array]:
    """Cosine and sine of x + q pi / 2 in extended precision."""
    c, s = np.cos(x), np.sin(x)
    odd = (q & 1) == 1
    cosine, sine = np.where(odd, s, c), np.where(odd, c, s)
    return np.where((q + 1) & 2, -cosine, cosine), np.where(q & 2, -sine, sine)


def test_radius_f32() -> None:
    """Below 1.25 ulp: two ulps of -2 log u are halved by the root, which adds half an ulp."""
    w = words(1 << 20, 0)
    v = (w >> np.uint32(1)).astype(np.int32).astype(np.float32)
    u = v * np.float32(2.0**-31) + np.float32(2.0**-32)
    assert 2.0**-32 <= u.min() <= u.max() == 1
    radius = oracle.gaussian_radius_f32(w)
    assert worst_ulp(radius, np.sqrt(-2 * np.log(u.astype(L)))) < 1.25
    assert not np.signbit(radius).any()


def test_radius_f64() -> None:
    high, low = words(1 << 19, 1), words(1 << 19, 2)[::-1].copy()
    u = (high >> 5).astype(L) * L(2) ** -27 + ((low >> 6).astype(L) + 1) * L(2) ** -53
    radius = oracle.gaussian_radius_f64(high, low)
    assert worst_ulp(radius, np.sqrt(-2 * np.log(u))) < 1.25
    assert not np.signbit(radius).any()


def test_angle_f32() -> None:
    """Below 3 ulp: the argument carries three roundings (1.5 ulp and its constant), the polynomial two."""
    w = words(1 << 20, 3)
    q = (w + np.uint32(2**29)) >> np.uint32(30)
    n = (w - (q << np.uint32(30))).view(np.int32)
    cosine, sine = oracle.gaussian_angle_f32(w)
    exact = turned(n.astype(L) * (TWO_PI / L(2) ** 32), q.astype(np.int64))
    assert max(worst_ulp(cosine, exact[0]), worst_ulp(sine, exact[1])) < 3


def test_angle_f64() -> None:
    high, low = words(1 << 19, 4), words(1 << 19, 5)[::-1].copy()
    q = (high + np.uint32(2**29)) >> np.uint32(30)
    n = (high - (q << np.uint32(30))).view(np.int32).astype(L) + (low >> 11).astype(L) * L(2) ** -21
    cosine, sine = oracle.gaussian_angle_f64(high, low)
    exact = turned(n * (TWO_PI / L(2) ** 32), q.astype(np.int64))
    assert max(worst_ulp(cosine, exact[0]), worst_ulp(sine, exact[1])) < 2


def test_entries_against_fifty_digits() -> None:
    """r cos and r sin of random words by mpmath: 4.5 ulps (radius, angle, product) in all."""
    rng = np.random.default_rng(6)
    block = rng.integers(0, 2**32, (8, 4, 16), dtype=np.uint64).astype(np.uint32)
    single = oracle.gaussian_f32(block).reshape(8, 4, 16)
    double = oracle.gaussian_f64(block).reshape(8, 2, 16)
    with mpmath.workdps(50):
        for b in range(8):
            for lane in range(16):
                w = [int(x) for x in block[b, :, lane]]
                for pair in (0, 2):
                    v = np.float32(np.int32(w[pair] >> 1)) * np.float32(2.0**-31) + np.float32(2.0**-32)
                    r = mpmath.sqrt(-2 * mpmath.log(mpmath.mpf(float(v))))
                    turn = 2 * mpmath.mpf(w[pair + 1]) / 2**32
                    exact = (r * mpmath.cospi(turn), r * mpmath.sinpi(turn))
                    got = single[b, pair : pair + 2, lane]
                    for g, e in zip(got, exact, strict=True):
                        assert abs(mpmath.mpf(float(g)) - e) <= 4.5 * float(np.spacing(abs(g)))
                u = mpmath.mpf(((w[0] >> 5) << 26) + (w[1] >> 6) + 1) / 2**53
                r = mpmath.sqrt(-2 * mpmath.log(u))
                turn = 2 * (mpmath.mpf(w[2]) + mpmath.mpf(w[3] >> 11) / 2**21) / 2**32
                exact = (r * mpmath.cospi(turn), r * mpmath.sinpi(turn))
                for g, e in zip(double[b, :, lane], exact, strict=True):
                    assert abs(mpmath.mpf(float(g)) - e) <= 4.5 * float(np.spacing(abs(g)))


def test_tail_reaches_beyond_six_sigma() -> None:
    zero = np.zeros(1, np.uint32)
    radius, wide = oracle.gaussian_radius_f32(zero)[0], oracle.gaussian_radius_f64(zero, zero)[0]
    assert 6.66 < radius < 6.67
    assert 8.57 < wide < 8.58
    cosine, sine = oracle.gaussian_angle_f32(zero)
    assert (cosine[0], sine[0]) == (1, 0)


@pytest.mark.parametrize("turns", range(4))
def test_signs_of_zeros(turns: int) -> None:
    """At exact quarter turns one of the pair is a zero whose sign the contract fixes."""
    cosines, sines = (0x3F800000, 0x80000000, 0xBF800000, 0), (0, 0x3F800000, 0x80000000, 0xBF800000)
    word = np.array([turns << 30], np.uint32)
    cosine, sine = oracle.gaussian_angle_f32(word)
    assert int(cosine.view(np.uint32)[0]) == cosines[turns]
    assert int(sine.view(np.uint32)[0]) == sines[turns]
    wide_cosine, wide_sine = oracle.gaussian_angle_f64(word, np.zeros(1, np.uint32))
    assert int(wide_cosine.view(np.uint64)[0]) >> 63 == cosines[turns] >> 31
    assert int(wide_sine.view(np.uint64)[0]) >> 63 == sines[turns] >> 31
    # A radius of zero keeps those signs: +0.0 times them.
    block = np.full((1, 4, 16), ONES, np.uint32)
    block[:, 1::2] = word[0]
    pair = oracle.gaussian_f32(block).reshape(4, 16)[:2, 0]
    assert (pair == 0).all()
    assert [int(b) >> 31 for b in pair.view(np.uint32)] == [cosines[turns] >> 31, sines[turns] >> 31]
