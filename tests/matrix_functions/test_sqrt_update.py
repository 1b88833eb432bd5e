# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Roots under low-rank changes: all four variants, every kind of root, certificates, chains, refusals."""

import pickle

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import scipy.stats
from cases import ALPHA

import randnla
from randnla import (
    BreakdownError,
    ConvergenceWarning,
    Diagonal,
    DiagonalPlusLowRank,
    InputError,
    Kronecker,
    KroneckerSum,
    NonFiniteError,
    Sparse,
    sqrt_update,
)
from randnla.matrix_functions import SqrtUpdate, sqrt_update_rank
from randnla.operators import Dense

VARIANTS = [(1, False), (-1, True), (1, True), (-1, False)]
EPS = np.finfo(np.float64).eps


def power(A, exponent):
    w, V = np.linalg.eigh(A)
    return (V * w**exponent) @ V.conj().T


def gaussian(rng, dtype, *shape):
    X = rng.standard_normal(shape)
    return (X + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else X).astype(dtype)


def definite(rng, n, dtype=np.float64):
    X = gaussian(rng, dtype, n, 3 * n)
    return (X @ X.conj().T / n).astype(dtype)


def tridiagonal(n):
    off = np.full(n - 1, -1.0)
    return scipy.sparse.diags_array([off, np.full(n, 2.5), off], offsets=[-1, 0, 1]).tocsr()


def _wrapped(rng):
    A = definite(rng, 60)
    return randnla.as_operator(scipy.sparse.linalg.aslinearoperator(A))


ROOTS = {
    "Dense": lambda rng: Dense(definite(rng, 60)),
    "Dense_complex": lambda rng: Dense(definite(rng, 40, np.complex128)),
    "array": lambda rng: definite(rng, 60),
    "Diagonal": lambda rng: Diagonal(rng.uniform(1, 10, 60)),
    "identity": lambda rng: Diagonal(np.full(60, 3.0)),
    "DiagonalPlusLowRank": lambda rng: DiagonalPlusLowRank(
        rng.uniform(1, 3, 60), rng.standard_normal((60, 3)) / 4
    ),
    "DiagonalPlusLowRank_indefinite_d": lambda rng: DiagonalPlusLowRank(
        np.r_[-0.1, rng.uniform(1, 3, 59)], np.eye(60)[:, :1], [1.0]
    ),
    "DiagonalPlusLowRank_constant": lambda rng: DiagonalPlusLowRank(
        2.0, rng.standard_normal((60, 3)) / 4, [1, 2, -0.5]
    ),
    "Kronecker": lambda rng: Kronecker(definite(rng, 10), Diagonal(rng.uniform(1, 2, 6))),
    "KroneckerSum": lambda rng: KroneckerSum(definite(rng, 10), definite(rng, 6)),
    "Sparse": lambda rng: Sparse(tridiagonal(60)),
    "Scaled_Diagonal": lambda rng: 3.0 * Diagonal(rng.uniform(1, 10, 60)),
    "Scaled_Kronecker": lambda rng: 3.0 * Kronecker(definite(rng, 10), definite(rng, 6)),
    "Scaled_constant": lambda rng: 0.3 * DiagonalPlusLowRank(2.0, rng.standard_normal((60, 3)) / 4),
    "Scaled_Sparse": lambda rng: 5.0 * Sparse(tridiagonal(60)),
    "Scaled_Dense": lambda rng: 0.25 * Dense(definite(rng, 60)),
    "Sum": lambda rng: Dense(definite(rng, 60)) + Diagonal(np.ones(60)),
    "Wrapped": _wrapped,
    "SqrtUpdate": lambda rng: sqrt_update(Diagonal(rng.uniform(1, 10, 200)), rng.standard_normal((200, 2))),
}
PATHS = {
    "Dense": "eigenvalues",
    "Diagonal": "eigenvalues",
    "identity": "constant plus low rank",
    "DiagonalPlusLowRank": "eigenvalues and Woodbury",
    "DiagonalPlusLowRank_constant": "constant plus low rank",
    "Scaled_constant": "constant plus low rank",
    "Kronecker": "eigenvalues",
    "Scaled_Kronecker": "eigenvalues",
    "KroneckerSum": "eigenvalues",
    "Sparse": "sparse factors",
    "Scaled_Sparse": "sparse factors",
    "SqrtUpdate": "eigenvalues and Woodbury",
}
# Of the four variants in turn: the condition of both roots, and so the number of poles, differs.
MIXED = ("rational", "rational", "dense", "rational")
METHODS = dict.fromkeys(ROOTS, MIXED) | {
    "Dense_complex": ("dense",) * 4,
    "identity": ("exact",) * 4,
    "DiagonalPlusLowRank_indefinite_d": ("rational",) * 4,
    "DiagonalPlusLowRank_constant": ("exact",) * 4,
    "Kronecker": ("rational", "dense", "dense", "dense"),
    "Scaled_Kronecker": ("dense",) * 4,
    "Scaled_constant": ("exact",) * 4,
    "Scaled_Dense": ("dense", "rational", "rational", "rational"),
    "Sum": ("rational",) * 4,
    "SqrtUpdate": ("rational",) * 4,
}


