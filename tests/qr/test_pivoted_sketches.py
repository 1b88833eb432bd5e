# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sketches of pivoted QR that are no embedding are noticed and replaced."""

import numpy as np
import pytest
import scipy.linalg
from pivoted_cases import check, gaussian

import randnla
from randnla.qr import cqrrpt


def coherent(m=4000, n=40):
    """The range is spanned by coordinate vectors, which samples of rows do not see."""
    A = np.zeros((m, n))
    A[:n] = np.linalg.qr(gaussian((n, n)))[0]
    return A


def hidden(m=4000, n=40):
    """Some heavy rows on top of a faint full-rank matrix: a sample of rows sees the faint one alone."""
    A = 1e-4 * gaussian((m, n))
    A[:8] += gaussian((8, n), seed=3)
    return A


@pytest.mark.parametrize("matrix", [coherent, hidden])
def test_a_sketch_that_misses_the_range_is_redone(matrix):
    A = matrix()
    S = randnla.RowSampling(80, 4000, rng=1)
    # The sample has less than the rank, or none, of the rows that matter.
    seen = S.to_dense().any(axis=0)
    assert seen[: 8 if matrix is hidden else 40].sum() < (1 if matrix is hidden else 40)
    result = randnla.pivoted_qr(A, method="cqrrpt", sketch=S, rng=0)
    check(A, result)
    assert result.info.path == "sketch redone, sketch+cholesky"
    assert result.info.sketch == "sparse_sign"
    assert result.info.rank == 40
    assert result.info.condition < 12
    for wish in ({"rank": 20}, {"tol": 0.5}):
        part = randnla.pivoted_qr(A, method="cqrrpt", sketch=S, rng=0, **wish)
        check(A, part, part.Q.shape[1], exact=False)


def test_collisions_of_a_countsketch_are_noticed():
    A = np.zeros((2000, 50))
    A[:50] = np.eye(50)
    S = randnla.CountSketch(100, 2000, rng=0)
    assert np.linalg.matrix_rank(S @ A) < 50
    result = randnla.pivoted_qr(A, method="cqrrpt", sketch=S, rng=0)
    check(A, result)
    assert result.info.path == "sketch redone, sketch+cholesky"


def test_a_good_sketch_of_the_caller_is_used():
    A = gaussian((500, 20))
    result = randnla.pivoted_qr(A, method="cqrrpt", sketch=randnla.Gaussian(60, 500, rng=0), rng=0)
    check(A, result)
    assert (result.info.path, result.info.sketch) == ("sketch+cholesky", "gaussian")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_independent_columns_need_no_preconditioner(dtype, layout, monkeypatch):
    A = np.asarray(gaussian((4000, 60)), dtype=dtype, order=layout)
    graded = A * np.geomspace(1, 30, 60).astype(dtype)
    scaled = randnla.pivoted_qr(graded, method="cqrrpt", rng=0)

    def refuse(*_args, **_options):
        raise AssertionError("a second product")

    monkeypatch.setattr(cqrrpt.steps, "multiply_columns", refuse)
    result = randnla.pivoted_qr(A, method="cqrrpt", rng=0)
    check(A, result)
    s = np.linalg.svd(A.astype(np.float64), compute_uv=False)
    assert s[0] / s[-1] <= result.info.condition <= 60**0.125 * s[0] / s[-1] * 1.01
    assert np.abs(result.Q.T @ result.Q - np.eye(60)).max() <= 8 * np.finfo(dtype).eps
    power = randnla.pivoted_qr(A * dtype(2) ** 30, method="cqrrpt", rng=0)
    assert np.array_equal(power.Q, result.Q)
    # Columns of other sizes are dependent to a Cholesky factor: the sketch says so, and preconditions.
    with pytest.raises(AssertionError, match="a second product"):
        randnla.pivoted_qr(graded, method="cqrrpt", rng=0)
    check(graded, scaled)
    assert scaled.info.condition < 12


def test_where_every_sketch_fails_panels_follow(monkeypatch):
    def blind(d, m, *, rng, stream, dtype):
        return randnla.RowSampling(d, m, rng=rng, stream=stream, dtype=dtype)

    monkeypatch.setattr(cqrrpt, "SparseSign", blind)
    A = np.vstack([np.zeros((4000, 20)), gaussian((20, 20))])
    result = randnla.pivoted_qr(A, method="cqrrpt", rng=0)
    check(A, result)
    assert result.info.path == "sketches failed, panels"


def test_a_new_sketch_follows_below_the_resolution_of_the_old():
    """Columns graded over 30 decades are pivoted to the end, like geqp3 does."""
    A = gaussian((300, 200)) * np.logspace(0, -30, 200)[np.random.default_rng(0).permutation(200)]
    result = randnla.pivoted_qr(A, method="bqrrp", rng=0)
    check(A, result)
    assert int(result.info.path.split()[1]) >= 3
    best = np.abs(np.diag(scipy.linalg.qr(A, mode="r", pivoting=True)[0]))
    d = np.diagonal(result.R)
    assert np.all((d <= 3 * best) & (d >= best / 3))
