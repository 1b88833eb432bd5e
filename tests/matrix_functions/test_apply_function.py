# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""f(A) b by Lanczos against eigenvectors: accuracy, honesty of the estimate, refusals."""

import mpmath
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import randnla
from randnla import BreakdownError, ConvergenceWarning, InputError, NonFiniteError

FUNCTIONS = {
    "sqrt": np.sqrt,
    "inverse_sqrt": lambda x: x**-0.5,
    "log": np.log,
    "exp": np.exp,
    "inverse": lambda x: 1 / x,
}


def hermitian(rng, w, dtype=np.float64):
    X = rng.standard_normal((len(w), len(w)))
    if np.dtype(dtype).kind == "c":
        X = X + 1j * rng.standard_normal(X.shape)
    Q = np.linalg.qr(X)[0]
    A = (Q * w) @ Q.conj().T
    return ((A + A.conj().T) / 2).astype(dtype), Q


def relative(x, truth):
    return float(np.max(np.linalg.norm(x - truth, axis=0) / np.linalg.norm(truth, axis=0)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_named_functions(name, dtype):
    rng = np.random.default_rng(0)
    w = np.linspace(0.5, 20.0, 80) if name != "exp" else np.linspace(-8.0, 1.0, 80)
    A, Q = hermitian(rng, w, dtype)
    b = rng.standard_normal((80, 3)).astype(dtype)
    truth = Q @ (FUNCTIONS[name](w)[:, None] * (Q.conj().T @ b))
    found = randnla.apply_function(name, A, b)
    # The function of a matrix perturbed by rounding: condition numbers below 40 times sqrt(n).
    slack = 400 * np.finfo(dtype).eps
    assert found.info.converged
    assert found.x.dtype == dtype
    assert relative(found.x, truth) <= max(2 * found.info.error_relative, slack)
    one = randnla.apply_function(name, A, b[:, 0])
    assert one.x.shape == (80,)
    assert relative(one.x[:, None], truth[:, :1]) <= max(2 * one.info.error_relative, slack)


@pytest.mark.parametrize("reorthogonalize", [True, False])
@pytest.mark.parametrize("tol", [1e-3, 1e-6])
@pytest.mark.parametrize("name", ["sqrt", "inverse_sqrt", "log", "inverse"])
def test_the_estimate_does_not_take_slow_progress_for_convergence(name, tol, reorthogonalize):
    # Condition 1e3: some steps a digit of progress; differences of iterates alone are less than the error.
    d = np.geomspace(1, 1e3, 500)
    b = np.random.default_rng(1).standard_normal((500, 2))
    truth = FUNCTIONS[name](d)[:, None] * b
    A = randnla.Diagonal(d)
    found = randnla.apply_function(name, A, b, tol=tol, max_iter=450, reorthogonalize=reorthogonalize)
    assert found.info.converged
    error = relative(found.x, truth)
    assert error <= found.info.error_relative <= tol
    assert found.info.error_relative <= 30 * error
    assert found.info.error_estimate >= np.linalg.norm(found.x - truth) / 2
    assert (found.info.certificate, found.info.error_kind) == ("lookahead", "frobenius")


def test_what_is_not_reached_is_said():
    d = np.geomspace(1, 1e8, 1000)
    b = np.ones(1000)
    with pytest.warns(
        ConvergenceWarning, match=r"apply_function: estimated relative error .* after 40 steps"
    ):
        found = randnla.apply_function("inverse_sqrt", randnla.Diagonal(d), b, max_iter=40)
    error = np.linalg.norm(found.x - d**-0.5) / np.linalg.norm(d**-0.5)
    assert found.info.converged is False
    assert found.info.iterations == 40
    assert found.info.error_relative >= error / 2


def test_invariant_subspaces_end_it_exactly():
    w = np.repeat([1.0, 4.0, 9.0], 30)
    A, Q = hermitian(np.random.default_rng(2), w)
    b = np.random.default_rng(3).standard_normal((90, 2))
    b[:, 1] = Q[:, 0]  # an eigenvector, done after one step
    found = randnla.apply_function("sqrt", A, b)
    assert found.info.path == "invariant subspace"
    assert found.info.iterations == 3
    np.testing.assert_allclose(found.x, Q @ (np.sqrt(w)[:, None] * (Q.T @ b)), atol=1e-12)
    assert found.info.matvecs == 2 + 2 + 1 + 1  # for the scale, then columns that are not done


def test_callables_complex_values_and_operators():
    rng = np.random.default_rng(4)
    w = np.linspace(-2, 3, 60)
    A, Q = hermitian(rng, w)
    b = rng.standard_normal(60)
    seen = []
    found = randnla.apply_function(
        lambda x: np.exp(-1j * x), scipy.sparse.linalg.aslinearoperator(A), b, callback=seen.append
    )
    np.testing.assert_allclose(found.x, Q @ (np.exp(-1j * w) * (Q.T @ b)), atol=1e-9)
    assert found.x.dtype == np.complex128
    assert seen
    assert seen[-1].keys() == {"iteration", "error"}
    S = scipy.sparse.diags_array([np.full(59, -1.0), np.full(60, 2.5), np.full(59, -1.0)], offsets=[-1, 0, 1])
    w, V = np.linalg.eigh(S.toarray())
    np.testing.assert_allclose(
        randnla.apply_function("log", S.tocsr(), b).x, V @ (np.log(w) * (V.T @ b)), atol=1e-8
    )


def test_against_mpmath():
    rng = np.random.default_rng(5)
    A, _ = hermitian(rng, np.geomspace(1e-3, 1, 8))
    b = rng.standard_normal(8)
    with mpmath.workdps(40):
        exact = mpmath.sqrtm(mpmath.matrix(A.tolist())) ** -1 * mpmath.matrix(b.tolist())
        exact = np.array([float(mpmath.re(x)) for x in exact])
    x = randnla.apply_function("inverse_sqrt", A, b).x
    # Rounding of A moves the root by u cond^(3/2).
    assert np.linalg.norm(x - exact) <= 100 * 2e-16 * 1e3**1.5 * np.linalg.norm(exact)


def test_trivial_sizes_and_zero_columns():
    for n in (1, 2):
        x = randnla.apply_function("sqrt", 4 * np.eye(n), np.ones(n)).x
        np.testing.assert_allclose(x, 2 * np.ones(n), rtol=1e-15)
    b = np.zeros((5, 3))
    b[:, 1] = 1
    found = randnla.apply_function("log", np.diag(np.arange(1.0, 6.0)), b)
    np.testing.assert_allclose(found.x[:, 1], np.log(np.arange(1.0, 6.0)), atol=1e-13)
    assert not found.x[:, [0, 2]].any()
    nothing = randnla.apply_function("log", np.eye(4), np.zeros(4))
    assert not nothing.x.any()
    assert nothing.info.converged
    assert randnla.apply_function("exp", np.eye(4), np.zeros((4, 0))).x.shape == (4, 0)
    assert randnla.apply_function("exp", np.zeros((0, 0)), np.zeros(0)).x.shape == (0,)


@pytest.mark.parametrize("p", [-600, -3, 7, 500])
def test_powers_of_two_go_through_bit_for_bit(p):
    d, b = np.geomspace(1, 100, 300), np.random.default_rng(6).standard_normal(300)
    x = randnla.apply_function("inverse", randnla.Diagonal(d), b).x
    scaled = randnla.apply_function("inverse", randnla.Diagonal(np.ldexp(d, p)), b).x
    np.testing.assert_array_equal(np.ldexp(scaled, p), x)
    scaled = randnla.apply_function("inverse", randnla.Diagonal(d), np.ldexp(b, p)).x
    np.testing.assert_array_equal(np.ldexp(scaled, -p), x)
    x = randnla.apply_function("sqrt", randnla.Diagonal(d), b).x
    scaled = randnla.apply_function("sqrt", randnla.Diagonal(np.ldexp(d, 2 * (p // 2))), b).x
    np.testing.assert_array_equal(np.ldexp(scaled, -(p // 2)), x)


DIAGONAL = randnla.Diagonal([-1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("call", "error", "pattern"),
    [
        (lambda: randnla.apply_function("log", DIAGONAL, np.ones(3)), BreakdownError, "log .* Ritz value -1"),
        (
            lambda: randnla.apply_function("sqrt", DIAGONAL, np.ones(3)),
            BreakdownError,
            "sqrt .* value -1 of A",
        ),
        (
            lambda: randnla.apply_function("exp", randnla.Diagonal([1.0, 1e4]), np.ones(2)),
            BreakdownError,
            "exp is not finite at the Ritz value 10000",
        ),
        (
            lambda: randnla.apply_function("cosine", DIAGONAL, np.ones(3)),
            InputError,
            "f: expected one of 'sqrt'",
        ),
        (lambda: randnla.apply_function(3, DIAGONAL, np.ones(3)), InputError, "f: expected a function"),
        (
            lambda: randnla.apply_function(lambda x: x[:1], DIAGONAL, np.ones(3)),
            InputError,
            r"f: expected \(3,\)",
        ),
        (lambda: randnla.apply_function(lambda x: "a", DIAGONAL, np.ones(3)), InputError, "f: expected"),
        (
            lambda: randnla.apply_function("exp", np.ones((3, 2)), np.ones(3)),
            InputError,
            "A: expected a square",
        ),
        (
            lambda: randnla.apply_function("exp", np.triu(np.ones((3, 3))), np.ones(3)),
            InputError,
            "Hermitian",
        ),
        (
            lambda: randnla.apply_function(
                "exp", scipy.sparse.csr_array(np.triu(np.ones((30, 30)))), np.ones(30)
            ),
            InputError,
            "A: expected a Hermitian matrix, products with it differ",
        ),
        (lambda: randnla.apply_function("exp", np.eye(3), np.ones(4)), InputError, "b: expected 3 rows"),
        (lambda: randnla.apply_function("exp", np.eye(3), np.ones(3), tol=2.0), InputError, "tol: "),
        (lambda: randnla.apply_function("exp", np.eye(3), np.ones(3), max_iter=0), InputError, "max_iter: "),
        (
            lambda: randnla.apply_function("exp", np.eye(3), np.ones(3), reorthogonalize=1),
            InputError,
            "reorthogonalize: ",
        ),
        (
            lambda: randnla.apply_function("exp", np.eye(3), np.array([1.0, np.nan, np.inf])),
            NonFiniteError,
            "b: 2 entries are NaN or Inf, the first at index 1",
        ),
        (
            lambda: randnla.apply_function("exp", np.diag([1.0, np.nan, 1.0]), np.ones(3)),
            NonFiniteError,
            "A: 1 entry is NaN or Inf",
        ),
    ],
)
def test_refusals_name_the_argument(call, error, pattern):
    with pytest.raises(error, match=pattern):
        call()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_without_the_check_it_neither_hangs_nor_returns_quietly(bad):
    with pytest.raises((BreakdownError, InputError)):
        randnla.apply_function("sqrt", np.diag([1.0, bad, 2.0]), np.ones(3), check_finite=False)


# -- matrices near the edge ---------------------------------------------------------------------------


def _kernel():
    x = np.arange(60) / 60
    return np.exp(-((x[:, None] - x) ** 2) / 0.02)


@pytest.mark.filterwarnings("ignore::randnla.ConvergenceWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [60, 300])
def test_hermitian_matrices_of_any_condition_are_taken(n, dtype):
    # Late basis vectors are in directions that A maps to rounding: its size says nothing about symmetry.
    for seed in range(10):
        rng = np.random.default_rng(seed)
        for cond in (1e8, 1e10, 1e12):
            A, _ = hermitian(rng, np.geomspace(1 / cond, 1, n), dtype)
            x = randnla.apply_function(
                "exp", A, rng.standard_normal(n).astype(dtype), tol=1e-14, max_iter=60
            ).x
            assert np.isfinite(x).all()
        if n == 60:
            b = rng.standard_normal(n)
            root = randnla.apply_function("sqrt", _kernel(), b)
            twice = randnla.apply_function("sqrt", _kernel(), root.x).x
            # sqrt of eigenvalues that are rounding is off by the root of that.
            assert np.linalg.norm(twice - _kernel() @ b) <= 1e-7 * np.linalg.norm(b)


@pytest.mark.parametrize("n", [10, 60, 300])
def test_nonsymmetric_products_are_caught(n):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        A = scipy.sparse.linalg.aslinearoperator(rng.standard_normal((n, n)) / np.sqrt(n))
        with pytest.raises(InputError, match="A: expected a Hermitian matrix, products with it differ"):
            randnla.apply_function("exp", A, rng.standard_normal(n))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["inverse", "inverse_sqrt", "log"])
def test_functions_singular_at_zero_refuse_singular_matrices(name, dtype):
    singular = np.ones((3, 3), dtype)
    # Rounding leaves Ritz values of 1e-17 and either sign.
    for b in ([1.0, 2.0, 4.0], [3.0, -1.0, 0.5]):
        with pytest.raises(BreakdownError, match=f"f: {name} is not finite at"):
            randnla.apply_function(name, singular, np.array(b, dtype))
    X = np.random.default_rng(0).standard_normal((200, 5))
    with pytest.raises(BreakdownError, match=f"f: {name} is not finite at"):
        randnla.apply_function(name, (X @ X.T).astype(dtype), X[:, 0].astype(dtype) + dtype(1))


@pytest.mark.parametrize("f", [lambda x: 1 / x, lambda x: np.abs(x) ** -0.5, np.sign])
def test_callables_singular_at_zero_are_not_called_converged(f):
    A = np.ones((3, 3))
    with np.errstate(all="ignore"), pytest.warns(ConvergenceWarning, match="estimated relative error"):
        found = randnla.apply_function(f, A, np.array([1.0, 2.0, 4.0]))
    assert found.info.converged is False
    assert found.info.path == "invariant subspace"


@pytest.mark.parametrize("cond", [1e3, 1e6, 1e8])
@pytest.mark.parametrize("name", ["inverse", "inverse_sqrt", "log", "sqrt"])
def test_the_estimate_knows_what_rounding_makes_of_the_function(name, cond):
    exact = {
        "inverse": lambda x: 1 / x,
        "inverse_sqrt": lambda x: 1 / mpmath.sqrt(x),
        "log": mpmath.log,
        "sqrt": mpmath.sqrt,
    }[name]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        A, _ = hermitian(rng, np.geomspace(1 / cond, 1, 12))
        b = rng.standard_normal(12)
        b = A @ b if seed == 2 else b  # little in the directions that matter most
        with mpmath.workdps(40):
            w, V = mpmath.eigsy(mpmath.matrix(A.tolist()))
            inner = V.T * mpmath.matrix(b.tolist())
            truth = V * mpmath.matrix([exact(w[i]) * inner[i] for i in range(12)])
            truth = np.array([float(x) for x in truth])
        found = randnla.apply_function(name, A, b, tol=1e-5)
        error = np.linalg.norm(found.x - truth) / np.linalg.norm(truth)
        assert error <= 4 * found.info.error_relative
        # A bound from above, too: cond u and what is lost to caution.
        if found.info.path == "invariant subspace":
            assert found.info.error_relative <= 1e-14 * cond
        assert found.info.converged


def test_ritz_values_cross_zero_inside_an_indefinite_spectrum():
    d = np.concatenate([-np.linspace(1, 2, 40), np.linspace(1, 2, 40)])
    # Symmetric about zero: every odd step has a Ritz value there, and compares at steps 5, 15, 25.
    found = randnla.apply_function("inverse", randnla.Diagonal(d), np.ones(80))
    np.testing.assert_allclose(found.x, 1 / d, atol=1e-9)
    with pytest.raises(BreakdownError, match="a Ritz value of A is zero to rounding"):
        randnla.apply_function("inverse", randnla.Diagonal(d), np.ones(80), max_iter=5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_denormal_numbers_are_numbers(dtype):
    small = 64 * np.finfo(dtype).smallest_subnormal
    b = np.full(3, small, dtype)
    found = randnla.apply_function("exp", np.eye(3, dtype=dtype), b).x
    np.testing.assert_allclose(found, np.e * b, rtol=0.02)
    A = (small * np.eye(3)).astype(dtype)
    found = randnla.apply_function("inverse_sqrt", A, np.ones(3, dtype)).x
    np.testing.assert_allclose(found, np.full(3, float(small) ** -0.5), rtol=0.02)


@pytest.mark.parametrize("n", [60, 300, 1000])
def test_roots_of_singular_matrices_are_limited_by_rounding(n):
    """A change of A by u moves the root of a zero eigenvalue by u^(1/2): a tolerance above that is met."""
    rng = np.random.default_rng(30)
    w = np.concatenate([np.zeros(n // 2), np.linspace(0.1, 1, n - n // 2)])
    V = np.linalg.qr(rng.standard_normal((n, n)))[0]
    A, b = (V * w) @ V.T, rng.standard_normal(n)
    A, truth = (A + A.T) / 2, (V * np.sqrt(w)) @ (V.T @ b)
    with pytest.warns(ConvergenceWarning, match="of which rounding of A makes"):
        limited = randnla.apply_function("sqrt", A, b)
    assert 1e-10 < limited.info.error_relative < 1e-7
    found = randnla.apply_function("sqrt", A, b, tol=1e-7)
    assert found.info.converged
    for x in (limited.x, found.x):
        assert np.linalg.norm(x - truth) <= 1e-7 * np.linalg.norm(truth)
