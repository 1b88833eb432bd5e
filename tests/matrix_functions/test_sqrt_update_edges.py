# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Roots under low-rank changes at the edges: ends of the range, zero roots, inexact solves, long chains."""

import mpmath
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

from randnla import BreakdownError, ConvergenceWarning, Diagonal, sqrt_update
from randnla.matrix_functions import product_root
from randnla.operators import DiagonalPlusLowRank

VARIANTS = [(1, False), (-1, True), (1, True), (-1, False)]


def power(A, exponent):
    w, V = np.linalg.eigh(A)
    return (V * w**exponent) @ V.conj().T


def gaussian(rng, dtype, *shape):
    X = rng.standard_normal(shape)
    return (X + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else X).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("inverse", [False, True])
def test_long_chains_of_what_comes_and_goes_keep_the_default_tolerance(dtype, inverse, recwarn):
    rng = np.random.default_rng(19)
    d = np.linspace(1, 5, 200).astype(np.dtype(dtype).type(0).real.dtype)
    base = Diagonal(1 / d if inverse else d)
    Z, other = gaussian(rng, dtype, 200, 2), gaussian(rng, dtype, 200, 1)
    root = base
    for step in range(30):
        root = sqrt_update(root, Z, sign=-1 if step % 2 else 1, inverse=inverse)
        assert root.info.converged
        assert len(root.changes) == 1 - step % 2
    np.testing.assert_array_equal(root.to_dense(), base.to_dense())
    # A window of three vectors: columns go one by one out of the blocks they came in.
    root = sqrt_update(base, np.concatenate([Z, other], axis=1), inverse=inverse)
    root = sqrt_update(root, Z[:, 1], sign=-1, inverse=inverse)
    assert [(X.shape[1], s) for X, s in root.changes] == [(2, 1)]
    np.testing.assert_array_equal(root.changes[0][0], np.concatenate([Z[:, :1], other], axis=1))
    left = root.changes[0][0].astype(np.complex128)
    truth = power(np.diag(d.astype(float) ** 2) + left @ left.conj().T, -0.5 if inverse else 0.5)
    assert np.linalg.norm(root.to_dense() - truth) <= 50 * root.info.residual * np.linalg.norm(truth) + 1e-6
    # In the other order, too; and twice the same column is two columns.
    root = sqrt_update(base, 0.01 * Z, sign=-1, inverse=inverse)
    root = sqrt_update(root, 0.01 * np.concatenate([Z, Z], axis=1), inverse=inverse)
    assert [(X.shape[1], s) for X, s in root.changes] == [(2, 1)]
    assert not recwarn.list


@pytest.mark.parametrize(("sign", "inverse"), VARIANTS)
@pytest.mark.parametrize(("cond", "steps"), [(10.0, None), (1e4, None), (1e4, 100)])
@pytest.mark.filterwarnings("ignore::randnla.ConvergenceWarning")
def test_inexact_solves_are_no_asymmetry(cond, steps, sign, inverse, monkeypatch):
    """Conjugate gradients for condition 1e4 converge; ended early they cost what the certificate tells."""
    if steps is not None:
        monkeypatch.setattr(product_root, "STEPS", steps)
    n, rng = 1200, np.random.default_rng(20)
    d = np.geomspace(1 / cond, 1, n)
    op = scipy.sparse.linalg.aslinearoperator(scipy.sparse.diags_array(d).tocsr())
    z = rng.standard_normal((n, 1)) / np.sqrt(n)
    z = z * np.minimum(d, 1 / d)[:, None] * 0.5 if sign < 0 or inverse else z
    try:
        found = sqrt_update(op, z, sign=sign, inverse=inverse, tol=1e-6)
    except BreakdownError:
        # Where the inverse is not known well enough, a downdate may look past the cone.
        assert steps is not None
        return
    assert found.info.path.endswith("conjugate gradients")
    # (P + X)^2 - P^2 - C by products with the factors.
    Y, w = found.Y, found.weights
    if inverse:
        C = d[:, None] ** 2 * z
        C = -sign * C @ C.T / (1 + sign * (z * d[:, None] ** 2 * z).sum())
    else:
        C = sign * z @ z.T
    X = (Y * w) @ Y.T
    true = np.linalg.norm(d[:, None] * X + X * d + X @ X - C)
    assert true <= found.info.error_estimate * (1 + 1e-6) + 1e-13
    assert found.info.error_estimate <= true * (1 + 1e-6) + 1e-13
    if steps is None:
        assert found.info.converged


