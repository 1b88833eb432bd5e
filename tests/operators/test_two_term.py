# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sums and differences of two Kronecker products against the dense solve."""

import numpy as np
import pytest
from cases import BACKENDS

from randnla import BreakdownError, DampedKronecker, InputError, NonFiniteError, TwoTermKronecker


def definite(rng, n, kind, floor=0.5):
    X = rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if kind == "c" else 0)
    return X @ X.conj().T / n + floor * np.eye(n)


def covariances(seed, m, n, kind="f"):
    """A kron B - C kron D as the block tridiagonal form of K-FAC makes it: C = psi A psi^H, below A."""
    rng = np.random.default_rng(seed)
    A, B = definite(rng, m, kind), definite(rng, n, kind)
    out = [A, B]
    for X in (A, B):
        S = definite(rng, len(X), kind)
        L = np.linalg.cholesky(X)
        out.append(L @ (0.9 * S / np.linalg.norm(S, 2)) @ L.conj().T)
    return out


@pytest.mark.parametrize("kind", ["f", "c"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (6, 5), (17, 23)])
def test_against_the_dense_solve(shape, sign, kind):
    A, B, C, D = covariances(1, *shape, kind)
    K = TwoTermKronecker(A, B, C, D, sign=sign)
    whole = np.kron(A, B) + sign * np.kron(C, D)
    V = np.random.default_rng(2).standard_normal((2, *shape))
    flat = V.reshape(2, -1).T
    expected = np.linalg.solve(whole, flat)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(K.solve(flat), expected, rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(K.solve_matrix(V), expected.T.reshape(V.shape), rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(K @ flat, whole @ flat, rtol=0, atol=1e-12 * np.abs(whole @ flat).max())
    assert K.logdet() == pytest.approx(np.linalg.slogdet(whole).logabsdet, abs=1e-11)
    assert np.linalg.cond(whole) * (1 - 1e-9) <= K.condition()
    assert K.clearance >= (1.0 if sign > 0 else 0.19) * (1 - 1e-12)
    np.testing.assert_allclose(K.inverse().diag(), np.diagonal(np.linalg.inv(whole)), atol=1e-11)


def test_indefinite_second_terms_and_signs_of_the_determinant():
    rng = np.random.default_rng(0)
    A, B = definite(rng, 4, "f"), definite(rng, 3, "f")
    C, D = (X + X.T for X in (rng.standard_normal((4, 4)), rng.standard_normal((3, 3))))
    K = TwoTermKronecker(A, B, C, D)
    whole = np.kron(A, B) + np.kron(C, D)
    b = rng.standard_normal(12)
    np.testing.assert_allclose(whole @ K.solve(b), b, atol=1e-10)
    sign, value = np.linalg.slogdet(whole)
    assert K.slogdet() == (sign, pytest.approx(value))


def test_float32_is_factored_in_float64():
    A, B, C, D = (X.astype(np.float32) for X in covariances(3, 12, 10))
    K = TwoTermKronecker(A, B, C, D, sign=-1)
    assert K.dtype == np.float32
    assert K.s.dtype == np.float64
    b = np.random.default_rng(0).standard_normal(120).astype(np.float32)
    whole = np.kron(A.astype(float), B.astype(float)) - np.kron(C.astype(float), D.astype(float))
    expected = np.linalg.solve(whole, b)
    got = K.solve(b)
    assert got.dtype == np.float32
    assert np.linalg.norm(got - expected) <= 1e-4 * np.linalg.norm(expected)
    np.testing.assert_allclose(K.solve(b + 1j * b), got * (1 + 1j), rtol=1e-6)


@pytest.mark.parametrize("gap", [1e-3, 1e-8, 1e-13])
def test_a_vanishing_eigenvalue_is_found(gap):
    # The largest s t is 1 - gap: solvable until rounding hides the gap, and the certificate tells.
    rng = np.random.default_rng(0)
    A, B = definite(rng, 5, "f"), definite(rng, 4, "f")
    La, Lb = np.linalg.cholesky(A), np.linalg.cholesky(B)
    C = La @ np.diag([1.0, 0.5, 0.4, 0.3, 0.2]) @ La.T
    D = Lb @ np.diag([1.0 - gap, 0.5, 0.4, 0.3]) @ Lb.T
    K = TwoTermKronecker(A, B, (C + C.T) / 2, (D + D.T) / 2, sign=-1)
    assert K.clearance == pytest.approx(gap, rel=1e-13 / gap, abs=1e-14)
    assert K.condition() > 0.5 / gap
    if gap > 1e-12:
        b = rng.standard_normal(20)
        x = K.solve(b)
        assert np.linalg.norm(K @ x - b) <= 1e-12 / gap * np.linalg.norm(b)
    exact = TwoTermKronecker(A, B, A, B, sign=-1)
    assert exact.clearance < 1e-13
    with pytest.raises(BreakdownError, match=r"singular to rounding, 1 - s t = .* s = 1 and t = 1"):
        exact.solve(np.ones(20))


def test_powers_of_two_change_no_bit():
    A, B, C, D = covariances(4, 5, 4)
    b = np.random.default_rng(0).standard_normal(20)
    plain = TwoTermKronecker(A, B, C, D, sign=-1).solve(b)
    scaled = TwoTermKronecker(16 * A, B / 64, 16 * C, D / 64, sign=-1).solve(b)
    np.testing.assert_array_equal(scaled, 4 * plain)


@pytest.mark.parametrize("size", [1.0, 1e6, 1e9, 1e12])
@pytest.mark.parametrize("signs", [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)])
def test_positive_terms_add_up_whatever_their_sizes(size, signs):
    # s and t spread over many orders: nothing cancels, so nothing is singular.
    rng = np.random.default_rng(0)
    eye, (P, Q) = np.eye(4), (np.linalg.qr(rng.standard_normal((4, 4)))[0] for _ in "PQ")
    w = np.geomspace(size, 1.0, 4)
    C, D = (x * (X * w) @ X.T for x, X in zip(signs, (P, Q), strict=False))
    C, D = ((X + X.T) / 2 for X in (C, D))
    K = TwoTermKronecker(eye, eye, C, D, sign=signs[2])
    exact = DampedKronecker(signs[0] * C, signs[1] * D, 1.0, form="exact")
    for b in (rng.standard_normal(16), np.kron(P[:, 3], Q[:, 3])):
        x, expected = K.solve(b), exact.solve(b)
        assert np.linalg.norm(x - expected) <= 1e-14 * K.condition() * np.linalg.norm(expected)
        assert b @ x > 0
    assert K.clearance >= 1.0
    assert K.slogdet()[0] == 1.0
    C = np.diag([size, 1.0])
    x = TwoTermKronecker(EYE, EYE, C, C).solve(np.ones(4))
    np.testing.assert_allclose(x, 1 / (1 + np.outer([size, 1], [size, 1]).ravel()), rtol=1e-14)


def test_semidefinite_terms_are_clipped_at_zero():
    # Rounding leaves C indefinite; D is large enough for that to cancel A kron B, were it believed.
    rng = np.random.default_rng(1)
    Z = rng.standard_normal((12, 2))
    C, D = Z @ Z.T, np.diag([1e16, 1e8, 1.0])
    assert np.linalg.eigvalsh(C)[0] < 0
    K = TwoTermKronecker(np.eye(12), np.eye(3), C, D)
    assert K.s.min() == 0
    assert K.clearance >= 1.0
    b = rng.standard_normal(36)
    assert b @ K.solve(b) > 0
    zero = TwoTermKronecker(np.eye(12), np.eye(3), 0 * C, D)
    np.testing.assert_allclose(zero.solve(b), b, rtol=1e-14)


def test_indefinite_terms_are_not_clipped():
    # A negative eigenvalue of 1e-4 is no rounding in float32, at this order either.
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((200, 200)))[0]
    C = ((Q * np.append(np.linspace(1, 0.5, 199), -1e-4)) @ Q.T).astype(np.float32)
    K = TwoTermKronecker(np.eye(200, dtype=np.float32), EYE, (C + C.T) / 2, np.diag([1e5, 1.0]))
    assert K.s[0] == pytest.approx(-1e-4, rel=1e-2)
    assert K.slogdet()[0] == -1.0


