# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pivoted QR: LAPACK's ratios, rank, quality of pivots, LAPACK's format, common rules."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from pivoted_cases import ALL, REAL, SPECTRA, check, gaussian, kahan, residual, with_spectrum
from scipy.linalg import lapack

import randnla
from randnla._backend.errors import ConvergenceWarning, InputError, NonFiniteError
from randnla._backend.kernels import qr_pivoted as steps
from randnla.qr import cqrrpt

METHODS = ("cqrrpt", "bqrrp")
PATHS = {"cqrrpt": "sketch+cholesky", "bqrrp": "panels"}


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize(
    "shape",
    [
        (0, 0),
        (0, 4),
        (4, 0),
        (1, 1),
        (1, 6),
        (6, 1),
        (40, 40),
        (3, 900),
        (200, 140),
        (140, 200),
        (500, 30),
        (500, 100),
    ],
)
def test_shapes(shape, dtype):
    A = gaussian(shape, dtype)
    for method in ("auto", *METHODS):
        if method == "cqrrpt" and (shape[0] < shape[1] or np.iscomplexobj(A)):
            continue
        result = randnla.pivoted_qr(A, method=method, rng=0)
        check(A, result)
        assert result.info.rank == min(shape)
        if method == "auto":
            ratio = {np.float64: 8, np.float32: 16}.get(dtype, np.inf)
            tall = shape[1] > 0 and shape[0] >= ratio * shape[1]
            assert result.info.method == ("cqrrpt" if tall else "bqrrp")
        elif A.size:
            assert result.info.path == ("geqp3" if np.iscomplexobj(A) else PATHS[method])


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("exponent", [0, 3, 5, 8, 10, 12, 14, 16, 20])
def test_condition(exponent, dtype):
    A = with_spectrum(600, np.logspace(0, -exponent, 60), dtype)
    for method in METHODS:
        result = randnla.pivoted_qr(A, method=method, rng=0)
        check(A, result)
        # Steep spectra take a second sketch of what is left.
        assert result.info.path.removesuffix(", 2 sketches") == PATHS[method]
        if exponent <= (4 if dtype == np.float32 else 12):
            assert result.info.rank == 60
    if dtype == np.float64 and exponent == 10:
        tall = randnla.pivoted_qr(A, method="cqrrpt", rng=0)
        assert np.linalg.norm(tall.Q.T @ tall.Q - np.eye(60)) <= 1e-13
        # The bound of the condition is one, and close: that of A P R_s^{-1} = Q R_c.
        assert 1 <= tall.info.condition <= 12


def test_the_condition_is_bounded_from_above_and_closely():
    for exponent in (0, 1, 2):
        Y = with_spectrum(300, np.logspace(0, -exponent, 40))
        gram = Y.T @ Y
        bound = cqrrpt.condition_bound(gram, steps.cholesky_factor(gram)[1])
        assert 10.0**exponent * (1 - 1e-9) <= bound <= 10.0**exponent * 40**0.125 * (1 + 1e-9)