@pytest.mark.parametrize(("sign", "inverse"), VARIANTS)
def test_single_precision_products_are_no_asymmetry(sign, inverse):
    n, rng = 1100, np.random.default_rng(21)
    d = np.geomspace(1e-2, 1, n).astype(np.float32)
    op = scipy.sparse.linalg.aslinearoperator(scipy.sparse.diags_array(d).tocsr())
    z = 0.5 * d * rng.standard_normal(n).astype(np.float32) / np.float32(np.sqrt(n))
    found = sqrt_update(op, z, sign=sign, inverse=inverse)
    assert found.dtype == np.float32
    assert found.info.converged
    P, Z = np.diag(d.astype(float)), z[:, None].astype(float)
    A = np.linalg.inv(P @ P) if inverse else P @ P
    truth = power(A + sign * Z @ Z.T, -0.5 if inverse else 0.5)
    assert np.linalg.norm(found.to_dense() - truth) <= 1e-3 * np.linalg.norm(truth)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("cond", [1e2, 1e4])
def test_systems_of_the_square_take_steps_like_the_root_of_its_condition(cond, dtype):
    rng = np.random.default_rng(22)
    d, taken = np.geomspace(1 / cond, 1, 1000), []
    B = gaussian(rng, dtype, 1000, 3) * [1, 0, 1e-30]

    def product(X):
        taken.append(X.shape)
        return d[:, None] * X

    for s in (0.1 / cond**2, 1 / cond, 10.0):
        taken.clear()
        found = product_root.solve_square(product, s, B, 1e-12)
        truth = B / (d[:, None] ** 2 + s)
        scale = np.where(np.abs(truth).any(axis=0), np.linalg.norm(truth, axis=0), 1.0)
        assert np.linalg.norm((found - truth) / scale, axis=0).max() <= 1e-10
        # Conjugate gradients for P^2 + s: ln(2 / tol) / 2 = 14 times its condition, cond.
        assert len(taken) <= 14 * np.sqrt(cond)


@pytest.mark.parametrize("method", ["auto", "rational", "exact", "dense"])
@pytest.mark.parametrize("kind", ["dense", "diagonal", "sparse", "wrapped"])
def test_the_zero_matrix_has_a_root(kind, method):
    n = 1100 if kind == "wrapped" else 30
    if kind == "wrapped" and method == "dense":
        return
    zero = np.zeros((n, n))
    root = {
        "dense": lambda: zero,
        "diagonal": lambda: Diagonal(np.zeros(n)),
        "sparse": lambda: scipy.sparse.csr_array((n, n)),
        "wrapped": lambda: scipy.sparse.linalg.aslinearoperator(zero),
    }[kind]()
    Z = np.random.default_rng(21).standard_normal((n, 2))
    found = sqrt_update(root, Z, method=method)
    # (Z Z^T)^1/2 = Z (Z^T Z)^-1/2 Z^T
    np.testing.assert_allclose(found.to_dense(), Z @ power(Z.T @ Z, -0.5) @ Z.T, atol=1e-7 * np.sqrt(n))
    assert found.info.method == ("dense" if method == "dense" else "exact")
    assert found.info.converged
    assert found.rank == 2
    for sign, inverse in VARIANTS[2:]:
        with pytest.raises(BreakdownError, match="root: singular"):
            sqrt_update(root, Z, sign=sign, inverse=inverse)
    # As the inverse root of an infinite matrix it stays as it is.
    assert sqrt_update(root, Z, sign=-1, inverse=True).rank == 0


@pytest.mark.parametrize("factor", [1e10, 1e17, 1e20, 1e75, 1e80, 1e150, 1e200, 1e300])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_changes_far_larger_than_the_root(factor, dtype, recwarn):
    d = np.linspace(1, 2, 30)
    Z = gaussian(np.random.default_rng(22), dtype, 30, 2)
    found = sqrt_update(Diagonal(d), factor * Z, tol=1e-9)
    truth = Z @ power(Z.conj().T @ Z, -0.5) @ Z.conj().T
    assert found.info.converged
    assert found.info.residual <= 1e-9
    X = (found.Y * (found.weights / factor)) @ found.Y.conj().T
    np.testing.assert_allclose(X, truth, atol=1e-7)
    if factor > 1e16:
        assert found.info.method == "exact"
    assert not recwarn.list