def problem(root, sign, inverse, rng, r=2):
    """The dense root, Z inside the cone, the root after the change, and the matrix it is the root of."""
    P = root.to_dense() if hasattr(root, "to_dense") else np.asarray(root)
    P = P.astype(np.result_type(P, np.float64))
    A = np.linalg.inv(P @ P) if inverse else P @ P
    Z = gaussian(rng, P.dtype, len(P), r)
    if sign < 0:
        Z = Z * np.sqrt(0.6 / np.linalg.eigvalsh(Z.conj().T @ np.linalg.solve(A, Z))[-1])
    B = A + sign * Z @ Z.conj().T
    return P, Z, power(B, -0.5 if inverse else 0.5), np.linalg.inv(B) if inverse else B


@pytest.mark.parametrize(("sign", "inverse"), VARIANTS)
@pytest.mark.parametrize("name", ROOTS)
def test_every_kind_of_root(name, sign, inverse):
    rng = np.random.default_rng(0)
    root = ROOTS[name](rng)
    P, Z, truth, target = problem(root, sign, inverse, rng)
    found = sqrt_update(root, Z, sign=sign, inverse=inverse, tol=1e-9)
    dense = found.to_dense()
    # The certificate is the truth, computed from factors.
    true = np.linalg.norm(dense @ dense - target) / np.linalg.norm(target)
    if name != "SqrtUpdate":
        assert abs(found.info.residual - true) <= 0.1 * true + 1e-11
    assert found.info.converged
    # |dX| <= |R| / (2 lambda_min) for the worst of the four.
    low = min(np.linalg.eigvalsh(P)[0], np.linalg.eigvalsh(truth)[0])
    bound = found.info.error_estimate / (2 * low)
    assert np.linalg.norm(dense - truth) <= 2 * bound + 1e-10 * np.linalg.norm(truth)
    np.testing.assert_allclose(found.Y.conj().T @ found.Y, np.eye(found.rank), atol=1e-11)
    if name in PATHS:
        assert found.info.path.endswith(", " + PATHS[name])
    # "auto" is "dense" where rational Krylov would need a basis of half the space, 30 of 60 here.
    assert found.info.method == METHODS[name][VARIANTS.index((sign, inverse))]


@pytest.mark.parametrize(("sign", "inverse"), VARIANTS)
@pytest.mark.parametrize(("method", "tol"), [("rational", 1e-10), ("dense", 1e-10), ("riemannian", 1e-5)])
def test_methods_agree(method, tol, sign, inverse):
    rng = np.random.default_rng(1)
    d = np.geomspace(1, 1e2, 120)
    root = Diagonal(d ** (-0.5 if inverse else 0.5))
    P, Z, truth, _ = problem(root, sign, inverse, rng, 3)
    found = sqrt_update(root, Z, sign=sign, inverse=inverse, tol=tol, method=method)
    assert (found.info.method, found.info.converged) == (method, True)
    assert found.info.error_relative <= tol
    # Measured: 1 to 10 times tol.
    assert np.linalg.norm(found.to_dense() - truth) <= 100 * tol * np.linalg.norm(truth - P)


