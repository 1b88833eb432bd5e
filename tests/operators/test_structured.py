# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Closed forms of structured operators against LAPACK on the matrix they stand for."""

import numpy as np
import pytest
from cases import BACKENDS, STRUCTURED

from randnla import BreakdownError, InputError
from randnla.operators import (
    Dense,
    Diagonal,
    DiagonalPlusLowRank,
    Kronecker,
    KroneckerSum,
    LowRank,
    RowStream,
)
from randnla.operators.factored import is_hermitian

DTYPES = (np.float32, np.float64, np.complex64, np.complex128)
# Forms that a class has not, by design.
WITHOUT = {
    "inverse": {"LowRank", "Sum"},
    "slogdet": {"Sum"},
    "condition": {"Sum"},
}
# Hermitian positive definite rows, which have roots.
ROOTS = (
    "Dense_definite",
    "Diagonal",
    "DiagonalPlusLowRank_constant",
    "Kronecker",
    "KroneckerSum",
    "DampedKronecker",
    "DampedKronecker_exact",
    "DampedKronecker_relative",
    "DampedKronecker_low_rank",
    "DampedKronecker_mixed",
    "Scaled",
)


def make(name, dtype):
    op, A = STRUCTURED[name](np.random.default_rng(1), dtype)
    # Rounding: the condition numbers are below 1e3 and sizes below 25.
    return op, A, 2e3 * np.finfo(dtype).eps


def close(got, expected, slack):
    scale = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=slack * scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", STRUCTURED)
def test_products_and_transposes(name, dtype):
    op, A, slack = make(name, dtype)
    rng = np.random.default_rng(2)
    assert op.shape == A.shape
    assert op.dtype == dtype
    X = rng.standard_normal((A.shape[1], 3)).astype(dtype)
    for got, expected in (
        (op @ X, A @ X),
        (op @ X[:, 0], A @ X[:, 0]),
        (op.rmatmat(X), A.conj().T @ X),
        (X.T @ op, X.T @ A),
        (op.T @ X, A.T @ X),
        (op.H @ X, A.conj().T @ X),
        (op.H.rmatmat(X), A @ X),
        (op.to_dense(), A),
        (op.diag(), np.diagonal(A)),
        (op.T.to_dense(), A.T),
        ((op @ op.H).to_dense(), A @ A.conj().T),
    ):
        assert got.dtype == dtype
        close(got, expected, slack)
    close(op.trace(), np.trace(A), slack * len(A))
    close(op.quadform(X), np.einsum("ij,ij->j", X.conj(), A @ X), slack)
    close(op.quadform(X[:, 0]), X[:, 0].conj() @ A @ X[:, 0], slack)
    norm = op.frobenius_norm()
    assert norm is None or norm == pytest.approx(np.linalg.norm(A), rel=float(1e3 * np.finfo(dtype).eps))
    # Complex right-hand sides of real operators and float32 ones of double stay what they are.
    close(op @ (X[:, 0] + 1j), A @ (X[:, 0] + 1j), slack)
    stack = rng.standard_normal((2, 3, len(A), 4)).astype(dtype)
    for given in (stack, stack - 2j * stack[::-1]):
        for got, expected in (
            (op @ given, A @ given),
            (op.rmatmat(given), A.conj().T @ given),
            (op.T @ given, A.T @ given),
            (op.quadform(given), np.einsum("abij,abij->abj", given.conj(), A @ given)),
        ):
            assert got.shape == expected.shape
            close(got, expected, slack)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in STRUCTURED if name not in WITHOUT["inverse"]])
def test_solves_and_inverses(name, dtype):
    op, A, slack = make(name, dtype)
    inverse, B = op.inverse(), np.random.default_rng(3).standard_normal((len(A), 2)).astype(dtype)
    assert inverse.shape == op.shape
    assert inverse.dtype == dtype
    exact = np.linalg.inv(A.astype(np.complex128))
    close(inverse.to_dense(), exact, slack)
    close(inverse.H.to_dense(), exact.conj().T, slack)
    close(inverse.inverse().to_dense(), A, slack)
    close(op.solve(B), exact @ B, slack)
    close(op.solve(B[:, 0]), exact @ B[:, 0], slack)
    stack = np.stack([B, -2 * B, 1j * B if np.iscomplexobj(B) else B / 2])[None]
    assert op.solve(stack).shape == stack.shape
    close(op.solve(stack), exact @ stack, slack)
    close(op.solve(stack + 1j), exact @ (stack + 1j), slack)
    close(inverse.diag(), np.diagonal(exact), slack)
    sign, value = inverse.slogdet()
    expected = np.linalg.slogdet(exact)
    close(sign, expected.sign, slack)
    close(value, expected.logabsdet, slack)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in STRUCTURED if name not in WITHOUT["slogdet"]])