def deficient(dtype):
    B = gaussian((600, 90), dtype)
    low = (gaussian((600, 20)) @ gaussian((20, 90), seed=1)).astype(dtype)
    repeated = B.copy()
    repeated[:, 50:80] = repeated[:, 10:40]
    repeated[:, 5] = 0
    spike = np.zeros((600, 90), dtype)
    spike[3, 7] = -2
    return {
        "low rank": (low, 20),
        "repeated": (repeated, 59),
        "ones": (np.ones((600, 90), dtype), 1),
        "spike": (spike, 1),
        "identity": (np.eye(600, 90, dtype=dtype), 90),
        "zero": (np.zeros((600, 90), dtype), 0),
    }


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", sorted(deficient(np.float64)))
def test_deficient_rank(name, dtype):
    A, rank = deficient(dtype)[name]
    for B in (A, A.T.copy(), A[:90].copy()):
        for method in METHODS:
            if method == "cqrrpt" and B.shape[0] < B.shape[1]:
                continue
            result = randnla.pivoted_qr(B, method=method, rng=0)
            check(B, result, constant=name == "ones")
            assert result.info.rank == rank
            for k in (0, rank // 2, min(rank + 5, 90)):
                check(B, randnla.pivoted_qr(B, k, method=method, rng=0), k, exact=k >= rank)


@pytest.mark.parametrize("name", sorted(SPECTRA))
def test_quality(name):
    """|R_kk| within a factor of 3 of geqp3's, and as near to the singular values."""
    s = SPECTRA[name]
    A = with_spectrum(600, s)
    best = np.abs(np.diag(scipy.linalg.qr(A, mode="r", pivoting=True)[0]))
    for B in (A, np.linalg.qr(A)[1]):
        for method in METHODS:
            d = np.diagonal(randnla.pivoted_qr(B, method=method, rng=0).R)
            assert np.all(d <= 3 * best)
            assert np.all(d >= best / 3)
            # geqp3 itself: .22 to 4.6 of them
            assert np.all(d <= 8 * s)
            assert np.all(d >= s / 8)


@pytest.mark.parametrize("sine", [0.9, 0.99, 0.9995])
def test_quality_on_kahan(sine):
    """Random mixtures of columns do not fall into the trap that norms of columns fall into."""
    A = kahan(100, sine)
    s = np.linalg.svd(A, compute_uv=False)
    seen = s > 1e-12 * s[0]
    tall = np.vstack([A, np.zeros((400, 100))])
    for B, method in ((A, "bqrrp"), (tall, "cqrrpt")):
        d = np.diagonal(randnla.pivoted_qr(B, method=method, rng=0).R)[seen]
        assert np.all(d <= 6 * s[seen])
        assert np.all(d >= s[seen] / 12)
    best = np.abs(np.diag(scipy.linalg.qr(A, mode="r", pivoting=True)[0]))[seen]
    if sine == 0.99:
        assert best[-1] > 1e4 * s[seen][-1]


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("shape", [(150, 90), (90, 150), (90, 90), (5, 1), (1, 5)])
def test_raw_is_lapacks(shape, dtype):
    A = gaussian(shape, dtype)
    QR, tau, perm = randnla.pivoted_qr(A, mode="raw", rng=0)
    k = min(shape)
    assert QR.shape == shape
    assert tau.shape == (k,)
    ormqr, orgqr = lapack.get_lapack_funcs(("unmqr" if np.iscomplexobj(A) else "ormqr", "orgqr"), (QR,))
    side = "C" if np.iscomplexobj(A) else "T"
    product = ormqr("L", side, QR[:, :k], tau, np.asfortranarray(A[:, perm]), 64 * max(shape))[0]
    eps = np.finfo(dtype).eps
    assert np.linalg.norm(product[:k] - np.triu(QR[:k])) <= 30 * np.sqrt(max(shape)) * eps * np.linalg.norm(A)
    assert np.linalg.norm(product[k:]) <= 30 * np.sqrt(max(shape)) * eps * np.linalg.norm(A)
    Q = orgqr(QR[:, :k], tau)[0]
    assert residual(A, perm, Q, np.triu(QR[:k])) <= 30 * np.sqrt(max(shape)) * eps
    # The same factors as in economic mode but for signs.
    economic = randnla.pivoted_qr(A, method="bqrrp", rng=0)
    np.testing.assert_array_equal(economic.perm, perm)
    np.testing.assert_allclose(np.abs(economic.R), np.abs(np.triu(QR[:k])), rtol=0, atol=1e3 * eps)


def test_raw_stops_at_the_rank():
    A = gaussian((150, 90))
    QR, tau, perm = randnla.pivoted_qr(A, 70, mode="raw", rng=0)
    Q = lapack.dorgqr(QR[:, :70], tau)[0]
    R = np.triu(QR[:70])
    np.testing.assert_allclose(Q.T @ A[:, perm], R, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", sorted(SPECTRA))
def test_the_error_of_truncation_is_certified(name, dtype, method):
    A = with_spectrum(600, SPECTRA[name], dtype)
    R = scipy.linalg.qr(A, mode="r", pivoting=True)[0][:120]
    for k in (1, 25, 64, 100):
        result = randnla.pivoted_qr(A, k, method=method, rng=0)
        check(A, result, k, exact=False)
        true = residual(A, result.perm, result.Q, result.R)
        floor = np.finfo(dtype).eps * (4 * np.sqrt(k + 1) + 256)
        assert result.info.error_relative <= 1.05 * true + floor
        assert result.info.failure_probability == 0.0
        assert result.info.certificate == "exact"
        best = np.linalg.norm(R[k:]) / np.linalg.norm(R)
        assert true <= 2 * best + floor


@pytest.mark.parametrize("method", [*METHODS, "geqp3"])
@pytest.mark.parametrize("tol", [0.5, 1e-2, 1e-3])
def test_tolerance(tol, method):
    A = with_spectrum(600, SPECTRA["exponential"])
    if method == "geqp3":
        A = A * (1 + 1j)
    options = {"method": "bqrrp" if method == "geqp3" else method, "rng": 0}
    result = randnla.pivoted_qr(A, tol=tol, **options)
    k = result.Q.shape[1]
    check(A, result, k, exact=False)
    assert result.info.converged
    assert residual(A, *[result.perm, result.Q, result.R]) <= tol
    # One column less does not do.
    assert residual(A, result.perm, result.Q[:, :-1], result.R[:-1]) > tol * (1 - 1e-6)
    with pytest.warns(ConvergenceWarning, match=f"tol={tol} at rank {k - 1}"):
        capped = randnla.pivoted_qr(A, k - 1, tol=tol, **options)
    assert not capped.info.converged
    assert capped.Q.shape[1] == k - 1


@pytest.mark.parametrize("method", METHODS)
def test_tolerance_below_rounding(method):
    A = with_spectrum(600, SPECTRA["polynomial"], np.float32)
    with pytest.warns(ConvergenceWarning):
        result = randnla.pivoted_qr(A, tol=1e-12, method=method, rng=0)
    check(A, result)
    zero = randnla.pivoted_qr(np.zeros((60, 10)), tol=0.1, method=method, rng=0)
    assert zero.info.converged
    assert zero.Q.shape == (60, 0)


# -- the common rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("options", [{}, {"rank": 7}, {"tol": 1e-2}], ids=str)
def test_powers_of_two_are_exact(options, dtype):
    A = with_spectrum(400, 0.7 ** np.arange(30), dtype)
    shifts = (-100, -37, 61, 90) if dtype == np.float32 else (-900, -401, 37, 900)
    for method in METHODS:
        Q, R, perm = randnla.pivoted_qr(A, method=method, rng=3, **options)
        for shift in shifts:
            # The smallest entries of R must stay normal numbers.
            if dtype == np.float32 and shift < -90:
                continue
            Qp, Rp, permuted = randnla.pivoted_qr(np.ldexp(A, shift), method=method, rng=3, **options)
            np.testing.assert_array_equal(permuted, perm)
            np.testing.assert_array_equal(Qp, Q)
            np.testing.assert_array_equal(Rp, np.ldexp(R, shift))


@pytest.mark.parametrize("method", METHODS)
def test_layouts(method):
    A = gaussian((400, 30))
    read_only = A.copy()
    read_only.flags.writeable = False
    strided = (np.asfortranarray(A), A[::-1, ::-1], np.repeat(A, 3, 1)[:, ::3], read_only, A.astype(">f8"))
    repeated = (np.broadcast_to(A[:, :1], (400, 30)), A.astype(np.float16), (9 * A).astype(np.int16))
    for B in (*strided, *repeated):
        kept = np.array(B)
        result = randnla.pivoted_qr(B, method=method, rng=0)
        check(np.array(B, result.Q.dtype), result)
        np.testing.assert_array_equal(B, kept)


def test_bits_do_not_depend_on_the_number_of_threads():
    A = gaussian((1500, 250))
    before = randnla.num_threads()
    try:
        for method in METHODS:
            found = []
            for count in (1, 2, 3):
                randnla.set_num_threads(count)
                found.append(randnla.pivoted_qr(A, method=method, rng=0))
            for other in found[1:]:
                for x, y in zip(found[0], other, strict=True):
                    np.testing.assert_array_equal(x, y)
    finally:
        randnla.set_num_threads(before)


def test_info_and_seed():
    A = gaussian((400, 12))
    first = randnla.pivoted_qr(A)
    again = randnla.pivoted_qr(A, rng=first.info.seed)
    np.testing.assert_array_equal(first.Q, again.Q)
    seen = []
    randnla.pivoted_qr(A, rng=0, callback=seen.append)
    assert seen == [{"method": "cqrrpt", "columns": 12, "path": "sketch+cholesky"}]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite(method, value):
    A = np.ones((100, 4))
    A[60, 2] = value
    with pytest.raises(NonFiniteError, match=r"A: .*\(60, 2\)"):
        randnla.pivoted_qr(A, method=method)
    result = randnla.pivoted_qr(A, method=method, check_finite=False)
    assert result.Q.shape == (100, 4)
    assert np.isnan(result.Q).all()
    with pytest.raises(InputError, match="range of float64"):
        randnla.pivoted_qr(np.full((100, 2), 1e308), method=method)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "geqp3"}, "method: expected one of 'auto', 'cqrrpt', 'bqrrp'"),
        ({"mode": "full"}, "mode: expected one of 'economic', 'raw'"),
        ({"method": "cqrrpt", "mode": "raw"}, "mode: 'raw' needs Householder"),
        ({"rank": 5}, r"rank: expected at most min\(m, n\) = 4, got 5"),
        ({"rank": True}, "rank: expected an integer, got bool"),
        ({"rank": 2.0}, "rank: expected an integer, got float"),
        ({"tol": 1.0}, "tol: expected a number strictly between 0 and 1"),
        ({"sketch": "gaussian"}, "sketch: expected one of 'auto'"),
        ({"sketch": np.ones((8, 20))}, "sketch: expected 'auto' or a random map"),
        ({"rng": "zero"}, "rng: expected None"),
        ({"check_finite": 1}, "check_finite: expected True or False"),
        ({"callback": 3}, "callback: expected a callable"),
    ],
    ids=str,
)
def test_bad_arguments(options, message):
    with pytest.raises(InputError, match=message):
        randnla.pivoted_qr(np.eye(20, 4), **options)