def test_cancellation_is_found_beside_large_eigenvalues():
    # 1 - s t vanishes for the small pair alone, known to rounding of the large one.
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((2, 2)))[0]
    C = (Q * [1e9, 1.0]) @ Q.T
    C = (C + C.T) / 2
    with pytest.raises(BreakdownError, match="singular to rounding"):
        TwoTermKronecker(EYE, EYE, C, C, sign=-1).solve(np.ones(4))
    # Without cancellation a difference is solved, large or not.
    C = np.diag([1e9, 0.25])
    x = TwoTermKronecker(EYE, EYE, C, C, sign=-1).solve(np.ones(4))
    np.testing.assert_allclose(x, 1 / (1 - np.outer([1e9, 0.25], [1e9, 0.25]).ravel()), rtol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "size"), [(np.float32, 1e-25), (np.float64, 1e-160), (np.complex64, 1e-20)]
)
def test_inverses_beyond_the_range_are_refused(dtype, size):
    X = (size * np.diag([2.0, 3.0])).astype(dtype)
    for sign in (1, -1):
        K = TwoTermKronecker(X, X, X, X / 2, sign=sign)
        with pytest.raises(BreakdownError, match=f"beyond the range of {np.dtype(dtype)}"):
            K.solve(np.ones(4, dtype))
    # What makes up for each other is in range, so are all products on the way.
    Y = (np.diag([2.0, 3.0]) / size).astype(dtype)
    big = np.full(4, 1e18, dtype)
    got = TwoTermKronecker(X, Y, X, Y).solve(big)
    np.testing.assert_allclose(got, big / np.array([8, 12, 12, 18]), rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_solutions_are_of_the_kind_of_what_is_given(backend):
    K = TwoTermKronecker(*covariances(1, 4, 3))
    V = np.random.default_rng(0).standard_normal((2, 4, 3))
    given, flat = BACKENDS[backend](V), BACKENDS[backend](V.reshape(2, 12).T.copy())
    for call, x in ((K.solve_matrix, given), (K.inverse().apply_matrix, given), (K.solve, flat)):
        got = call(x)
        assert type(got) is type(x)
        np.testing.assert_array_equal(np.asarray(got), call(np.asarray(x)))


EYE = np.eye(2)


@pytest.mark.parametrize(
    ("call", "error", "pattern"),
    [
        (lambda: TwoTermKronecker(EYE, EYE, EYE, EYE, sign=0), InputError, "sign: expected 1 or -1"),
        (lambda: TwoTermKronecker(EYE, EYE, EYE, EYE, sign=2), InputError, "sign: expected an integer"),
        (lambda: TwoTermKronecker(EYE, EYE, np.eye(3), EYE), InputError, r"C: expected shape \(2, 2\)"),
        (lambda: TwoTermKronecker(np.ones((2, 3)), EYE, EYE, EYE), InputError, r"A: expected shape \(2, 2\)"),
        (
            lambda: TwoTermKronecker(EYE, EYE, EYE, np.triu(np.ones((2, 2)))),
            InputError,
            "D: expected a Hermitian",
        ),
        (lambda: TwoTermKronecker(EYE, 0 * EYE, EYE, EYE), BreakdownError, "B: expected a positive definite"),
        (lambda: TwoTermKronecker(EYE, EYE, EYE + np.inf, EYE), NonFiniteError, "C: "),
        (
            lambda: TwoTermKronecker(EYE, EYE, EYE, EYE).inverse().apply_matrix(np.ones(4)),
            InputError,
            "V: expected",
        ),
        (
            lambda: TwoTermKronecker(EYE, EYE, EYE, EYE).solve_matrix(np.ones((2, 3))),
            InputError,
            "V: expected shape",
        ),
    ],
)
def test_messages(call, error, pattern):
    with pytest.raises(error, match=pattern):
        call()
