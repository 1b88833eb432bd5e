# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Singular values and eigenvalues at the ends of the range: refused, or certified as they are rounded."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import randnla
from randnla import ConvergenceWarning, RangeError


def relative_error(A, U, s, Vh):
    """In long double, whose range is wider."""
    wide = [X.astype(np.longdouble) for X in (A, U, s, Vh)]
    unit = np.ldexp(np.longdouble(1), 900)
    R, A = ((wide[1] * (wide[2] * unit)) @ wide[3] - wide[0] * unit), wide[0] * unit
    return float(np.sqrt((R * R).sum() / (A * A).sum()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["svd", "eigh", "nystrom"])
def test_values_beyond_the_range_are_refused(name, dtype):
    A = np.full((30, 30), np.finfo(dtype).max, dtype)
    with pytest.raises(RangeError, match=f"A: its largest value exceeds the range of {A.dtype.name}"):
        getattr(randnla, name)(A, 1, rng=0)


@pytest.mark.parametrize(
    ("dtype", "scale"), [(np.float32, 1e-42), (np.float64, 1e-314), (np.float64, 1e-321)]
)
def test_errors_of_denormal_singular_values_are_certified(dtype, scale):
    A = (np.random.default_rng(1).standard_normal((60, 40)) * scale).astype(dtype)
    result = randnla.svd(A, 40, rng=0)
    wrong = relative_error(A, *result)
    assert wrong <= result.info.error_relative <= 3 * wrong + 1e-5
    power = 100 if dtype == np.float32 else 900
    size = float(np.linalg.norm(np.ldexp(A.astype(np.float64), power)))
    assert result.info.error_estimate >= np.ldexp(0.5 * wrong * size, -power)


@pytest.mark.parametrize("scale", [1e-320, 1e-315])
def test_errors_of_denormal_eigenvalues_are_certified(scale):
    S = np.random.default_rng(2).standard_normal((50, 50))
    S = (S + S.T) * scale
    result = randnla.eigh(S, 50, rng=0)
    wrong = relative_error(S, result.V, result.w, result.V.T)
    assert wrong <= result.info.error_relative <= 3 * wrong + 1e-5


def test_a_tolerance_that_rounding_breaks_is_not_met():
    A = np.where(np.random.default_rng(0).standard_normal((60, 40)) > 1, 5e-324, 0.0)
    with pytest.warns(ConvergenceWarning, match="multiples of the least float64"):
        result = randnla.svd(A, tol=1e-2, rng=0)
    assert not result.info.converged
    assert relative_error(A, *result) <= result.info.error_relative


FORMS = {
    "array": np.asarray,
    "sparse": scipy.sparse.csr_array,
    "columns": scipy.sparse.csc_array,
    "stream": lambda A: randnla.RowStream(A, max_memory=1 << 10),
    "operator": scipy.sparse.linalg.aslinearoperator,
}
DATA = np.random.default_rng(4).integers(-9, 10, (60, 12)) + 3.0


@pytest.mark.parametrize("options", [{"rank": 3}, {"tol": 0.5}, {"rank": 3, "whiten": True}])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 1e25), (np.float64, 1e160), (np.float64, 1e307)])
def test_variances_beyond_the_range_are_refused(dtype, scale, form, options):
    A = (DATA * scale).astype(dtype)
    with pytest.raises(RangeError, match=f"^A: its largest variance exceeds the range of {A.dtype}; scale A"):
        randnla.pca(FORMS[form](A), rng=0, **options)


