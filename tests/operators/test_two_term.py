# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sums and differences of two Kronecker products against the dense solve."""

import numpy as np
import pytest

from randnla import BreakdownError, InputError, NonFiniteError, TwoTermKronecker


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
