# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""QR: orthogonality and residual in LAPACK's ratios, the route taken, exact scaling, odd input."""

import inspect

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import randnla
from randnla._backend.errors import InputError, NonFiniteError

REAL = (np.float32, np.float64)
COMPLEX = (np.complex64, np.complex128)
METHODS = ("cholesky", "householder")


def check(A, result, residual=30.0):
    """LAPACK's ratios: ||Q^H Q - I|| <= 50 eps sqrt(n), ||A - Q R|| <= 30 max(1, sqrt(n)) eps ||A||."""
    Q, R = result
    m, n = A.shape
    k = min(m, n)
    eps = np.finfo(Q.dtype).eps
    wide = np.complex128 if np.iscomplexobj(Q) else np.float64
    assert Q.shape == (m, k)
    assert R.shape == (k, n)
    assert Q.dtype == R.dtype
    assert not np.tril(R, -1).any()
    assert np.all(np.diagonal(R).real >= 0)
    assert np.all(np.diagonal(R).imag == 0)
    Qw = Q.astype(wide)
    assert np.linalg.norm(Qw.conj().T @ Qw - np.eye(k)) <= 50 * eps * np.sqrt(max(n, 1))
    # Norms of numbers near the ends of the range overflow: compare multiples of the largest entry.
    unit = max(np.abs(A.astype(wide)).max(initial=0), np.finfo(np.float64).tiny)
    B = A.astype(wide) / unit
    error = np.linalg.norm(B - Qw @ (R.astype(wide) / unit))
    assert error <= residual * np.sqrt(max(n, 1)) * eps * np.linalg.norm(B)


def conditioned(m, n, exponent, dtype, seed=0):
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((m, n)))[0]
    V = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return ((U * np.logspace(0, -exponent, n)) @ V.T).astype(dtype)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("shape", [(40, 40), (100, 60), (500, 60), (1000, 110), (200, 1)])
@pytest.mark.parametrize("exponent", [0, 3, 5, 6, 8, 12, 16])
def test_condition(shape, exponent, dtype):
    A = conditioned(*shape, exponent, dtype)
    for method in METHODS:
        result = randnla.qr(A, method=method, rng=0)
        check(A, result)
        assert result.info.method == method
    result = randnla.qr(A, method="cholesky", rng=0)
    # Conditions above 1e4 or 1e6 need the sketch, which needs 8 rows a column; below it is not called.
    easy = exponent <= (3 if dtype == np.float32 else 6) or shape[1] == 1
    if easy:
        assert result.info.path == "cholesky"
    elif exponent >= 8 or (dtype == np.float32 and exponent >= 6):
        assert result.info.path == ("sketch+cholesky" if shape[0] >= 8 * shape[1] else "householder")


def hard_cases(dtype):
    rng = np.random.default_rng(0)
    B = rng.standard_normal((600, 20)).astype(dtype)
    dependent = B.copy()
    dependent[:, 5] = 0
    dependent[:, 7] = dependent[:, 3]
    dependent[:, 19] = dependent[:, 0] - dependent[:, 1]
    yield "dependent", dependent, "sketch+cholesky"
    yield "zero", np.zeros_like(B), "sketch+cholesky"
    yield "ones", np.ones_like(B), "sketch+cholesky"
    low = (rng.standard_normal((600, 4)) @ rng.standard_normal((4, 20))).astype(dtype)
    yield "rank 4", low, "sketch+cholesky"
    yield "graded columns", B * np.logspace(0, -25, 20).astype(dtype), "cholesky"
    yield "graded rows", B * np.logspace(0, -25, 600).astype(dtype)[:, None], "cholesky"
    yield "identity", np.eye(600, 20, dtype=dtype), "cholesky"
    yield "one column", B[:, :1], "cholesky"
    yield "square singular", np.ones((20, 20), dtype), "householder"


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("case", range(9))
def test_hard_cases(case, dtype):
    name, A, path = list(hard_cases(dtype))[case]
    result = randnla.qr(A, method="cholesky", rng=1)
    check(A, result)
    assert result.info.path == path, name
    assert result.info.sketch == ("sparse_sign" if "sketch" in path else None)
    check(A, randnla.qr(A, method="householder"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300, 1e-306])
def test_scales(scale, method):
    A = conditioned(400, 10, 2, np.float64) * scale
    check(A, randnla.qr(A, method=method, rng=0))


@pytest.mark.parametrize("method", METHODS)
def test_denormals(method):
    A = np.round(conditioned(400, 10, 1, np.float64) * 1e4) * 5e-324
    Q, R = randnla.qr(A, method=method, rng=0)
    assert np.linalg.norm(Q.T @ Q - np.eye(10)) <= 50 * 2.2e-16 * np.sqrt(10)
    # R is rounded to multiples of the least denormal: half of one an entry.
    assert np.abs(Q @ (R / 5e-324) - A / 5e-324).max() <= 0.5 * 10 + 1e-9


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    power=st.integers(-60, 60),
    exponent=st.sampled_from([0, 3, 9]),
    shape=st.sampled_from([(300, 9), (30, 9)]),
)
def test_powers_of_two_are_exact(dtype, method, power, exponent, shape):
    A = conditioned(*shape, exponent, dtype)
    if dtype == np.float64:
        power *= 14
    Q, R = randnla.qr(A, method=method, rng=3)
    Qp, Rp = randnla.qr(np.ldexp(A, power), method=method, rng=3)
    np.testing.assert_array_equal(Qp, Q)
    np.testing.assert_array_equal(Rp, np.ldexp(R, power))