def test_determinants_and_condition_numbers(name, dtype):
    op, A, slack = make(name, dtype)
    s = np.linalg.svd(A.astype(np.complex128), compute_uv=False)
    if name == "LowRank":
        assert op.slogdet() == (0.0, -np.inf)
        assert op.condition() == np.inf
        return
    sign, value = op.slogdet()
    expected = np.linalg.slogdet(A.astype(np.complex128))
    close(sign, expected.sign, slack)
    close(value, expected.logabsdet, slack)
    if expected.sign.real > 0 and abs(expected.sign.imag) < 1e-6:
        assert op.logdet() == value
    else:
        with pytest.raises(BreakdownError, match="expected a positive determinant"):
            op.logdet()
    cond = s[0] / s[-1]
    # Bounds, of factors.
    loose = name in (
        "Product",
        "DiagonalPlusLowRank",
        "Transposed",
        "TwoTermKronecker",
        "SqrtUpdate",
        "SqrtUpdate_found",
    )
    assert cond * (1 - slack) <= op.condition() <= cond * (10 if loose else 1 + slack)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROOTS)
def test_roots(name, dtype):
    op, A, slack = make(name, dtype)
    w, V = np.linalg.eigh(A.astype(np.complex128))
    for root, values in ((op.sqrt(), np.sqrt(w)), (op.inverse_sqrt(), 1 / np.sqrt(w))):
        assert root.dtype == dtype
        close(root.to_dense(), (V * values) @ V.conj().T, slack)


def test_kronecker_of_rectangular_and_single_factors():
    rng = np.random.default_rng(4)
    A, B, C = rng.standard_normal((2, 5)), rng.standard_normal((4, 3)), rng.standard_normal((3, 3))
    K, whole = Kronecker(A, B, C), np.kron(np.kron(A, B), C)
    for k in (1, 2, 40):
        X, Y = rng.standard_normal((45, k)), rng.standard_normal((24, k))
        np.testing.assert_allclose(K @ X, whole @ X, atol=1e-12)
        np.testing.assert_allclose(K.rmatmat(Y), whole.T @ Y, atol=1e-12)
    V = rng.standard_normal((5, 9))
    np.testing.assert_allclose(K @ V.ravel(), (A @ V @ np.kron(B, C).T).ravel(), atol=1e-12)
    np.testing.assert_array_equal(Kronecker(A).to_dense(), A)
    for call in (K.diag, K.trace, K.inverse, K.slogdet):
        with pytest.raises(InputError, match=r"factors\[0\]: .* needs square factors, got shape \(2, 5\)"):
            call()


def test_woodbury_in_float32_solves_to_float32():
    # The capacitance is formed and factored in float64: its condition, 1e5 here, costs no digits of it.
    rng = np.random.default_rng(5)
    U = (rng.standard_normal((500, 20)) * 10.0 ** -np.linspace(0, 2, 20)).astype(np.float32)
    A = DiagonalPlusLowRank(0.1, U)
    exact = 0.1 * np.eye(500) + U.astype(np.float64) @ U.T.astype(np.float64)
    b = rng.standard_normal(500)
    x = A.solve(b.astype(np.float32))
    truth = np.linalg.solve(exact, b)
    assert np.linalg.norm(x - truth) <= 100 * np.finfo(np.float32).eps * np.linalg.norm(truth)


