# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""UTV: orthogonality, residual, a diagonal near the singular values, certified truncation."""

import numpy as np
import pytest
from pivoted_cases import ALL, REAL, SPECTRA, gaussian, orthonormality, with_spectrum

import randnla
from randnla._backend.errors import ConvergenceWarning, InputError, NonFiniteError


def error_of(A, result):
    """||A - U T Vh||_F / ||A||_F, of numbers of any size."""
    U, T, Vh = result
    wide = np.complex128 if np.iscomplexobj(A) else np.float64
    unit = max(np.abs(A.astype(wide)).max(initial=0), np.finfo(np.float64).tiny)
    B = A.astype(wide) / unit
    return np.linalg.norm(B - U.astype(wide) @ (T.astype(wide) / unit) @ Vh) / max(np.linalg.norm(B), 1e-300)


def check(A, result, k=None, *, exact=True):
    U, T, Vh = result
    m, n = A.shape
    k = min(m, n) if k is None else k
    eps = np.finfo(T.dtype).eps
    assert (U.shape, T.shape, Vh.shape) == ((m, k), (k, k), (k, n))
    assert U.dtype == T.dtype == Vh.dtype
    assert not np.tril(T, -1).any()
    assert np.all(np.diagonal(T).real >= 0)
    assert np.abs(np.diagonal(T).imag).max(initial=0) <= eps * np.abs(T).max(initial=0)
    assert orthonormality(U) <= 50 * eps * np.sqrt(max(m, 1))
    assert orthonormality(Vh.conj().T) <= 50 * eps * np.sqrt(max(n, 1))
    leading = U[np.argmax(np.abs(U), axis=0), np.arange(k)] if U.size else np.zeros(0)
    assert np.all(leading.real > 0)
    error = error_of(A, result)
    assert error <= result.info.error_relative
    if exact:
        assert error <= 30 * eps * np.sqrt(max(m, n, 1))


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize(
    "shape", [(0, 0), (0, 4), (4, 0), (1, 1), (1, 6), (6, 1), (40, 40), (90, 50), (50, 90)]
)
def test_shapes(shape, dtype):
    A = gaussian(shape, dtype)
    for block in (16, 64):
        result = randnla.utv(A, block=block, rng=0)
        check(A, result)
        assert result.info.rank == min(shape)


@pytest.mark.parametrize("name", sorted(SPECTRA))
def test_the_diagonal_is_near_the_singular_values(name):
    """Measured medians: some per cent at most after one power iteration, falling with each."""
    s = SPECTRA[name]
    A = with_spectrum(200, s)
    errors = []
    for q in (0, 1, 2):
        result = randnla.utv(A, power_iters=q, block=30, rng=0)
        check(A, result)
        errors.append(np.abs(np.diagonal(result.T) / s - 1))
        # Off the diagonal there is next to nothing: T is nearly the matrix of singular values.
        if q and name in ("exponential", "staircase", "step"):
            off = result.T - np.diag(np.diagonal(result.T))
            assert np.linalg.norm(off) <= 0.5 * np.linalg.norm(s[30:])
    if name in ("exponential", "staircase", "step", "spiked"):
        assert np.median(errors[1]) <= 0.03
        assert np.median(errors[2]) <= 1e-3
    assert np.median(errors[1]) <= 0.06
    assert np.median(errors[2]) <= max(np.median(errors[1]), 1e-11)
    assert max(errors[2]) <= 0.35


@pytest.mark.parametrize("dtype", REAL)
def test_deficient_rank(dtype):
    low = (gaussian((150, 20)) @ gaussian((20, 90), seed=1)).astype(dtype)
    for A, rank in (
        (low, 20),
        (low.T.copy(), 20),
        (np.zeros((30, 20), dtype), 0),
        (np.eye(30, 20, dtype=dtype), 20),
    ):
        result = randnla.utv(A, block=32, rng=0)
        check(A, result)
        assert result.info.rank == rank
        for k in (0, 7, 20):
            check(A, randnla.utv(A, k, block=32, rng=0), k, exact=k >= rank)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("name", sorted(SPECTRA))