@pytest.mark.parametrize("options", [{"rank": 3}, {"tol": 0.5}, {"rank": 3, "whiten": True}])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("dtype", "power"), [(np.float32, -80), (np.float64, -600), (np.float64, -1060)])
def test_variances_below_the_range_are_told(dtype, power, form, options):
    """Ratios, components, whitened scores do not depend on units; the rest is as good as its digits."""
    base = randnla.pca(FORMS[form](DATA.astype(dtype)), rng=0, **options)
    with pytest.warns(RuntimeWarning, match=r"^A: (\d+) of \1 variances are below the normal range") as seen:
        low = randnla.pca(FORMS[form](np.ldexp(DATA.astype(dtype), power)), rng=0, **options)
    assert seen[0].filename == __file__
    assert low.info.path.endswith("variances rounded")
    assert np.allclose(low.explained_variance_ratio, base.explained_variance_ratio, rtol=1e-5)
    assert np.allclose(low.components, base.components, atol=1e-4)
    assert np.array_equal(low.explained_variance, np.zeros_like(base.explained_variance))
    unit = 1 if options.get("whiten") else 2.0 ** (-power // 2)
    scores = low.scores.astype(float) * unit * unit
    least = 0 if options.get("whiten") else float(np.finfo(dtype).smallest_subnormal) * unit * unit
    assert np.allclose(scores, base.scores, rtol=1e-4, atol=1e-4 + least)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{"rank": 3}, {"tol": 0.5}])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_of_subnormal_scores_is_certified(dtype, options, form):
    least = np.finfo(dtype).smallest_subnormal
    for seed in range(5):
        A = (np.random.default_rng(seed).random((50, 8)) > 0.7) * least
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = randnla.pca(FORMS[form](A), rng=0, **options)
        wide = [np.ldexp(X.astype(np.longdouble), 1070) for X in (A, found.mean, found.scores)]
        wrong = wide[0] - wide[1] - wide[2] @ found.components.astype(np.longdouble)
        wrong = float(np.sqrt((wrong * wrong).sum()))
        centered = float(np.sqrt(((wide[0] - wide[0].mean(0)) ** 2).sum()))
        assert wrong <= found.info.error_relative * centered * (1 + 1e-6)
        if "tol" in options and wrong > 0.5 * centered:
            assert not found.info.converged


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(50, 8), (20, 30)])
@pytest.mark.parametrize("form", ["sparse", "columns"])
def test_a_mean_that_leaves_nothing(form, shape, dtype):
    """Equal rows: what is left is rounding of the products, which the certificate covers."""
    for value in (0.1, 1e10 / 3, 1e-9 / 3):
        A = np.full(shape, value, dtype)
        found = randnla.pca(FORMS[form](A), 3, rng=0)
        assert np.allclose(found.mean, A[0], rtol=shape[0] * np.finfo(dtype).eps, atol=0)
        wide = A.astype(float) - found.mean - found.scores.astype(float) @ found.components
        assert np.linalg.norm(wide) <= found.info.error_estimate


def test_sparse_means_are_summed_in_float64():
    A = np.full((100_000, 2), 0.1, np.float32)
    A[0] = 1e7
    found = randnla.pca(scipy.sparse.csr_array(A), 1, rng=0)
    assert np.allclose(found.mean, A.mean(0, dtype=np.float64), rtol=1e-7)


def test_sums_of_a_stream_may_leave_the_range():
    """Only their quotient, the mean, is asked to stay."""
    A = np.full((50, 8), 2.0**1023)
    found = randnla.pca(randnla.RowStream(A, max_memory=1 << 10), 2, rng=0)
    assert np.array_equal(found.mean, A[0])
    assert not found.scores.any()


@pytest.mark.parametrize("name", ["svd", "eigh", "nystrom", "qb", "range_finder"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_streams_at_the_end_of_the_range_warn_of_nothing(name, dtype):
    A = np.full((30, 30), np.finfo(dtype).max, dtype)
    refused = pytest.raises(RangeError, match=f"^A: its .* exceeds the range of {A.dtype}; scale A down")
    with contextlib.nullcontext() if name in ("qb", "range_finder") else refused:
        getattr(randnla, name)(randnla.RowStream(A, max_memory=1 << 10), 2, rng=0)


def test_an_operator_whose_products_overflow_is_asked_again():
    s = 2.0 ** -np.arange(20)
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((20, 20)))[0]
    A = (Q * s) @ Q.T * 2.0**1023
    with np.errstate(over="raise"):
        found = randnla.svd(scipy.sparse.linalg.aslinearoperator(A), 5, rng=0)
    assert np.allclose(found.s / 2.0**1023, s[:5], rtol=1e-6)
