# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Damped Kronecker products: every form and every kind of factor against the matrix they stand for."""

import functools
import itertools
import pickle

import mpmath
import numpy as np
import pytest

from randnla import BreakdownError, DampedKronecker, InputError, NonFiniteError
from randnla._backend.threads import set_num_threads
from randnla.operators import Dense, Diagonal, DiagonalPlusLowRank, LowRank, RowStream

FORMS = ("tikhonov", "exact", "relative")
DTYPES = (np.float32, np.float64, np.complex64, np.complex128)


def random(rng, dtype, *shape):
    X = rng.standard_normal(shape)
    return (X + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else X).astype(dtype)


def factor(kind, n, dtype, seed):
    """A factor of a kind, and its matrix; all but the first are singular or nearly so."""
    rng = np.random.default_rng(seed)
    real = np.dtype(dtype).type(0).real.dtype
    if kind == "dense":
        X = random(rng, dtype, n, 2 * n)
        A = X @ X.conj().T / n
        return A, A
    if kind == "semidefinite":
        X = random(rng, dtype, n, max(1, n // 2))
        A = X @ X.conj().T / n
        return A, A
    if kind == "diagonal":
        d = rng.uniform(0, 2, n).astype(real)
        d[0] = 0
        return Diagonal(d), np.diag(d)
    U = np.linalg.qr(random(rng, dtype, n, max(1, n // 3)))[0]
    w = np.linspace(3, 1, U.shape[1]).astype(real)
    if kind == "low_rank":
        return LowRank(U, w), (U * w) @ U.conj().T
    if kind == "continued":  # w on the range, .3 off it
        tau = real.type(0.3)
        off = np.eye(n) - U @ U.conj().T
        return DiagonalPlusLowRank(tau, U, w - tau), (U * w) @ U.conj().T + tau * off
    # An orthonormal basis is not asked for.
    Z = random(rng, dtype, n, max(1, n // 3))
    return DiagonalPlusLowRank(0.3, Z), 0.3 * np.eye(n) + Z @ Z.conj().T


KINDS = ("dense", "semidefinite", "diagonal", "low_rank", "continued", "oblique")


def dense_form(A, B, damping, form):
    A, B = (X.astype(np.complex128) for X in (A, B))
    m, n = len(A), len(B)
    if form == "exact":
        return np.kron(A, B) + damping * np.eye(m * n)
    if form == "relative":
        a, b = damping * np.linalg.norm(A, 2), damping * np.linalg.norm(B, 2)
    else:
        pi = np.sqrt(np.trace(A).real / m / (np.trace(B).real / n))
        a, b = pi * np.sqrt(damping), np.sqrt(damping) / pi
    return np.kron(A + a * np.eye(m), B + b * np.eye(n))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kinds", list(itertools.product(KINDS, KINDS)), ids="-".join)
def test_products_and_solves_of_all_forms(kinds, form, dtype):
    m, n, damping = 9, 7, 0.25
    (left, A), (right, B) = factor(kinds[0], m, dtype, 1), factor(kinds[1], n, dtype, 2)
    K = DampedKronecker(left, right, damping, form=form)
    whole = dense_form(A, B, damping, form)
    inverse = np.linalg.inv(whole)
    assert K.dtype == np.result_type(np.asarray(A).dtype if kinds[0] == "dense" else left.dtype, right.dtype)
    cond = np.linalg.cond(whole)
    slack = 60 * np.finfo(dtype).eps
    rng = np.random.default_rng(3)
    V = random(rng, dtype, 2, 3, m, n)
    flat = V.reshape(6, -1).T

    def close(got, expected, bound):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=0, atol=bound * np.abs(expected).max())

    close(K @ flat, whole @ flat, slack)
    close(K.apply_matrix(V), (whole @ flat).T.reshape(V.shape), slack)
    close(K.solve(flat), inverse @ flat, slack * cond)
    close(K.solve(flat[:, 0]), inverse @ flat[:, 0], slack * cond)
    close(K.solve_matrix(V), (inverse @ flat).T.reshape(V.shape), slack * cond)
    close(K.solve_matrix(V[0, 0].T.copy().T), (inverse @ flat[:, 0]).reshape(m, n), slack * cond)
    assert K.condition() == pytest.approx(cond, rel=slack * cond)
    assert K.logdet() == pytest.approx(np.linalg.slogdet(whole).logabsdet, rel=1e-3, abs=slack * cond * m * n)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kinds", [("dense", "dense"), ("dense", "continued"), ("continued", "low_rank")])
def test_the_way_taken_is_told(form, kinds):
    left, right = factor(kinds[0], 9, np.float64, 1)[0], factor(kinds[1], 7, np.float64, 2)[0]
    inverse = DampedKronecker(left, right, 0.25, form=form).inverse()
    expected = {"dense": "eigenbasis" if form == "exact" else "inverse"}
    assert inverse.path == "+".join(expected.get(kind, "low_rank") for kind in kinds)


def test_mixed_precision_and_complex_right_hand_sides():
    A, B = factor("dense", 6, np.float32, 1)[0], factor("continued", 5, np.float32, 2)[0]
    rng = np.random.default_rng(0)
    for form in FORMS:
        K = DampedKronecker(A, B, 0.1, form=form)
        V = random(rng, np.complex128, 6, 5)
        W = K.solve_matrix(V)
        assert W.dtype == np.complex128
        assert K.solve_matrix(V.astype(np.complex64)).dtype == np.complex64
        assert K.solve_matrix(V.real).dtype == np.float64
        np.testing.assert_allclose(W.real, K.solve_matrix(V.real), atol=1e-14)
        np.testing.assert_allclose(W.imag, K.solve_matrix(V.imag), atol=1e-14)
        np.testing.assert_allclose(K.apply_matrix(W), V, atol=1e-5)


# -- reliability ---------------------------------------------------------------------------------------


@functools.cache
def batches(rank):
    """Samples of two layers in float32, the second behind a ReLU, and the spectra of their averages."""
    rng = np.random.default_rng(rank)
    X, Y = rng.standard_normal((rank, 256)), np.maximum(rng.standard_normal((rank, 40)), 0)
    samples = [Z.astype(np.float32) for Z in (X, Y)]
    spectra = []
    for Z in samples:
        w, U = np.linalg.eigh(Z.T.astype(np.float64) @ Z.astype(np.float64) / rank)
        spectra.append((np.maximum(w, 0), U))
    return samples, spectra


@pytest.mark.parametrize("kind", ["array", "low_rank"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rank", [1, 32, 256])
def test_rank_deficient_factors_stay_definite_for_every_damping(rank, form, kind):
    # The factor of order 256 is singular, in float32 indefinite by rounding.
    (X, Y), ((s, P), (t, Q)) = batches(rank)
    if kind == "low_rank":
        root = np.float32(np.sqrt(rank))
        base = DampedKronecker(LowRank(X.T / root), LowRank(Y.T / root), 1.0, form=form)
    else:
        base = DampedKronecker(*(Z.T @ Z / np.float32(rank) for Z in (X, Y)), 1.0, form=form)
    rng = np.random.default_rng(0)
    # The worst right-hand sides, too: what lies in the range has the smallest solutions.
    sides = (
        rng.standard_normal((256, 40)),
        X.T @ rng.standard_normal((rank, rank)) @ Y,
        np.outer(P[:, -1], Q[:, -1]),
    )
    for damping in (1e-30, 1e-12, 1e-8, 1e-6, 1e-5, 1e-3, 1.0):
        K = base.with_damping(damping)
        if damping == 1e-30 and form == "relative" and rank < 256:
            with pytest.raises(BreakdownError, match="beyond the range of float32"):
                K.inverse()
            continue
        e = K.effective_damping
        eigenvalues = np.multiply.outer(s + e.left, t + e.right) + e.whole
        bound = 60 * np.finfo(np.float32).eps * eigenvalues.max() / eigenvalues.min()
        for side in sides:
            V = side.astype(np.float32)
            W = K.solve_matrix(V)
            truth = P @ ((P.T @ V @ Q) / eigenvalues) @ Q.T
            assert np.isfinite(W).all()
            assert np.linalg.norm(W - truth) <= bound * np.linalg.norm(truth)
            assert np.vdot(V.astype(np.float64), W) > 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("damping", [1e-14, 1e-10, 1e-6, 1e-2])
def test_float64_against_mpmath(damping, form):
    rng = np.random.default_rng(5)
    X, Y = rng.standard_normal((2, 5)), rng.standard_normal((3, 4))
    A, B = X.T @ X, Y.T @ Y
    K = DampedKronecker(A, B, damping, form=form)
    V = rng.standard_normal((5, 4))
    with mpmath.workdps(60):
        x, y = mpmath.matrix(X.tolist()), mpmath.matrix(Y.tolist())
        a, b = x.T * x, y.T * y
        e = K.effective_damping
        a += mpmath.eye(5) * e.left
        b += mpmath.eye(4) * e.right
        whole = mpmath.zeros(20)
        for i, j, p, q in itertools.product(range(5), range(5), range(4), range(4)):
            whole[4 * i + p, 4 * j + q] = a[i, j] * b[p, q] + (e.whole if (i, p) == (j, q) else 0)
        truth = np.array([float(v) for v in mpmath.lu_solve(whole, mpmath.matrix(V.ravel().tolist()))])
    error = np.linalg.norm(K.solve(V.ravel()) - truth) / np.linalg.norm(truth)
    assert error <= 60 * np.finfo(np.float64).eps * K.condition()


@pytest.mark.parametrize(
    "kinds", list(itertools.product(("dense", "diagonal", "continued"), repeat=2)), ids="-".join
)
@pytest.mark.parametrize("form", FORMS)
def test_solving_is_pure(form, kinds):
    left, right = factor(kinds[0], 6, np.float64, 1)[0], factor(kinds[1], 5, np.float64, 2)[0]
    V = np.random.default_rng(0).standard_normal((6, 5))
    kept = V.copy()
    K = DampedKronecker(left, right, 0.1, form=form)
    inverse = K.inverse()
    first = inverse.apply_matrix(V)
    state = pickle.dumps(inverse)
    for _ in range(3):
        np.testing.assert_array_equal(inverse.apply_matrix(V), first)
        assert pickle.dumps(inverse) == state
        np.testing.assert_array_equal(K.solve_matrix(V), first)
    np.testing.assert_array_equal(V, kept)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(K)).solve_matrix(V), first)
    # What the factors become later is no matter.
    if kinds == ("dense", "dense"):
        left *= 2
        np.testing.assert_array_equal(DampedKronecker.with_damping(K, 0.1).solve_matrix(V), first)


@pytest.mark.parametrize("form", FORMS)
def test_another_damping_factors_nothing(form):
    A, B = factor("dense", 6, np.float64, 1)[0], factor("oblique", 5, np.float64, 2)[0]
    K = DampedKronecker(A, B, 0.1, form=form)
    V = np.random.default_rng(0).standard_normal((6, 5))
    before = K.solve_matrix(V)
    other = K.with_damping(0.7)
    assert other.left is K.left
    assert other.right is K.right
    fresh = DampedKronecker(A, B, 0.7, form=form)
    np.testing.assert_array_equal(other.solve_matrix(V), fresh.solve_matrix(V))
    assert other.effective_damping == fresh.effective_damping
    np.testing.assert_array_equal(K.solve_matrix(V), before)
    assert (K.damping, other.damping, other.form) == (0.1, 0.7, form)


@pytest.mark.parametrize(
    "kinds", list(itertools.product(("dense", "diagonal", "continued"), repeat=2)), ids="-".join
)
@pytest.mark.parametrize("form", FORMS)
def test_powers_of_two_change_no_bit(form, kinds):
    V = np.random.default_rng(0).standard_normal((6, 5))

    def solved(p, q):
        def scaled(kind, n, seed, power):
            op, A = factor(kind, n, np.float64, seed)
            if kind == "diagonal":
                return Diagonal(np.ldexp(op.values, power))
            if kind == "continued":
                return DiagonalPlusLowRank(np.ldexp(op.d[0], power), op.low.U, np.ldexp(op.low.C, power))
            return np.ldexp(A, power)

        damping = 0.1 if form == "relative" else np.ldexp(0.1, p + q)
        K = DampedKronecker(scaled(kinds[0], 6, 1, p), scaled(kinds[1], 5, 2, q), float(damping), form=form)
        return np.ldexp(K.solve_matrix(V), p + q), np.ldexp(K @ V.ravel(), -p - q)

    for p, q in ((1, 0), (-7, 12), (200, -150), (300, 250)):
        for got, expected in zip(solved(p, q), solved(0, 0), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_the_threads_do_not_matter_beyond_rounding():
    A, B = factor("dense", 150, np.float32, 1)[0], factor("continued", 130, np.float32, 2)[0]
    V = np.random.default_rng(0).standard_normal((4, 150, 130)).astype(np.float32)
    K = DampedKronecker(A, B, 0.1, form="exact")
    many = K.solve_matrix(V)
    set_num_threads(1)
    try:
        np.testing.assert_allclose(K.solve_matrix(V), many, atol=1e-5 * np.abs(many).max())
    finally:
        set_num_threads(0)


# -- what the forms mean -------------------------------------------------------------------------------


def test_pi_splits_the_damping():
    A, B = factor("dense", 6, np.float64, 1)[0], factor("dense", 5, np.float64, 2)[0] * 50
    e = DampedKronecker(A, B, 0.3).effective_damping
    assert e.left * e.right == pytest.approx(0.3)
    assert e.left / e.right == pytest.approx(np.trace(A) / 6 / (np.trace(B) / 5))
    assert (e.whole, e.clipped, e.form, e.given) == (0.0, (0, 0), "tikhonov", 0.3)


def test_forms_agree_on_multiples_of_the_identity():
    # (a + pi g)(b + g / pi) = a b + 2 g sqrt(a b) + g^2 with pi^2 = a / b.
    a, b, damping = 4.0, 0.25, 0.09
    V = np.random.default_rng(0).standard_normal((3, 2))
    A, B = a * np.eye(3), b * np.eye(2)
    got = DampedKronecker(A, B, damping).solve_matrix(V)
    exact = DampedKronecker(A, B, 2 * 0.3 * np.sqrt(a * b) + damping, form="exact")
    relative = DampedKronecker(A, B, 0.3 / np.sqrt(a * b), form="relative")
    np.testing.assert_allclose(got, exact.solve_matrix(V), rtol=1e-14)
    np.testing.assert_allclose(got, relative.solve_matrix(V), rtol=1e-14)


def test_tikhonov_damps_at_least_as_much_as_the_exact_form():
    A, B = factor("dense", 6, np.float64, 1)[1], factor("dense", 5, np.float64, 2)[1]
    extra = DampedKronecker(A, B, 0.3).to_dense() - DampedKronecker(A, B, 0.3, form="exact").to_dense()
    assert np.linalg.eigvalsh(extra).min() > 0


def test_clipped_eigenvalues_are_told_and_never_inverted():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4, 64)).astype(np.float32)
    A = X.T @ X
    K = DampedKronecker(A, np.eye(2, dtype=np.float32), 1e-9, form="exact")
    e = K.effective_damping
    assert e.clipped[0] > 0
    assert -1e-4 < e.least[0] < 0
    assert e.clipped[1] == 0
    assert K.inverse()._weights.table().max() == pytest.approx(1e9)


@pytest.mark.parametrize("form", ["tikhonov", "exact"])
def test_zero_factors_leave_the_damping(form):
    A, V = factor("dense", 4, np.float64, 1)[0], np.random.default_rng(0).standard_normal((4, 3))
    for zero in (np.zeros((3, 3)), Diagonal(np.zeros(3)), LowRank(np.zeros((3, 1)))):
        K = DampedKronecker(A, zero, 0.25, form=form)
        e = K.effective_damping
        expected = V / 0.25 if form == "exact" else np.linalg.solve(A + 0.5 * np.eye(4), V) / 0.5
        assert (e.left, e.right, e.whole) == ((0, 0, 0.25) if form == "exact" else (0.5, 0.5, 0))
        np.testing.assert_allclose(K.solve_matrix(V), expected, rtol=1e-12)


def test_small_shapes():
    for m, n in ((1, 1), (1, 5), (5, 1)):
        A, B = factor("dense", m, np.float64, 1)[0], factor("dense", n, np.float64, 2)[0]
        for form in FORMS:
            K = DampedKronecker(A, B, 0.1, form=form)
            V = np.random.default_rng(0).standard_normal((m, n))
            np.testing.assert_allclose(K.apply_matrix(K.solve_matrix(V)), V, atol=1e-12)
    K = DampedKronecker(np.zeros((0, 0)), np.eye(3), 0.1, form="exact")
    assert K.solve_matrix(np.zeros((0, 3))).shape == (0, 3)
    assert K.solve_matrix(np.zeros((4, 0, 3))).shape == (4, 0, 3)
    assert (K.logdet(), K.trace(), K.condition()) == (0.0, 0.0, 1.0)


def test_low_rank_on_both_sides_never_forms_a_factor():
    # Factors of order 40000 and 30 of rank 3: the left one would take 12 GB.
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((40_000, 3)))[0]
    B = LowRank(np.linalg.qr(rng.standard_normal((30, 2)))[0], [2.0, 1.0])
    left = DiagonalPlusLowRank(0.1, U, [5.0, 4.0, 3.0])
    V = rng.standard_normal((40_000, 30))
    for form in FORMS:
        K = DampedKronecker(left, B, 0.2, form=form)
        assert K.inverse().path == "low_rank+low_rank"
        np.testing.assert_allclose(K.apply_matrix(K.solve_matrix(V)), V, atol=1e-12)


def test_truncation_is_what_a_truncated_spectrum_gives():
    # The trace of what was discarded, spread over it: the same as the dense matrix of that spectrum.
    A = factor("dense", 12, np.float64, 1)[1]
    w, U = np.linalg.eigh(A)
    w, U = w[::-1], U[:, ::-1]
    tau = w[4:].mean()
    truncated = DiagonalPlusLowRank(tau, U[:, :4], w[:4] - tau)
    whole = (U * np.append(w[:4], np.full(8, tau))) @ U.T
    V = np.random.default_rng(0).standard_normal((12, 12))
    for form in FORMS:
        got = DampedKronecker(truncated, truncated, 0.05, form=form).solve_matrix(V)
        expected = DampedKronecker(whole, Dense(whole), 0.05, form=form).solve_matrix(V)
        np.testing.assert_allclose(got, expected, atol=1e-11)


@pytest.mark.parametrize("form", FORMS)
def test_dampings_beyond_the_range_are_refused_at_once(form):
    eye = np.eye(4, dtype=np.float32)
    # The relative form squares it.
    damping = 1e20 if form == "relative" else 1e80
    K = DampedKronecker(eye, eye, 1.0, form=form)
    for make in (lambda: DampedKronecker(eye, eye, damping, form=form), lambda: K.with_damping(damping)):
        with pytest.raises(InputError, match=r"damping: 1e\+\d0 takes the largest eigenvalue to .* float32"):
            make()
    near = K.with_damping(1e18 if form == "relative" else 1e37)
    assert np.isfinite(near @ np.ones(16, np.float32)).all()
    with pytest.raises(InputError, match=r"damping: 1e\+200 takes the largest eigenvalue to inf"):
        DampedKronecker(EYE, EYE, 1e200, form="relative")


def test_products_beyond_the_range_are_refused_not_nan():
    large = 1e30 * np.eye(2, dtype=np.float32)
    K = DampedKronecker(large, large, 1.0, form="exact")
    with pytest.raises(
        BreakdownError, match=r"its largest eigenvalue, 1e\+60, is beyond the range of float32"
    ):
        K @ np.ones(4, np.float32)
    np.testing.assert_allclose(K @ np.ones(4), 1e60, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_nan_passes_as_in_products(form):
    K = DampedKronecker(EYE, EYE, 1.0, form=form)
    b = np.array([np.nan, 1.0, 1.0, 1.0])
    assert np.isnan(K.solve(b)[0])
    assert np.isnan((K @ b)[0])


EYE = np.eye(2)


@pytest.mark.parametrize(
    ("call", "error", "pattern"),
    [
        (lambda: DampedKronecker(EYE, EYE, -1.0), InputError, "damping: expected a number >= 0"),
        (lambda: DampedKronecker(EYE, EYE, "a"), InputError, "damping: expected a real number"),
        (lambda: DampedKronecker(EYE, EYE, 1.0, form="pi"), InputError, "form: expected one of 'tikhonov'"),
        (lambda: DampedKronecker(np.ones((2, 3)), EYE, 1.0), InputError, "left: expected a square factor"),
        (
            lambda: DampedKronecker(EYE, np.triu(np.ones((2, 2))), 1.0),
            InputError,
            "right: expected a Hermitian",
        ),
        (lambda: DampedKronecker(EYE, -EYE, 1.0), BreakdownError, "right: expected a positive semidefinite"),
        (lambda: DampedKronecker(EYE * np.nan, EYE, 1.0), NonFiniteError, "left: 4 entries|left: 2 entries"),
        (
            lambda: DampedKronecker(Diagonal([1.0, 1j]), EYE, 1.0),
            InputError,
            "left: expected a Hermitian factor",
        ),
        (
            lambda: DampedKronecker(DiagonalPlusLowRank([1.0, 2.0], np.ones((2, 1))), EYE, 1.0),
            InputError,
            "left: expected tau I",
        ),
        (lambda: DampedKronecker(EYE, LowRank(EYE, V=EYE), 1.0), InputError, "right: expected tau I"),
        (
            lambda: DampedKronecker(RowStream(lambda: iter([EYE]), shape=(2, 2)), EYE, 1.0),
            InputError,
            "left: eigenvectors needs factors in closed form",
        ),
        (
            lambda: DampedKronecker(0 * EYE, EYE, 0.0).solve(np.ones(4)),
            BreakdownError,
            "expected some damping",
        ),
        (
            lambda: DampedKronecker(0 * EYE, EYE, 0.5, form="relative").inverse(),
            BreakdownError,
            "singular, its least eigenvalue is 0",
        ),
        (
            lambda: DampedKronecker(
                (0 * EYE).astype(np.float32), EYE.astype(np.float32), 1e-42, form="exact"
            ).inverse(),
            BreakdownError,
            "beyond the range of float32",
        ),
        (
            lambda: DampedKronecker(1e-300 * EYE, 1e-300 * EYE, 1.0, form="exact"),
            InputError,
            "differ by more than float64 can hold",
        ),
        (
            lambda: DampedKronecker(EYE, EYE, 1.0).with_damping(-2),
            InputError,
            "damping: expected a number >= 0",
        ),
        (lambda: DampedKronecker(EYE, EYE, 1.0).solve(np.ones(3)), InputError, "the other factor"),
        (
            lambda: DampedKronecker(EYE, EYE, 1.0).solve_matrix(np.ones((2, 3))),
            InputError,
            "V: expected shape",
        ),
        (lambda: DampedKronecker(EYE, EYE, 1.0).sqrt().sqrt(), InputError, "no square root in closed form"),
        (lambda: DampedKronecker(EYE, EYE, 1.0).sqrt().inverse_sqrt(), InputError, "no inverse square root"),
    ],
)
def test_messages(call, error, pattern):
    with pytest.raises(error, match=pattern):
        call()