def test_bad_input():
    with pytest.raises(InputError, match="'cqrrpt' expects a real A with m >= n"):
        randnla.pivoted_qr(np.eye(4, 20), method="cqrrpt")
    with pytest.raises(InputError, match=r"sketch: expected shape \(at least 4, 20\), got \(3, 20\)"):
        randnla.pivoted_qr(np.eye(20, 4), sketch=randnla.Gaussian(3, 20, rng=0))
    with pytest.raises(InputError, match="A: expected a dense matrix, got a sparse one"):
        randnla.pivoted_qr(scipy.sparse.csr_array(np.eye(4)))
    for bad in ("x", None, np.ones(3), np.ones((3, 2), object)):
        with pytest.raises(InputError, match="A"):
            randnla.pivoted_qr(bad)


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray], ids=["C", "Fortran"])
@pytest.mark.parametrize("rank", [None, 10])
def test_no_copy_of_tall_input(layout, rank):
    """Beside Q there are blocks of rows and matrices of the order of the columns."""
    A = layout(gaussian((60_000, 40)))
    tracemalloc.start()
    try:
        result = randnla.pivoted_qr(A, rank, method="cqrrpt", rng=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.Q.nbytes <= peak <= result.Q.nbytes + 10e6
    assert peak < A.nbytes + 5e6


def test_python_threads_get_the_same_bits():
    A = gaussian((700, 60))
    for method in METHODS:
        expected = randnla.pivoted_qr(A, method=method, rng=5)
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _, m=method: randnla.pivoted_qr(A, method=m, rng=5), range(8)))
        for result in results:
            np.testing.assert_array_equal(result.Q, expected.Q)
            np.testing.assert_array_equal(result.R, expected.R)