def test_the_error_of_truncation_is_certified(name, dtype):
    s = SPECTRA[name]
    A = with_spectrum(200, s).astype(dtype)
    for k in (1, 25, 64, 100):
        result = randnla.utv(A, k, block=30, rng=0)
        check(A, result, k, exact=False)
        floor = 1100 * np.finfo(dtype).eps
        assert result.info.error_relative <= 1.05 * error_of(A, result) + floor
        assert error_of(A, result) <= 1.3 * np.linalg.norm(s[k:]) / np.linalg.norm(s) + floor


@pytest.mark.parametrize("tol", [0.5, 1e-2, 1e-3])
def test_tolerance(tol):
    A = with_spectrum(200, SPECTRA["exponential"])
    result = randnla.utv(A, tol=tol, block=8, rng=0)
    k = result.U.shape[1]
    check(A, result, k, exact=False)
    assert result.info.converged
    assert error_of(A, result) <= tol
    s = SPECTRA["exponential"]
    optimal = int(np.argmax([np.linalg.norm(s[j:]) <= tol * np.linalg.norm(s) for j in range(120)]))
    assert optimal <= k <= optimal + 2
    with pytest.warns(ConvergenceWarning, match=f"tol={tol} at rank {optimal - 1}"):
        capped = randnla.utv(A, optimal - 1, tol=tol, block=8, rng=0)
    assert not capped.info.converged


@pytest.mark.parametrize("options", [{}, {"rank": 7}, {"tol": 1e-2}], ids=str)
def test_powers_of_two_are_exact(options):
    A = with_spectrum(80, 0.8 ** np.arange(30))
    U, T, Vh = randnla.utv(A, block=8, rng=3, **options)
    for shift in (-700, -31, 901):
        Up, Tp, Vhp = randnla.utv(np.ldexp(A, shift), block=8, rng=3, **options)
        np.testing.assert_array_equal(Up, U)
        np.testing.assert_array_equal(Vhp, Vh)
        np.testing.assert_array_equal(Tp, np.ldexp(T, shift))


def test_input_is_left_alone_and_seeds_replay():
    A = gaussian((60, 40))
    for B in (np.asfortranarray(A), A[::-1], A.astype(np.float16), (9 * A).astype(np.int8), A.astype(">f8")):
        kept = B.copy()
        result = randnla.utv(B, rng=0)
        check(np.array(B, result.T.dtype), result)
        np.testing.assert_array_equal(B, kept)
    first = randnla.utv(A)
    np.testing.assert_array_equal(randnla.utv(A, rng=first.info.seed).T, first.T)
    seen = []
    randnla.utv(A, block=16, callback=seen.append)
    assert [entry["columns"] for entry in seen] == [16, 32, 40]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite(value):
    A = np.ones((30, 4))
    A[20, 2] = value
    with pytest.raises(NonFiniteError, match=r"A: .*\(20, 2\)"):
        randnla.utv(A)
    assert np.isnan(randnla.utv(A, check_finite=False).T).all()
    with pytest.raises(InputError, match="range of float64"):
        randnla.utv(np.full((100, 2), 1e308))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 5}, r"rank: expected at most min\(m, n\) = 4, got 5"),
        ({"rank": True}, "rank: expected an integer, got bool"),
        ({"tol": 0.0}, "tol: expected a number strictly between 0 and 1"),
        ({"power_iters": -1}, "power_iters: expected an integer >= 0"),
        ({"block": 0}, "block: expected an integer >= 1"),
        ({"rng": -3}, "rng: expected a non-negative integer"),
        ({"check_finite": 1}, "check_finite: expected True or False"),
        ({"callback": 3}, "callback: expected a callable"),
    ],
    ids=str,
)
def test_bad_arguments(options, message):
    with pytest.raises(InputError, match=message):
        randnla.utv(np.eye(20, 4), **options)
