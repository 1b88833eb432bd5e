# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Even and odd singular value transformation against dense functions of the matrix."""

from __future__ import annotations

import numpy as np
import pytest
from test_sq_access import random

from randnla._backend.errors import InputError
from randnla.quantum_inspired import SQMatrix, even_svt, odd_svt, pseudo_inverse

KINDS = [np.float64, np.complex128]


def decaying(dtype, m=600, n=80, seed=0):
    rng = np.random.default_rng(seed)
    U, V = np.linalg.qr(random(rng, dtype, m, n))[0], np.linalg.qr(random(rng, dtype, n, n))[0]
    return U, 1 / np.arange(1.0, n + 1), V


@pytest.mark.parametrize("dtype", KINDS)
def test_a_projector_onto_an_exact_range_is_exact(dtype):
    rng = np.random.default_rng(1)
    A = random(rng, dtype, 300, 4) @ random(rng, dtype, 4, 80)
    V = np.linalg.svd(A)[2][:4].conj().T
    for method in ("rows", "double"):
        P = even_svt(SQMatrix(A), lambda x: np.where(x > 1e-6, 1.0, 0.0), rank=4, method=method, rng=0)
        np.testing.assert_allclose(P.to_dense(), V @ V.conj().T, atol=1e-12)
        assert P.info.path == f"{method}, orthonormal"
        assert P.shift == 0


@pytest.mark.parametrize("dtype", KINDS)
def test_error_falls_like_the_root_of_the_rows_and_columns_cost_what_they_save(dtype):
    U, s, V = decaying(dtype)
    A = SQMatrix((U * s) @ V.conj().T)
    exact = (V * (s**2 / (s**2 + 0.05))) @ V.conj().T
    error = {}
    for method, form in (
        ("rows", "sampled"),
        ("rows", "orthonormal"),
        ("double", "sampled"),
        ("double", "orthonormal"),
    ):
        for size in (50, 200, 800):
            found = [
                even_svt(
                    A, lambda x: x / (x + 0.05), method=method, form=form, rows=size, columns=size, rng=seed
                )
                for seed in range(4)
            ]
            errors = [np.linalg.norm(X.to_dense() - exact) for X in found]
            error[method, form, size] = np.mean(errors)
            assert max(errors) < min(X.info.error_estimate for X in found)
    for (method, form, size), value in error.items():
        if size == 50:
            slope = np.log(error[method, form, 800] / value) / np.log(16)
            assert -0.62 < slope < -0.38, (method, form, slope)
        # With whole rows, orthogonal vectors change nothing; with columns, they give back what was lost.
        rows = error["rows", "sampled", size]
        assert error["rows", "orthonormal", size] == pytest.approx(rows, rel=1e-8)
        assert error["double", "orthonormal", size] < 1.05 * rows
        assert 1.05 * rows < error["double", "sampled", size] < 2.5 * rows


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("form", ["sampled", "orthonormal"])
def test_every_access_tells_the_same_matrix(form, dtype):
    U, s, V = decaying(dtype, 200, 40)
    X = even_svt((U * s) @ V.conj().T, lambda x: 1 / (x + 0.1), rows=60, form=form, rng=0)
    D, b = X.to_dense(), random(np.random.default_rng(2), dtype, 40)
    assert X.shift == pytest.approx(10)
    np.testing.assert_allclose(D, D.conj().T, atol=1e-12)
    np.testing.assert_allclose(X @ b, D @ b, atol=1e-11)
    np.testing.assert_allclose(X @ np.stack([b, b], axis=1), np.stack([D @ b] * 2, axis=1), atol=1e-11)
    np.testing.assert_allclose(X.apply(b).to_dense(), D @ b - 10 * b, atol=1e-11)
    np.testing.assert_allclose(X.query([3, 4], [3, 7]), D[[3, 4], [3, 7]], atol=1e-12)


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("method", ["rows", "double"])
@pytest.mark.parametrize("left", ["exact", "sampled"])
def test_odd_functions_are_exact_where_the_rank_is(left, method, dtype):
    rng = np.random.default_rng(3)
    A = random(rng, dtype, 120, 3) @ random(rng, dtype, 3, 70)
    U, s, Vh = np.linalg.svd(A, full_matrices=False)
    f = lambda x: np.sin(x / 20) + x**3 / 1e4  # noqa: E731
    X = odd_svt(SQMatrix(A), f, rank=3, method=method, left=left, rng=0)
    exact = (U[:, :3] * f(s[:3])) @ Vh[:3]
    np.testing.assert_allclose(X.to_dense(), exact, atol=1e-10 * np.abs(exact).max())
    assert X.info.path == f"{method}, orthonormal, {left} left"
    b = random(rng, dtype, 70)
    np.testing.assert_allclose(X @ b, exact @ b, atol=1e-9 * np.abs(exact).max())
    np.testing.assert_allclose(X.H.to_dense(), exact.conj().T, atol=1e-10 * np.abs(exact).max())
    assert X.query(5, 6) == pytest.approx(exact[5, 6], rel=1e-8)
    rows, columns = X.sample(20, rng=0)
    assert rows.max() < 120
    assert columns.max() < 70
    P = pseudo_inverse(A, rank=3, method=method, left=left, rng=0).to_dense()
    np.testing.assert_allclose(P, np.linalg.pinv(A, rcond=1e-10), atol=1e-11)