@pytest.mark.parametrize(
    ("call", "error", "pattern"),
    [
        (lambda: Diagonal([1.0, 0.0]).inverse(), BreakdownError, "singular, entry 1 of d is zero"),
        (lambda: Diagonal([1.0, -2.0]).sqrt(), BreakdownError, "needs a positive semidefinite operator"),
        (lambda: Diagonal([1.0, 0.0]).inverse_sqrt(), BreakdownError, "needs a positive definite operator"),
        (lambda: Diagonal([1.0 + 1j]).sqrt(), BreakdownError, "Hermitian"),
        (lambda: Diagonal(np.ones((2, 2))), InputError, "d: expected 1 dimensions"),
        (lambda: LowRank(np.ones((3, 2)), np.ones(3)), InputError, r"C: expected shape \(2,\) or \(2, 2\)"),
        (lambda: LowRank(np.ones((3, 2)), V=np.ones((3, 1))), InputError, "V: expected 2 columns"),
        (lambda: LowRank(np.ones((3, 2))).inverse(), InputError, "no inverse in closed form"),
        (lambda: DiagonalPlusLowRank([1.0], np.ones((3, 2))), InputError, "d: expected 3 entries"),
        (lambda: DiagonalPlusLowRank("a", np.ones((3, 2))), InputError, "d: "),
        (
            lambda: DiagonalPlusLowRank(1.0, np.ones((3, 1)), V=np.ones((2, 1))),
            InputError,
            "V: expected 3 rows",
        ),
        (
            lambda: DiagonalPlusLowRank([1.0, 0.0, 1.0], np.ones((3, 1))).inverse(),
            BreakdownError,
            "entry 1 of d is zero",
        ),
        (
            lambda: DiagonalPlusLowRank(1.0, np.eye(3)[:, :1], [-1.0]).inverse(),
            BreakdownError,
            "singular, pivot 0 of the capacitance",
        ),
        (
            lambda: DiagonalPlusLowRank([1.0, 2.0], np.ones((2, 1))).sqrt(),
            InputError,
            "needs a constant real d",
        ),
        (
            lambda: DiagonalPlusLowRank(1.0, np.eye(3)[:, :1], [-2.0]).sqrt(),
            BreakdownError,
            "needs a positive semidefinite operator",
        ),
        (lambda: Kronecker(), InputError, "factors: expected at least one"),
        (lambda: Kronecker(np.ones(3)), InputError, r"factors\[0\]: expected 2 dimensions"),
        (lambda: KroneckerSum(np.eye(2), np.ones((2, 3))), InputError, "B: expected a square matrix"),
        (
            lambda: KroneckerSum(np.eye(2), np.triu(np.ones((2, 2)))).inverse(),
            InputError,
            "expected a Hermitian matrix",
        ),
        (lambda: Kronecker(RowStream(np.eye(2)), np.eye(2)).inverse(), InputError, "got a RowStream"),
        (lambda: Dense(np.zeros((2, 2))).inverse(), BreakdownError, "singular, pivot 0"),
        (lambda: Dense(np.ones((2, 3))).inverse(), InputError, "needs a square operator"),
        (lambda: (0.0 * Dense(np.eye(2))).inverse(), BreakdownError, "singular"),
        (lambda: (-1.0 * Dense(np.eye(2))).sqrt(), BreakdownError, "nonnegative factor"),
        (lambda: (Dense(np.ones((2, 3))) @ Dense(np.ones((3, 2)))).inverse(), InputError, "square factors"),
    ],
)
def test_what_has_no_closed_form_says_so(call, error, pattern):
    with pytest.raises(error, match=pattern):
        call()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", STRUCTURED)
def test_solutions_are_of_the_kind_of_what_is_given(name, backend):
    op, A, _ = make(name, np.float64)
    B = np.random.default_rng(0).standard_normal((len(A), 2))
    calls = [
        (call, X)
        for call in (op.__matmul__, op.matmat, op.rmatmat, op.T.matmat, op.H.matmat, op.matvec, op.rmatvec)
        for X in (B, B[:, 0].copy())
    ]
    calls += [(op.quadform, B), (op.__rmatmul__, B.T.copy())]
    if name not in WITHOUT["inverse"]:
        inverse = op.inverse()
        calls += [
            (call, X) for call in (op.solve, inverse.matmat, inverse.rmatmat) for X in (B, B[:, 0].copy())
        ]
    if name in ROOTS:
        calls += [(root.matmat, B) for root in (op.sqrt(), op.inverse_sqrt())]
    if name.startswith("DampedKronecker"):
        V = B.T.reshape(2, op.left.order, op.right.order).copy()
        calls += [(op.solve_matrix, V), (op.apply_matrix, V)]
    for call, x in calls:
        given = BACKENDS[backend](x)
        got = call(given)
        assert type(got) is type(given)
        np.testing.assert_array_equal(np.asarray(got), call(x))