@pytest.mark.parametrize(("kappa", "bound"), [(1e2, 1e-6), (1e4, 1e-5), (1e6, 1e-5)])
def test_sixteen_blocks_of_rational_krylov(kappa, bound):
    """Acceptance 16, with a bar for condition 1e6: the forward error relative to |X| at 16 poles."""
    from randnla.matrix_functions.known import known_root
    from randnla.matrix_functions.problem import pose
    from randnla.matrix_functions.riccati import RationalBasis, poles

    rng = np.random.default_rng(2)
    d = np.geomspace(1, kappa, 300)
    known = known_root(Diagonal(np.sqrt(d)))
    task = pose(known, rng.standard_normal((300, 3)), 1, inverse=False)
    basis = RationalBasis(known, task.start, product=known)
    for s in poles(*known.interval, 16):
        assert basis.extend(float(s))
    Y, x = task.on(basis.V, basis.PV)
    P = known.apply(np.eye(300))
    truth = power(P @ P + task.W @ task.W.T, 0.5) - P
    # Poles spread evenly on a logarithmic scale give 1e-8, 2e-6 and 2e-5.
    assert np.linalg.norm((Y * x) @ Y.T - truth) <= bound * 1e-1 * np.linalg.norm(truth)
    np.testing.assert_allclose(basis.V.T @ basis.V, np.eye(basis.V.shape[1]), atol=1e-12)


def test_the_small_equation_is_solved_to_relative_accuracy():
    """A change of 1e-12 of the matrix: the difference of two roots would be rounding alone."""
    d = np.linspace(1, 2, 50)
    z = 1e-6 * np.random.default_rng(3).standard_normal(50)
    truth = np.outer(z, z) / np.add.outer(d, d)  # to first order
    for method in ("rational", "dense"):
        root = sqrt_update(Diagonal(d), z, tol=1e-8, method=method)
        X = (root.Y * root.weights) @ root.Y.T
        assert np.linalg.norm(X - truth) <= 1e-7 * np.linalg.norm(truth)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_single_precision_is_worked_in_double(dtype):
    rng = np.random.default_rng(4)
    d = np.geomspace(1, 1e4, 150).astype(np.float32)
    Z = gaussian(rng, dtype, 150, 2)
    for sign, inverse in ((1, False), (1, True)):
        root = Diagonal(1 / np.sqrt(d) if inverse else np.sqrt(d))
        found = sqrt_update(root, Z, sign=sign, inverse=inverse)
        P, wide = root.to_dense().astype(np.float64), Z.astype(np.complex128)
        A = np.linalg.inv(P @ P) if inverse else P @ P
        truth = power(A + wide @ wide.conj().T, -0.5 if inverse else 0.5)
        assert found.dtype == dtype
        assert found.info.converged
        assert np.linalg.norm(found.to_dense() - truth) <= 2e-3 * np.linalg.norm(truth - P)


def test_rank_caps_and_both_at_once():
    rng = np.random.default_rng(5)
    root, Z = Diagonal(np.geomspace(1, 50, 200)), rng.standard_normal((200, 2))
    whole = sqrt_update(root, Z, tol=1e-9)
    capped = sqrt_update(root, Z, rank=6)
    assert (capped.rank, capped.info.converged) == (6, True)
    # The leading part of the solution.
    np.testing.assert_allclose(capped.weights, whole.weights[:6], rtol=1e-6)
    assert capped.info.residual > whole.info.residual
    with pytest.warns(ConvergenceWarning, match=r"exceeds tol=1e-09 at rank 6"):
        both = sqrt_update(root, Z, rank=6, tol=1e-9)
    assert (both.rank, both.info.converged) == (6, False)
    assert sqrt_update(root, Z, rank=0).rank == 0
    assert sqrt_update(root, Z, rank=100, tol=1e-9).rank == whole.rank


def test_the_rank_is_the_least_that_meets_the_tolerance():
    rng = np.random.default_rng(6)
    d, Z = np.geomspace(1, 100, 150), rng.standard_normal((150, 2))
    P, B = np.diag(d), np.diag(d**2) + Z @ Z.T
    found = sqrt_update(Diagonal(d), Z, tol=1e-6)
    U, s, _ = np.linalg.svd(power(B, 0.5) - P)

    def residual(q):
        root = P + (U[:, :q] * s[:q]) @ U[:, :q].T
        return np.linalg.norm(root @ root - B) / np.linalg.norm(Z @ Z.T)

    assert residual(found.rank) <= 1.1e-6
    assert residual(found.rank - 1) > 1e-6