@pytest.mark.parametrize("dtype", [*REAL, *COMPLEX])
@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0), (1, 1), (1, 5), (5, 1), (12, 30), (30, 12)])
def test_shapes_and_dtypes(shape, dtype):
    rng = np.random.default_rng(0)
    A = rng.standard_normal(shape).astype(dtype)
    if np.iscomplexobj(A):
        A = A + 1j * rng.standard_normal(shape).astype(dtype)
    for method in ("auto", *METHODS):
        result = randnla.qr(A, method=method, rng=0)
        check(A, result)
        assert result.Q.dtype == dtype
        if np.iscomplexobj(A) and A.size:
            assert result.info.path == "householder"


@pytest.mark.parametrize("dtype", REAL)
def test_agrees_with_numpy(dtype):
    A = conditioned(500, 30, 1, dtype)
    Q, R = np.linalg.qr(A)
    signs = np.sign(np.diagonal(R))
    for method in METHODS:
        ours = randnla.qr(A, method=method)
        assert np.abs(ours.Q - Q * signs).max() <= 1e3 * np.finfo(dtype).eps
        assert np.abs(ours.R - R * signs[:, None]).max() <= 1e3 * np.finfo(dtype).eps


@pytest.mark.parametrize("method", METHODS)
def test_layouts(method):
    A = conditioned(400, 16, 3, np.float64)
    read_only = A.copy()
    read_only.flags.writeable = False
    unaligned = np.frombuffer(b"x" + A.tobytes(), np.uint8)[1:].view(np.float64).reshape(A.shape)
    strided = (np.asfortranarray(A), A[::-1, ::-1], np.repeat(A, 3, 1)[:, ::3])
    repeated = (np.broadcast_to(A[:, :1], (400, 5)), np.broadcast_to(A[:1], (200, 16)))
    for B in (*strided, *repeated, read_only, unaligned, A.astype(">f8")):
        kept = np.array(B)
        check(B.astype(float), randnla.qr(B, method=method, rng=0))
        np.testing.assert_array_equal(B, kept)


@pytest.mark.parametrize(
    ("dtype", "out"), [(np.float16, np.float32), (np.int16, np.float64), (bool, np.float64)]
)
def test_other_dtypes_are_widened(dtype, out):
    A = (np.arange(60).reshape(20, 3) % 7).astype(dtype)
    Q, R = randnla.qr(A)
    assert Q.dtype == R.dtype == out
    check(A.astype(out), (Q, R))


BAD = ["x", None, np.ones(3), np.ones((2, 2, 2)), np.ones((3, 2), object), np.ones((3, 2), "S2")]
BAD += [np.ones((3, 2), np.longdouble), np.ma.masked_greater(np.arange(6.0).reshape(3, 2), 3)]


@pytest.mark.parametrize("bad", BAD)
def test_bad_input(bad):
    with pytest.raises(InputError, match="A"):
        randnla.qr(bad)


def test_bad_arguments():
    A = np.eye(3)
    with pytest.raises(InputError, match="'auto', 'householder', 'cholesky', 'tsqr'"):
        randnla.qr(A, method="lapack")
    with pytest.raises(InputError, match="mode: expected one of 'reduced', 'r'"):
        randnla.qr(A, mode="raw")
    with pytest.raises(InputError, match="check_finite"):
        randnla.qr(A, check_finite=1)
    with pytest.raises(InputError, match="rng"):
        randnla.qr(A, method="cholesky", rng="zero")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite(method, value):
    A = np.ones((100, 4))
    A[60, 2] = value
    with pytest.raises(NonFiniteError, match=r"A: .*\(60, 2\)"):
        randnla.qr(A, method=method)
    assert np.isnan(randnla.qr(A, method=method, check_finite=False).Q).all()
    with pytest.raises(InputError, match="range of float64"):
        randnla.qr(np.full((100, 2), 1e308), method=method)


def test_info_and_seed():
    A = conditioned(400, 12, 12, np.float64)
    first = randnla.qr(A, method="cholesky")
    again = randnla.qr(A, method="cholesky", rng=first.info.seed)
    np.testing.assert_array_equal(first.Q, again.Q)
    assert first.info.to_dict()["path"] == "sketch+cholesky"
    assert randnla.qr(A).info.method == "cholesky"
    assert randnla.qr(A[:20]).info.method == "householder"
    assert randnla.qr(A.astype(complex)).info.method == "householder"


def test_the_room_is_callable():
    assert next(iter(inspect.signature(randnla.qr).parameters)) == "A"


@pytest.mark.parametrize("call", [randnla.qr, randnla.pivoted_qr, randnla.utv])
def test_entries_are_needed_and_a_dense_operator_has_them(call):
    A = np.random.default_rng(0).standard_normal((30, 6))
    expected = call(A, rng=0)
    found = call(randnla.Dense(A), rng=0)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    for op in (scipy.sparse.linalg.aslinearoperator(A), randnla.Dense(A).H @ randnla.Dense(A)):
        with pytest.raises(InputError, match=r"A: expected a matrix of entries, got a .*; its to_dense\(\)"):
            call(op)
    with pytest.raises(InputError, match="A: expected a dense matrix, got a sparse one"):
        call(scipy.sparse.csr_array(A))