@pytest.mark.parametrize("dtype", KINDS)
def test_the_stated_error_of_an_odd_function_bounds_that_against_the_exact_one(dtype):
    """With a Lipschitz constant of one the bound is the error of the identity: what is stated is tight."""
    U, s, V = decaying(dtype)
    A = SQMatrix((U * s) @ V.conj().T)

    def shrink(x):
        return np.maximum(x - 0.1, 0.0)

    for f in (shrink, lambda x: x):
        exact = (U * f(s)) @ V.conj().T
        for method in ("rows", "double"):
            for form in ("orthonormal", "sampled"):
                for seed in range(4):
                    X = odd_svt(A, f, method=method, form=form, rows=200, columns=200, rank=8, rng=seed)
                    error, stated = np.linalg.norm(X.to_dense() - exact), X.info.error_estimate
                    assert X.info.certificate == "first order"
                    assert error < 1.2 * stated  # which is measured on a block of the matrix
                    assert f is shrink or stated < 1.3 * error


def test_the_form_of_the_paper_reads_only_what_it_draws():
    A = SQMatrix(np.random.default_rng(0).standard_normal((2000, 3)) @ np.ones((3, 1500)))
    X = even_svt(A, np.sqrt, rank=1, method="double", form="sampled", rows=50, columns=40, rng=0)
    assert X.info.entries <= 50 * 40
    assert X.vectors is None
    X.query(3, 4)
    assert A.entries_read <= 50 * 40 + 2 * 50
    Y = odd_svt(A, np.sqrt, rank=1, method="double", form="sampled", rows=50, columns=40, rng=0)
    assert Y.info.path == "double, sampled, sampled left"
    assert Y.info.entries <= 2 * 50 * 40 + 2000 * 40


def test_zero_matrices_and_thresholds():
    X = even_svt(np.zeros((5, 4)), lambda x: x + 2.0, rng=0)
    np.testing.assert_array_equal(X.to_dense(), 2 * np.eye(4))
    assert odd_svt(np.zeros((5, 4)), lambda s: 1 / s, rng=0).to_dense().tolist() == np.zeros((5, 4)).tolist()
    U, s, V = decaying(np.float64, 200, 40)
    X = even_svt((U * s) @ V.T, lambda x: x, threshold=0.3, rows=150, rng=0)
    assert X.info.rank <= 4


def test_scaling_by_a_power_of_two_is_exact():
    A = np.random.default_rng(0).standard_normal((60, 30))
    one = even_svt(A, lambda x: x, rank=5, rng=0).to_dense()
    other = even_svt(np.ldexp(A, 40), lambda x: x, rank=5, rng=0).to_dense()
    assert np.array_equal(np.ldexp(one, 80), other)


def test_what_is_refused():
    A = np.random.default_rng(0).standard_normal((20, 10))
    for keywords, pattern in (
        ({"f": 3}, r"f: expected a callable, got int"),
        ({"f": lambda x: x[:1]}, r"f: expected 5 real numbers"),
        ({"f": lambda x: x / 0 if x.any() else x}, r"f: expected finite values, got inf"),
        ({"f": lambda x: 1j * x}, r"f: expected 1 real numbers, got shape \(1,\), complex128"),
        ({"f": np.sqrt, "form": "best"}, r"form: expected one of"),
        ({"f": np.sqrt, "method": "best"}, r"method: expected one of"),
        ({"f": np.sqrt, "rows": 0}, r"rows: expected an integer >= 1"),
        ({"f": np.sqrt, "rank": 11}, r"rank: expected at most"),
    ):
        with np.errstate(divide="ignore", invalid="ignore"), pytest.raises(InputError, match=pattern):
            even_svt(A, **{"rng": 0, "rows": 5, **keywords})
    with pytest.raises(InputError, match=r"left: expected one of"):
        odd_svt(A, np.sqrt, left="both")
    with pytest.raises(InputError, match=r"b: expected 10 rows, got 9"):
        even_svt(A, np.sqrt, rng=0) @ np.ones(9)
    with pytest.raises(InputError, match=r"A: expected 2 dimensions"):
        even_svt(np.ones(3), np.sqrt)