@pytest.mark.parametrize(
    ("Z", "rank"),
    [
        (np.zeros((30, 3)), 0),
        (np.zeros((30, 0)), 0),
        (np.outer(np.ones(30), [1.0, -2.0, 0.0]), None),
        (np.ones(30), None),
    ],
)
def test_zero_empty_and_rank_deficient_changes(Z, rank):
    d = np.linspace(1, 4, 30)
    for sign, inverse in VARIANTS:
        small = Z * 0.01
        found = sqrt_update(Diagonal(d), small, sign=sign, inverse=inverse, tol=1e-9)
        assert found.info.converged
        if rank is not None:
            assert (found.rank, found.info.residual) == (rank, 0.0)
            np.testing.assert_array_equal(found.to_dense(), np.diag(d))
            continue
        A = np.diag(d**-2 if inverse else d**2)
        block = small.reshape(30, -1)
        truth = power(A + sign * block @ block.T, -0.5 if inverse else 0.5)
        np.testing.assert_allclose(found.to_dense(), truth, atol=1e-8)


def test_singular_roots_can_grow_only():
    d = np.r_[np.zeros(3), np.geomspace(1, 30, 60)]
    z = np.random.default_rng(7).standard_normal((63, 2))
    found = sqrt_update(Diagonal(d), z, tol=1e-6)
    assert found.info.converged
    np.testing.assert_allclose(found @ (found @ np.eye(63)), np.diag(d**2) + z @ z.T, atol=1e-4)
    for sign, inverse in VARIANTS[2:]:
        with pytest.raises(BreakdownError, match="root: singular"):
            sqrt_update(Diagonal(d), 0.01 * z, sign=sign, inverse=inverse)


@pytest.mark.parametrize("inverse", [False, True])
def test_downdates_past_the_cone_are_refused_with_the_value(inverse):
    seen = []
    d = np.array([1.0, 2.0, 4.0])
    z = np.array([1.5, 0.0, 0.0])
    with pytest.raises(
        BreakdownError, match=r"Z: the downdate leaves the cone, lambda_max.* = 2\.25, expected below 1"
    ):
        sqrt_update(Diagonal(d), z, sign=-1, inverse=inverse, callback=seen.append)
    assert not seen
    with pytest.raises(BreakdownError, match=r"= 1, expected below 1"):
        sqrt_update(Diagonal(d), z / 1.5, sign=-1, inverse=inverse)
    # Just inside it works, and the direction is nearly removed.
    z = z / 1.5 * (1 - 1e-9)
    found = sqrt_update(Diagonal(d), z, sign=-1, inverse=inverse, tol=1e-6)
    value = found.to_dense()[0, 0]
    left = 1 - z[0] ** 2
    assert value == pytest.approx(left ** (-0.5 if inverse else 0.5), rel=1e-4)


@pytest.mark.parametrize("inverse", [False, True])
def test_chains_add_up_their_errors(inverse):
    rng = np.random.default_rng(8)
    d = np.geomspace(1, 100, 300)
    A, base = np.diag(d), Diagonal(d ** (-0.5 if inverse else 0.5))
    root, total = base, 0.0
    held = []
    for i in range(8):
        Z = rng.standard_normal((300, 1))
        sign = -1 if i % 3 == 2 else 1
        Z = held.pop() if sign < 0 else Z
        if sign > 0:
            held.append(Z)
        root = sqrt_update(root, Z, sign=sign, inverse=inverse, tol=1e-7)
        A = A + sign * Z @ Z.T
        assert root.info.converged
        assert root.info.error_estimate >= total or "refreshed" in root.info.path
        total = root.info.error_estimate
        assert root.base is base
    target = np.linalg.inv(A) if inverse else A
    dense = root.to_dense()
    true = np.linalg.norm(dense @ dense - target)
    assert true <= root.info.error_estimate * (1 + 1e-6)
    assert root.info.residual <= 1e-7
    # Of six that came and two that went, four are left.
    assert [(Z.shape[1], s) for Z, s in root.changes] == [(1, 1)] * 4
    # Adding and taking away recompresses: the rank is that of what is left, not of all that came.
    assert root.rank <= 4 * 16


