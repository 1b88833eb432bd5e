# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Block Krylov iteration: its gain over subspace iteration, small blocks, deflation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from lowrank_cases import DTYPES, SPECTRA, assert_orthonormal, error, hermitian, matrix, orthonormal, tail

import randnla


@pytest.fixture(autouse=True)
def one_thread():
    before = randnla.num_threads()
    randnla.set_num_threads(1)
    yield
    randnla.set_num_threads(before)


@pytest.fixture(scope="module")
def slow():
    """sigma_j = j^-1/2, n = 600: decay so slow that powers gain little."""
    rng = np.random.default_rng(1)
    s = np.arange(1.0, 601) ** -0.5
    return (orthonormal(600, 600, rng) * s) @ orthonormal(600, 600, rng).T, s


def excess(A, s, method, q):
    """Median spectral error of rank 10 over sigma_11, less one, for 15 columns."""
    runs = [randnla.svd(A, 10, oversample=5, method=method, power_iters=q, rng=i) for i in range(5)]
    return np.median([np.linalg.norm(A - r.to_dense(), 2) for r in runs]) / s[10] - 1, runs[0].info


def test_krylov_is_far_ahead_of_subspace_iteration_at_the_same_products(slow):
    A, s = slow
    krylov, info = excess(A, s, "krylov", 2)
    subspace, other = excess(A, s, "subspace", 2)
    assert info.method == "krylov"
    assert (info.passes, info.matvecs) == (other.passes, other.matvecs)
    # Measured .0005 and .019.
    assert 0 <= krylov <= 5e-3
    assert 8e-3 <= subspace <= 4e-2
    # Four steps reach rounding beside it: the error falls like a Chebyshev polynomial.
    assert excess(A, s, "krylov", 4)[0] <= 1e-8
    assert excess(A, s, "subspace", 4)[0] >= 1e-4


@pytest.mark.parametrize("driver", ["svd", "range_finder", "eigh"])
def test_without_power_iteration_it_is_the_range_finder(driver):
    A, _ = hermitian(90, "harmonic")
    solve = getattr(randnla, driver)
    other = {"svd": "proto", "range_finder": "proto", "eigh": "subspace"}[driver]
    a = solve(A, 8, method="krylov", power_iters=0, rng=0)
    b = solve(A, 8, method=other, power_iters=0, rng=0)
    assert all(np.allclose(x, y, atol=1e-9) for x, y in zip(a, b, strict=True))
    assert a.info.passes == b.info.passes == 2


def test_eigh_uses_every_product_of_a_hermitian_matrix():
    rng = np.random.default_rng(1)
    w = np.arange(1.0, 401) ** -0.5 * np.where(np.arange(400) % 2, -1, 1)
    V = orthonormal(400, 400, rng)
    H = (V * w) @ V.T
    krylov = randnla.eigh(H, 10, oversample=5, method="krylov", power_iters=1, rng=0)
    subspace = randnla.eigh(H, 10, oversample=5, method="subspace", power_iters=1, rng=0)
    assert krylov.info.passes == subspace.info.passes == 4
    assert krylov.info.certificate == "exact"
    gap = [np.linalg.norm(r.w - w[:10]) for r in (krylov, subspace)]
    assert gap[0] < 0.1 * gap[1]  # measured .035
    assert_orthonormal(krylov.V)
    exact = randnla.eigh(H, 10, method="krylov", certificate="exact", rng=0)
    assert exact.info.error_estimate >= np.linalg.norm(H - exact.to_dense()) * (1 - 1e-9)


@pytest.mark.parametrize("block", [1, 4, 12])
@pytest.mark.parametrize("spectrum", ["poly", "harmonic", "geometric", "low_rank", "flat"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_small_blocks(block, spectrum, dtype):
    # As many blocks as the rank takes; fresh directions where the space of the first is invariant.
    A, s = matrix(120, 90, spectrum, dtype)
    H, w = hermitian(90, spectrum, dtype, signs=spectrum != "flat")
    rounding = 50 * np.finfo(dtype).eps * np.linalg.norm(s)
    for result, X, values in (
        (randnla.svd(A, 12, method="krylov", block=block, rng=3), A, s),
        (randnla.eigh(H, 12, method="krylov", block=block, rng=3), H, w),
    ):
        assert error(X, result) <= 1.2 * tail(values, 12) + rounding
        assert error(X, result) <= result.info.error_estimate * (1 + 1e-6)
        for factor in (result.U, result.Vh.conj().T) if hasattr(result, "U") else (result.V,):
            assert factor.shape[1] == 12
            assert_orthonormal(factor)
        assert result.info.rank == (7 if spectrum == "low_rank" else 12)


def test_small_blocks_take_less_memory():
    A, _ = matrix(2000, 300, "poly")
    large = randnla.svd(A, 10, method="krylov", power_iters=2, rng=0).info
    small = randnla.svd(A, 10, oversample=2, method="krylov", power_iters=2, block=4, rng=0).info
    assert small.passes == large.passes == 6
    assert small.memory < 0.5 * large.memory
    assert small.matvecs < large.matvecs


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_deflation_keeps_the_basis_orthonormal(spectrum):
    # Twelve blocks of geometric decay run into rounding; dropped directions are named.
    A, s = matrix(120, 90, spectrum)
    result = randnla.svd(A, 15, method="krylov", power_iters=12, rng=0)
    assert_orthonormal(result.U)
    assert error(A, result) <= tail(s, 15) * (1 + 1e-9) + 1e-13 * np.linalg.norm(s)
    if spectrum == "low_rank":
        assert "deflated" in result.info.path


def test_an_invariant_space_is_left():
    # Powers of the identity say nothing: every block is a new draw.
    result = randnla.svd(np.eye(50), 20, method="krylov", block=4, rng=0)
    assert "deflated" in result.info.path
    assert np.allclose(result.s, 1)
    zero = randnla.svd(np.zeros((50, 40)), 20, method="krylov", block=4, rng=0)
    assert zero.info.rank == 0
    assert "filled up" in zero.info.path
    assert_orthonormal(zero.U)


@pytest.mark.parametrize(
    "form", [scipy.sparse.csr_array, randnla.RowStream, scipy.sparse.linalg.aslinearoperator]
)
@pytest.mark.parametrize("driver", ["svd", "range_finder", "eigh"])
def test_kinds_of_input(form, driver):
    A, _ = hermitian(80, "harmonic")
    solve = getattr(randnla, driver)
    base = solve(A, 6, method="krylov", rng=2)
    result = solve(form(A), 6, method="krylov", rng=2)
    assert result.info.method == "krylov"
    assert all(np.allclose(x, y, atol=1e-8) for x, y in zip(base, result, strict=True))


def test_refusals():
    A = np.eye(30)
    for solve in (randnla.svd, randnla.eigh, randnla.range_finder):
        with pytest.raises(randnla.InputError, match=r"method.*tol"):
            solve(np.eye(300), tol=0.1, method="krylov")
        with pytest.raises(randnla.InputError, match="block"):
            solve(A, 3, method="krylov", block=0)
    with pytest.raises(randnla.InputError, match="certificate"):
        randnla.svd(A, 3, method="krylov", certificate="leave_one_out")
    with pytest.raises(randnla.InputError, match="symmetric"):
        randnla.eigh(np.triu(np.ones((30, 30))), 3, method="krylov")
