# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Laws of the numbers: every threshold is the exact quantile of the stated law at alpha = 1e-12."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats

from randnla._backend.kernels import streams

Array = np.ndarray[Any, Any]
ALPHA = 1e-12
DTYPES = [np.float32, np.float64]
PLACES = [(0, 0), (2**40, 2**33 - 1000), (2**32 - 5, 2**34 - 2**12)]


def entries(kind: Any, dtype: Any, rows: int, cols: int, **which: int) -> Array:
    place = {"seed": 20, "stream": 0, "row_start": 0, "col_start": 0, **which}
    return streams.fill_dense_map(np.empty((rows, cols), dtype), kind=kind, **place)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", PLACES)
def test_gaussian_kolmogorov_smirnov(dtype: Any, place: tuple[int, int]) -> None:
    x = entries("gaussian", dtype, 64, 1 << 13, row_start=place[0], col_start=place[1])
    for sample in (x.ravel(), x[:, ::7].ravel(), x[0]):
        distance = stats.kstest(sample, "norm", mode="asymp").statistic
        assert distance < stats.kstwo.isf(ALPHA, sample.size)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gaussian_of_each_place_in_the_block(dtype: Any) -> None:
    """Each word of each lane by itself: a swapped or reused word would show."""
    x = entries("gaussian", dtype, 64, 1 << 13).reshape(64, -1, 64)
    for place in range(64):
        distance = stats.kstest(x[:, :, place].ravel(), "norm", mode="asymp").statistic
        assert distance < stats.kstwo.isf(ALPHA, 64 * 128)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gaussian_moments(dtype: Any) -> None:
    """The sum is normal, the sum of squares chi-square, each exactly."""
    x = entries("gaussian", dtype, 128, 1 << 14, seed=21).astype(np.float64).ravel()
    n = x.size
    assert abs(x.sum() / np.sqrt(n)) < stats.norm.isf(ALPHA / 2)
    squares = (x * x).sum()
    assert stats.chi2.ppf(ALPHA / 2, n) < squares < stats.chi2.isf(ALPHA / 2, n)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gaussian_shape_by_equiprobable_cells(dtype: Any) -> None:
    """512 cells of equal probability: skewness, kurtosis and any lattice would show."""
    x = entries("gaussian", dtype, 128, 1 << 14, seed=22).ravel()
    counts = np.histogram(stats.norm.cdf(x), bins=512, range=(0, 1))[0]
    statistic = stats.chisquare(counts).statistic
    assert stats.chi2.ppf(ALPHA / 2, 511) < statistic < stats.chi2.isf(ALPHA / 2, 511)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threshold", [3.0, 4.0, 4.5])
def test_gaussian_tails_are_binomial(dtype: Any, threshold: float) -> None:
    x = entries("gaussian", dtype, 256, 1 << 14, seed=23)
    for tail in (x > threshold, x < -threshold):
        law = stats.binom(x.size, stats.norm.sf(threshold))
        assert law.ppf(ALPHA / 2) <= tail.sum() <= law.isf(ALPHA / 2)


def test_box_muller_pairs_are_uniform_angles() -> None:
    """(r cos, r sin): the squared radius is exponential and the angle uniform, 16 columns apart."""
    for dtype in DTYPES:
        x = entries("gaussian", dtype, 64, 1 << 13, seed=24).astype(np.float64).reshape(-1, 2, 16)
        c, s = x[:, 0].ravel(), x[:, 1].ravel()
        critical = stats.kstwo.isf(ALPHA, c.size)
        radius = stats.kstest((c * c + s * s) / 2, "expon", mode="asymp").statistic
        angle = stats.kstest(np.arctan2(s, c) / (2 * np.pi) + 0.5, "uniform", mode="asymp").statistic
        assert max(radius, angle) < critical


@pytest.mark.parametrize("place", [(450, 731945, 6.04758024), (1167, 64962, -6.38361311)])
def test_numbers_beyond_six_sigma_occur(place: tuple[int, int, float]) -> None:
    """Found by a search of 3e9 numbers; 24-bit uniforms would end at 5.8."""
    row, col, value = place
    got = float(entries("gaussian", np.float32, 1, 1, seed=0, row_start=row, col_start=col)[0, 0])
    assert abs(got) > 6
    assert got == np.float32(value)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sign_bytes_are_uniform(dtype: Any) -> None:
    x = entries("sign", dtype, 64, 1 << 15, seed=25)
    assert set(np.unique(x)) == {-1.0, 1.0}
    law = stats.binom(x.size, 0.5)
    assert law.ppf(ALPHA / 2) <= (x < 0).sum() <= law.isf(ALPHA / 2)
    for bits in (x < 0, (x < 0).T):
        counts = np.bincount(np.packbits(np.ascontiguousarray(bits)), minlength=256)
        statistic = stats.chisquare(counts).statistic
        assert stats.chi2.ppf(ALPHA / 2, 255) < statistic < stats.chi2.isf(ALPHA / 2, 255)


def test_streams_are_uncorrelated() -> None:
    """Neighboring seeds, streams, kinds, types and rows: all pairs of 624 rows of 4096 entries.

    For two independent rows, one of them Gaussian, t = r sqrt((n-2)/(1-r^2)) of the correlation r
    follows Student's law; for two rows of signs Hoeffding bounds the sum of products.
    """
    n = 4096
    gaussian, sign = [], []
    for dtype, seed, stream in itertools.product(DTYPES, range(13), (0, 1, 2**32)):
        which = {"seed": (seed << 31) ^ seed, "stream": stream}
        gaussian.append(entries("gaussian", dtype, 4, n, **which).astype(np.float64))
        sign.append(entries("sign", dtype, 4, n, **which).astype(np.float64))
    rows = np.vstack(gaussian + sign)
    assert len(np.unique(rows, axis=0)) == len(rows)
    count = len(rows) * (len(rows) - 1) // 2
    r = abs(np.corrcoef(rows))
    np.fill_diagonal(r, 0)
    t = stats.t.isf(ALPHA / 2 / count, n - 2)
    g = len(rows) // 2
    assert r[:g].max() < t / np.sqrt(n - 2 + t * t)
    products = abs(rows[g:] @ rows[g:].T)
    np.fill_diagonal(products, 0)
    assert products.max() < np.sqrt(2 * n * np.log(2 * count / ALPHA))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["gaussian", "sign"])
def test_no_correlation_at_any_lag(kind: Any, dtype: Any) -> None:
    """Sums of n products of independent standard entries: |sum| below a Bernstein bound.

    The moment generating function of a product of two standard normals is (1 - t^2)^(-1/2), so
    P(|sum| > s) <= 2 exp(-s^2 / (2 (n + s))); products of signs obey it a fortiori.
    """
    n, lags = 1 << 18, 256
    x = entries(kind, dtype, 1, n + lags, seed=26).astype(np.float64)[0]
    for lag in range(1, lags):
        # The pairs (i, i + lag) with i // lag even are disjoint, and so are those with i // lag odd.
        level, half = np.log(4 * lags / ALPHA), n / 2 + lag
        bound = level + np.sqrt(level * level + 2 * level * half)
        assert abs(np.dot(x[:n], x[lag : n + lag])) < 2 * bound