@pytest.mark.parametrize("same", [True, False])
def test_chains_are_refreshed_when_errors_exceed_the_tolerance(same):
    """What was added is taken away again: the error of the large matrix is too large for the small one.

    To the bit, so that the first root is what is left, or as -Z, which only the numbers tell.
    """
    rng = np.random.default_rng(9)
    d = np.geomspace(1, 100, 200)
    root, A = Diagonal(d), np.diag(d**2)
    paths = []
    for _ in range(3):
        Z = 60 * rng.standard_normal((200, 1))
        for sign in (1, -1):
            # With the error of the first step the second leaves the cone, which the matrix itself does not.
            root = sqrt_update(root, Z if same else sign * Z, sign=sign, tol=1e-3)
            A = A + sign * Z @ Z.T
            dense = root.to_dense()
            # A itself is rounded where Z comes and goes.
            slack = 4 * EPS * np.linalg.norm(Z) ** 2 if sign < 0 else 0.0
            assert np.linalg.norm(dense @ dense - A) <= root.info.error_estimate * (1 + 1e-6) + slack
            assert root.info.residual <= 1e-3
            assert root.info.converged
            paths.append(root.info.path.split(",")[0])
    assert paths[1::2] == ["refreshed"] * 3
    assert paths[0] == "update of the root"
    # Past the cone with all changes it is refused all the same.
    with pytest.raises(BreakdownError, match="the downdate leaves the cone"):
        sqrt_update(root, Z, sign=-1, tol=1e-3)