@pytest.mark.parametrize(("sign", "inverse"), VARIANTS)
@pytest.mark.parametrize("p", [-900, -540, 540, 900])
def test_units_at_the_ends_of_the_range(p, sign, inverse, recwarn):
    # A itself is beyond the range of float64, its root and what is said of it relative to A are not.
    d, Z = np.linspace(1, 2, 30), 0.05 * np.random.default_rng(23).standard_normal((30, 2))
    found = sqrt_update(Diagonal(d), Z, sign=sign, inverse=inverse)
    base, block = Diagonal(np.ldexp(d, p)), np.ldexp(Z, -p if inverse else p)
    scaled = sqrt_update(base, block, sign=sign, inverse=inverse)
    np.testing.assert_array_equal(scaled.Y, found.Y)
    np.testing.assert_array_equal(np.ldexp(scaled.weights, -p), found.weights)
    assert scaled.info.residual == found.info.residual
    assert scaled.info.error_estimate == (np.inf if p > 0 else 0.0)
    # Chains add up their errors there, too.
    once = sqrt_update(found, 0.5 * Z, sign=sign, inverse=inverse)
    twice = sqrt_update(scaled, 0.5 * block, sign=sign, inverse=inverse)
    assert twice.info.residual == pytest.approx(once.info.residual, rel=1e-3)
    assert not recwarn.list


@pytest.mark.parametrize(("sign", "inverse"), VARIANTS[1:])
@pytest.mark.filterwarnings("ignore::randnla.ConvergenceWarning")
def test_changes_beyond_the_range_are_errors_of_ours_or_answers(sign, inverse):
    for scale, size in ((1e300, 1e300), (1.0, 1e200), (1.0, 1e80), (1e-300, 1e300)):
        root, Z = Diagonal(scale * np.linspace(1, 2, 30)), size * np.ones(30)
        if sign < 0 and (inverse or scale <= size / 1e10):
            with pytest.raises(BreakdownError, match="leaves the cone"):
                sqrt_update(root, Z, sign=sign, inverse=inverse)
            continue
        if sign > 0:
            found = sqrt_update(root, Z, sign=sign, inverse=inverse)
            assert np.isfinite(found.weights).all()
            assert np.isfinite(found.info.residual)


def inverse_backward_error(d, Z, found):
    """``|X^2 - (D^-2 + Z Z^H)^-1|_F / |(D^-2 + Z Z^H)^-1|_F`` of X = found, D = diag(d), in 600 digits."""
    with mpmath.workdps(600):
        A = mpmath.diag([1 / mpmath.mpf(float(x)) ** 2 for x in d])
        z, X = mpmath.matrix(Z.tolist()), mpmath.matrix(found.to_dense().tolist())
        after = (A + z * z.T) ** -1
        return float(mpmath.mnorm(X * X - after, "f") / mpmath.mnorm(after, "f"))


@pytest.mark.parametrize("method", ["rational", "dense", "exact"])
@pytest.mark.parametrize("factor", [1e2, 1e4, 1e8, 1e12, 1e18, 1e60, 1e200])
@pytest.mark.parametrize("columns", [1, 2, "parallel", "three scales"])
def test_small_columns_beside_large_ones_count_in_inverse_roots(columns, factor, method):
    """The least column is measured by the operator, I + N N^H with N = A^-1/2 Z, not by the largest."""
    rng = np.random.default_rng(3)
    d = np.ones(10) if method == "exact" else np.geomspace(0.01, 1, 10)
    Z = rng.standard_normal((10, 3))
    if columns == "parallel":
        Z = np.stack([factor * Z[:, 0], Z[:, 0], Z[:, 1]], axis=1)
    elif columns == "three scales":
        Z *= [factor, 1, 1e-3]
    else:
        Z = Z[:, :columns] * [factor, 1][:columns]
    for tol in (1e-8, 1e-12):
        found = sqrt_update(Diagonal(d), Z, inverse=True, method=method, tol=tol)
        true = inverse_backward_error(d, Z, found)
        assert true <= tol + 1e-14  # |C| <= |A^-1|, and rounding of the certificate
        assert abs(true - found.info.residual) <= 0.1 * true + 1e-14
        assert found.info.converged