def test_singular_operators_have_no_logarithm():
    assert Diagonal([1.0, 0.0]).slogdet() == (0.0, -np.inf)
    assert Dense(np.zeros((2, 2))).slogdet() == (0.0, -np.inf)
    with pytest.raises(BreakdownError, match=r"sign 0\.0"):
        Diagonal([1.0, 0.0]).logdet()
    assert Diagonal([1.0, 0.0]).condition() == np.inf
    assert Diagonal([0.0, 4.0]).sqrt().diag().tolist() == [0.0, 2.0]


def test_low_rank_factors_are_not_copied():
    U = np.ones((5, 2))
    assert DiagonalPlusLowRank(2.0, U).low.U is U
    assert DiagonalPlusLowRank(2.0, U).inverse().low.U is U


@pytest.mark.parametrize("n", [1, 255, 256, 257, 600])
def test_one_entry_that_differs_is_seen_wherever_it_stands(n):
    rng = np.random.default_rng(n)
    A = rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n))
    A = A + A.conj().T
    assert is_hermitian(A)
    assert is_hermitian(A.real)
    for i, j in [(0, 0), (n - 1, n - 1), (0, n - 1), (n - 1, 0), (n // 2, n // 3)]:
        for wrong in (1e-9j, np.nan):
            B = A.copy()
            B[i, j] += wrong
            assert not is_hermitian(B)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("name", STRUCTURED)
def test_laws_of_the_algebra(name, dtype):
    """Of sums, products, multiples, adjoints and transposes, and of what they pass on in closed form."""
    op, A, slack = make(name, dtype)
    rng, n = np.random.default_rng(4), len(A)
    X, Y = (random_block(rng, dtype, n) for _ in range(2))
    other = Diagonal(rng.uniform(1, 2, n).astype(dtype))
    factor = -2.5 if dtype is np.float64 else 1.5 - 2j
    close((op @ X).conj().ravel() @ Y.ravel(), X.conj().ravel() @ op.rmatmat(Y).ravel(), slack * n)
    for left, right in (
        (op @ (X + factor * Y), op @ X + factor * (op @ Y)),
        ((op @ other).H @ X, other.H @ (op.H @ X)),
        ((op + other).H @ X, op.H @ X + other.H @ X),
        ((op - other) @ X, op @ X - other @ X),
        ((factor * op).H @ X, np.conj(factor) * (op.H @ X)),
        ((op @ other).T @ X, other.T @ (op.T @ X)),
        (op.T.T @ X, op @ X),
        (op.H.H @ X, op @ X),
        (op.T.H @ X, A.conj() @ X),
        ((factor * op).diag(), factor * op.diag()),
        ((op + other).diag(), op.diag() + other.diag()),
        ((op @ other).diag(), op.diag() * other.diag()),
        ((factor * op).trace(), factor * op.trace()),
        (op.H.trace(), np.conj(op.trace())),
    ):
        close(left, right, slack * n)
    if name not in WITHOUT["inverse"]:
        for left, right in (
            ((op @ other).inverse() @ X, other.solve(op.solve(X))),
            ((factor * op).solve(X), op.solve(X) / factor),
            (op.T.solve(X), np.linalg.solve(A.T, X)),
            (op.solve(op @ X), X),
        ):
            close(left, right, slack * n)
        (s, v), (t, w) = op.slogdet(), other.slogdet()
        for made, sign, value in (
            (op @ other, s * t, v + w),
            (factor * op, s * (factor / abs(factor)) ** n, v + n * np.log(abs(factor))),
            (op.H, np.conj(s), v),
            (op.T, s, v),
        ):
            close(made.slogdet()[0], sign, slack * n)
            close(made.slogdet()[1], value, slack * n)
    if name in ROOTS:
        root, inverse_root = op.sqrt(), op.inverse_sqrt()
        for left, right in (
            (root @ (root @ X), op @ X),
            (inverse_root @ (root @ X), X),
            (op.T.sqrt() @ X, root.T @ X),
            (op.T.inverse_sqrt() @ X, inverse_root.T @ X),
            (op.H.sqrt() @ X, root @ X),
        ):
            close(left, right, slack * n)


def random_block(rng, dtype, n):
    X = rng.standard_normal((n, 3))
    return (X + 1j * rng.standard_normal((n, 3)) if dtype is np.complex128 else X).astype(dtype)