def test_an_update_of_another_kind_of_root_starts_a_chain_of_its_own():
    d, z = np.linspace(1, 5, 40), np.random.default_rng(10).standard_normal(40)
    first = sqrt_update(Diagonal(d), z, tol=1e-10)
    # P = B^1/2 is the inverse root of B^-1.
    second = sqrt_update(first, z, inverse=True, tol=1e-9)
    assert second.base is first
    B = np.diag(d**2) + np.outer(z, z)
    truth = power(np.linalg.inv(B) + np.outer(z, z), -0.5)
    np.testing.assert_allclose(second.to_dense(), truth, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_the_operator(dtype):
    rng = np.random.default_rng(11)
    root = sqrt_update(Diagonal(np.linspace(1, 5, 30).astype(dtype)), gaussian(rng, dtype, 30, 2), tol=1e-9)
    dense, X = root.to_dense(), gaussian(rng, dtype, 30, 3)
    np.testing.assert_array_equal(dense, dense.conj().T + (dense - dense.conj().T))
    for got, expected in (
        (root @ X, dense @ X),
        (root.rmatmat(X), dense.conj().T @ X),
        (root.T @ X, dense.T @ X),
        (root.H @ X, dense.conj().T @ X),
        (X.T @ root, X.T @ dense),
        (root.diag(), np.diagonal(dense)),
        (root.solve(X), np.linalg.solve(dense, X)),
        (root.inverse().to_dense(), np.linalg.inv(dense)),
        (root.inverse().inverse().to_dense(), dense),
    ):
        np.testing.assert_allclose(got, expected, atol=1e-11)
    assert root.logdet() == pytest.approx(np.linalg.slogdet(dense).logabsdet, abs=1e-11)
    assert root.trace() == pytest.approx(np.trace(dense))
    assert root.frobenius_norm() == pytest.approx(np.linalg.norm(dense), rel=1e-12)
    assert root.inverse().inverse_root != root.inverse_root
    again = pickle.loads(pickle.dumps(root))
    np.testing.assert_array_equal(again.to_dense(), dense)
    assert again.info == root.info
    # The inverse of a root is an inverse root, and can be updated as one.
    z = gaussian(rng, dtype, 30, 1)
    B = dense @ dense
    both = sqrt_update(root.inverse(), z, inverse=True, tol=1e-9)
    np.testing.assert_allclose(both.to_dense(), power(B + z @ z.conj().T, -0.5), atol=1e-7)


@pytest.mark.parametrize(("sign", "inverse"), VARIANTS)
@pytest.mark.parametrize("p", [-301, 7, 240])
def test_powers_of_two_go_through_bit_for_bit(p, sign, inverse):
    rng = np.random.default_rng(12)
    d, Z = np.geomspace(1, 20, 90), 0.05 * rng.standard_normal((90, 2))
    dense = definite(rng, 50)
    for root, block in ((Diagonal(d), Z), (Dense(dense), Z[:50] / 4)):
        block = block / 8 if sign < 0 and inverse else block
        found = sqrt_update(root, block, sign=sign, inverse=inverse)
        values = root.values if isinstance(root, Diagonal) else root.array
        scaled = sqrt_update(
            type(root)(np.ldexp(values, p)), np.ldexp(block, -p if inverse else p), sign=sign, inverse=inverse
        )
        np.testing.assert_array_equal(scaled.Y, found.Y)
        np.testing.assert_array_equal(np.ldexp(scaled.weights, -p), found.weights)
        assert scaled.info.residual == found.info.residual


def test_products_alone_go_through_conjugate_gradients():
    n, rng = 1200, np.random.default_rng(13)
    d = np.linspace(1, 8, n)
    op = scipy.sparse.linalg.LinearOperator(
        (n, n), matvec=lambda x: d * x.ravel(), matmat=lambda X: d[:, None] * X, dtype=np.float64
    )
    Z = 0.1 * rng.standard_normal((n, 2))
    for sign in (1, -1):
        found = sqrt_update(op, Z * (1 if sign > 0 else 0.2), sign=sign, tol=1e-7)
        assert found.info.path.endswith("conjugate gradients")
        assert found.info.converged
        same = sqrt_update(Diagonal(d), Z * (1 if sign > 0 else 0.2), sign=sign, tol=1e-7)
        np.testing.assert_allclose(found.weights[:4], same.weights[:4], rtol=1e-6)
        # Of the norm of the matrix only a lower bound is known: the residual is one from above.
        assert found.info.residual >= 0.5 * same.info.residual


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_large_arrays_go_through_cholesky_factors(dtype, monkeypatch):
    from randnla.matrix_functions import known

    rng = np.random.default_rng(18)
    root = Dense(definite(rng, 60, dtype))
    for sign, inverse in VARIANTS:
        P, Z, truth, _ = problem(root, sign, inverse, rng)
        by_eigenvectors = sqrt_update(root, Z, sign=sign, inverse=inverse, tol=1e-9)
        with monkeypatch.context() as patch:
            patch.setattr(known, "EIGEN_SIZE", 10)
            found = sqrt_update(root, Z, sign=sign, inverse=inverse, tol=1e-9)
            with pytest.raises(BreakdownError, match="root: "):
                sqrt_update(np.diag([1.0, -1.0] * 10), np.full(20, 0.1), sign=sign, inverse=inverse)
        assert found.info.path.endswith(", cholesky")
        assert found.info.converged
        assert found.rank == by_eigenvectors.rank
        assert np.linalg.norm(found.to_dense() - truth) <= 1e-7 * np.linalg.norm(truth - P)


def test_callbacks_see_the_certificate():
    seen = []
    root = sqrt_update(
        Diagonal(np.geomspace(1, 9, 100)), np.ones(100), method="rational", callback=seen.append
    )
    assert seen[-1]["error"] <= 1.5e-8
    assert seen[-1]["iteration"] == root.info.iterations
    text = str(root.info)
    assert "backward" in text
    assert root.info.to_dict()["method"] == "rational"


# -- what it is for ----------------------------------------------------------------------------------


def test_whitening():
    """x ~ N(0, A + Z Z^T) whitened is N(0, I): the covariance of the samples by its exact law."""
    rng, n, count = np.random.default_rng(14), 40, 4000
    d, Z = np.geomspace(0.5, 20, n), rng.standard_normal((n, 3)) * 3
    x = np.sqrt(d)[:, None] * rng.standard_normal((n, count)) + Z @ rng.standard_normal((3, count))
    white = sqrt_update(Diagonal(1 / np.sqrt(d)), Z, inverse=True, tol=1e-10) @ x
    _require_standard_normal(white)
    # The test has power: without the change of the root the variance along Z is 50 times too large.
    with pytest.raises(AssertionError):
        _require_standard_normal(x / np.sqrt(d)[:, None])


def _require_standard_normal(white):
    n, count = white.shape
    alpha = ALPHA / (2 * n)
    squares = (white**2).sum(axis=1)
    low, high = scipy.stats.chi2.ppf([alpha / 2, 1 - alpha / 2], count)
    assert np.all((squares > low) & (squares < high))
    # In every direction, too: the sum of all squares, and the largest eigenvalue by Davidson and Szarek.
    total = scipy.stats.chi2.ppf([ALPHA / 4, 1 - ALPHA / 4], n * count)
    assert total[0] < squares.sum() < total[1]
    t = np.sqrt(2 * np.log(4 / ALPHA))
    s = np.linalg.svd(white, compute_uv=False)
    assert s[0] <= np.sqrt(count) + np.sqrt(n) + t
    assert s[-1] >= np.sqrt(count) - np.sqrt(n) - t


def test_sampling():
    """(A + Z Z^T)^1/2 g has the covariance A + Z Z^T: whitened by a dense Cholesky factor it is standard."""
    rng, n, count = np.random.default_rng(15), 40, 4000
    d, Z = np.geomspace(0.5, 20, n), rng.standard_normal((n, 3)) * 3
    samples = sqrt_update(Diagonal(np.sqrt(d)), Z, tol=1e-10) @ rng.standard_normal((n, count))
    L = np.linalg.cholesky(np.diag(d) + Z @ Z.T)
    _require_standard_normal(np.linalg.solve(L, samples))


# -- refusals ----------------------------------------------------------------------------------------

D = Diagonal([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("call", "error", "pattern"),
    [
        (lambda: sqrt_update(np.ones((2, 3)), np.ones(2)), InputError, "root: expected a square matrix"),
        (lambda: sqrt_update(np.triu(np.ones((3, 3))), np.ones(3)), InputError, "root: expected a Hermitian"),
        (
            lambda: sqrt_update(Sparse(scipy.sparse.csr_array(np.triu(np.ones((3, 3))))), np.ones(3)),
            InputError,
            "root: ",
        ),
        (lambda: sqrt_update(Diagonal([1.0, 1j]), np.ones(2)), InputError, "root: expected a Hermitian"),
        (
            lambda: sqrt_update(DiagonalPlusLowRank(1.0, np.ones((3, 1)), V=np.eye(3)[:, :1]), np.ones(3)),
            InputError,
            "V",
        ),
        (
            lambda: sqrt_update(Diagonal([1.0, -1.0, 2.0]), np.ones(3)),
            BreakdownError,
            "root: .*an eigenvalue -0.5",
        ),
        (lambda: sqrt_update(np.diag([1.0, -1.0, 2.0]), np.ones(3)), BreakdownError, "root: "),
        (lambda: sqrt_update(D, np.ones(2)), InputError, "Z: expected 3 rows"),
        (lambda: sqrt_update(D, np.ones((3, 1, 1))), InputError, "Z: expected 1 or 2 dimensions"),
        (lambda: sqrt_update(D, np.ones(3), sign=0), InputError, "sign: expected 1 or -1"),
        (lambda: sqrt_update(D, np.ones(3), sign=2), InputError, "sign: "),
        (lambda: sqrt_update(D, np.ones(3), sign=1.0), InputError, "sign: "),
        (lambda: sqrt_update(D, np.ones(3), inverse=1), InputError, "inverse: "),
        (lambda: sqrt_update(D, np.ones(3), rank=4), InputError, "rank: "),
        (lambda: sqrt_update(D, np.ones(3), rank=True), InputError, "rank: "),
        (lambda: sqrt_update(D, np.ones(3), tol=0.0), InputError, "tol: "),
        (lambda: sqrt_update(D, np.ones(3), method="newton"), InputError, "method: "),
        (lambda: sqrt_update(D, np.ones(3), method="exact"), InputError, "method: 'exact' needs a root"),
        (
            lambda: sqrt_update(Diagonal(np.ones(2001)), np.ones(2001), method="dense"),
            InputError,
            "method: 'dense' is for n <= 2000, got n = 2001",
        ),
        (lambda: sqrt_update(D, [1.0, np.nan, 1.0]), NonFiniteError, "Z: 1 entry is NaN or Inf"),
        (lambda: sqrt_update(D, [1.0, np.inf, 1.0], check_finite=False), NonFiniteError, "Z: 1 entry"),
        (
            lambda: sqrt_update(Diagonal([1.0, np.nan]), np.ones(2)),
            NonFiniteError,
            r"root \(diagonal\): 1 entry",
        ),
        (lambda: SqrtUpdate(D, np.ones((2, 1)), [1.0]), InputError, "Y: expected 3 rows"),
        (lambda: sqrt_update_rank(0.5, 1, 1e-3), InputError, "condition: "),
        (lambda: sqrt_update_rank(10.0, 1, 2.0), InputError, "tol: "),
    ],
)
def test_refusals_name_the_argument(call, error, pattern):
    with pytest.raises(error, match=pattern):
        call()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["dense", "diagonal", "sparse"])
def test_without_the_check_nothing_hangs(bad, kind):
    A = np.diag([1.0, bad, 2.0, 3.0])
    root = {
        "dense": lambda: A,
        "diagonal": lambda: Diagonal(np.diagonal(A)),
        "sparse": lambda: scipy.sparse.csr_array(A),
    }
    with np.errstate(all="ignore"), pytest.raises((InputError, BreakdownError)):
        sqrt_update(root[kind](), np.ones(4), check_finite=False)