@pytest.mark.parametrize("method", ["rational", "dense", "exact"])
@pytest.mark.parametrize("gap", [1e-6, 1e-10, 1e-14, 0.0])
def test_nearly_parallel_columns(gap, method):
    """What Z adds beside a column that it repeats but for `gap` is as good as nothing, or counts as it is."""
    rng = np.random.default_rng(6)
    d = np.ones(10) if method == "exact" else np.geomspace(0.01, 1, 10)
    z, y = rng.standard_normal((2, 10))
    Z = np.stack([z, z + gap * y], axis=1)
    found = sqrt_update(Diagonal(d), Z, inverse=True, method=method, tol=1e-10)
    true = inverse_backward_error(d, Z, found)
    assert found.info.converged
    assert true <= 1e-10 + 1e-14
    assert abs(true - found.info.residual) <= 0.1 * true + 1e-14


@pytest.mark.parametrize("method", ["rational", "exact"])
def test_certificates_of_what_nearly_nothing_is_left_of(method):
    """(A + Z Z^H)^-1 of 1e-36 beside A^-1 = I is rounding of it: the result says that nothing is known."""
    Z = 1e10 * np.random.default_rng(4).standard_normal((8, 8))
    with pytest.warns(ConvergenceWarning, match="backward error"):
        found = sqrt_update(Diagonal(np.ones(8)), Z, inverse=True, method=method)
    assert found.rank <= 8
    assert found.info.residual >= inverse_backward_error(np.ones(8), Z, found)


def test_trust_regions_say_what_they_lose_to_large_columns():
    """The Riccati equation for A^1/2 is what they solve, in which the large column hides the small one."""
    Z = np.random.default_rng(5).standard_normal((10, 2)) * [1e18, 1]
    d = np.linspace(1, 2, 10)
    with pytest.warns(ConvergenceWarning, match="backward error"):
        found = sqrt_update(Diagonal(d), Z, inverse=True, method="riemannian")
    assert found.info.residual == pytest.approx(inverse_backward_error(d, Z, found), rel=0.1)


@pytest.mark.parametrize("kind", ["array", "sparse", "wrapped", "constant"])
@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_eigenvalues_below_zero_by_the_rounding_of_the_input_are_zero(dtype, kind):
    """A singular root of single precision has eigenvalues of -1e-8 times its norm."""
    rng, n = np.random.default_rng(23), 1100 if kind == "wrapped" else 40
    B = gaussian(rng, dtype, n, 3)
    P = (B @ B.conj().T).astype(dtype)
    assert np.linalg.eigvalsh(P.astype(np.complex128))[0] < -1e-9 * np.linalg.norm(P)
    Q = np.linalg.qr(B)[0]
    root = {
        "array": lambda: P,
        "sparse": lambda: scipy.sparse.csr_array(P),
        "wrapped": lambda: scipy.sparse.linalg.aslinearoperator(P),
        "constant": lambda: DiagonalPlusLowRank(np.float32(1.0), Q, -(1 + 1e-7) * np.ones(3, np.float32)),
    }[kind]()
    if kind == "constant":
        P = np.eye(n) - (1 + 1e-7) * Q @ Q.conj().T
    Z = gaussian(rng, dtype, n, 2) * P.real.dtype.type(np.sqrt(np.linalg.norm(P)))
    found = sqrt_update(root, Z)
    X, wide = found.to_dense().astype(np.complex128), P.astype(np.complex128)
    after = wide @ wide + Z.astype(np.complex128) @ Z.conj().T
    assert found.info.converged
    assert np.linalg.norm(X @ X - after) <= 4e-4 * np.linalg.norm(after)
    wrong = P - 1e-3 * np.linalg.norm(P) * np.eye(n, dtype=P.dtype)
    with pytest.raises(BreakdownError, match="expected a positive semidefinite"):
        sqrt_update(wrong.astype(dtype), Z)
