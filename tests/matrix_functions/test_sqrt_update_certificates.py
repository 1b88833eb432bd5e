# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Certificates of updated roots against 150 digits: no claim below the truth, wherever rounding grows."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from randnla import ConvergenceWarning, Diagonal, sqrt_update
from randnla.matrix_functions.graded import reduced

pytestmark = pytest.mark.filterwarnings("ignore::randnla.ConvergenceWarning")


def digits(A):
    return mpmath.matrix(A.tolist())


def backward_error(d, changes, inverse, found):
    """``|X^2 - B|_F / |B|_F`` of X = found and B = (A + ...)^(-1 or 1), from the factors of X."""
    with mpmath.workdps(150):
        P = mpmath.diag([mpmath.mpf(float(x)) for x in d])
        B = P ** (-2 if inverse else 2)
        for Z, sign in changes:
            B += sign * digits(Z) * digits(Z).H
        B = B**-1 if inverse else B
        X = P
        if found.rank:
            X = P + digits(found.Y) * mpmath.diag(found.weights.tolist()) * digits(found.Y).H
        return float(mpmath.mnorm(X * X - B, "f") / mpmath.mnorm(B, "f"))


def require_honest(true, info, tol):
    assert true <= 2 * info.residual + 1e-15
    if info.converged:
        assert true <= 2 * max(tol, info.residual) + 1e-15


@pytest.mark.parametrize("method", ["rational", "dense", "exact"])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("gap", [1e-6, 1e-10, 1e-13, 0.0])
def test_huge_and_nearly_parallel_columns(gap, dtype, method, recwarn):
    """Beside 1e12 z the column 1e12 (z + gap y) adds 1e12 gap y, which is anything from nothing to all."""
    rng = np.random.default_rng(6)
    d = np.ones(8) if method == "exact" else np.geomspace(0.01, 1, 8)
    Z = rng.standard_normal((8, 3)) + (1j * rng.standard_normal((8, 3)) if dtype == np.complex128 else 0)
    Z = 1e12 * (0.7 * Z[:, :1] + gap * Z)
    found = sqrt_update(Diagonal(d), Z, inverse=True, method=method, tol=1e-10)
    assert found.info.method == method
    assert found.info.converged
    assert backward_error(d, [(Z, 1)], True, found) <= found.info.residual <= 1e-12
    assert not recwarn.list


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_what_columns_add_is_found_to_all_digits(dtype):
    rng = np.random.default_rng(1)
    Z = rng.standard_normal((9, 4)).astype(dtype)
    if dtype == np.complex128:
        Z += 1j * rng.standard_normal((9, 4))
    # Three levels: what the last column adds is 1e-21 of it.
    Z[:, 1] = Z[:, 0] / 3 + 1e-7 * Z[:, 1]
    Z[:, 2] = Z[:, 1] / 7 - Z[:, 0] + 1e-14 * Z[:, 2]
    Z[:, 3] = 0.9 * Z[:, 1]
    Z *= [1.0, 1e3, 1.0, 1e-5]
    B, T, lost = reduced(Z)
    with mpmath.workdps(120):
        error = mpmath.mnorm(digits(Z) * digits(Z).H - digits(B) * digits(T) * digits(T).H * digits(B).H, "f")
        assert error <= 1e-15 * np.linalg.norm(Z) ** 2
        held = [digits(Z[:, [j]]) for j in range(4)]
        ours = [digits(B[:, [k]]) for k in range(B.shape[1])]
        for k in range(B.shape[1]):
            q = held.pop(int(np.argmax([float(mpmath.norm(v)) for v in held])))
            assert mpmath.norm(ours[k] - q) <= 1e-15 * mpmath.norm(q)
            held, ours = ([v - q * (q.H * v)[0] / (q.H * q)[0] for v in part] for part in (held, ours))
    assert B.shape[1] + lost.size == 4
    assert abs(np.diagonal(T) - 1).max() == 0
    assert abs(T).max() <= 1.1


@pytest.mark.parametrize("method", ["rational", "dense", "exact", "riemannian"])
@pytest.mark.parametrize("left", [1e-4, 1e-8, 1e-12])
def test_downdates_of_inverse_roots_near_the_end_of_the_cone(left, method):
    """(A - Z Z^H)^-1 is 1 / left: rounding of Z and P Z moves it by 1e-16 / left of itself."""
    d = np.ones(6) if method == "exact" else np.geomspace(0.1, 1, 6)
    z = np.random.default_rng(2).standard_normal((6, 1))
    z *= np.sqrt((1 - left) / float((z[:, 0] * d**2) @ z[:, 0]))
    found = sqrt_update(Diagonal(d), z, sign=-1, inverse=True, method=method, tol=1e-6)
    true = backward_error(d, [(z, -1)], True, found)
    require_honest(true, found.info, 1e-6)
    assert found.info.converged == (left > 1e-10)
    assert found.info.residual <= 1e-6 + 100 * 1e-16 / left
    if left < 1e-10:
        with pytest.warns(ConvergenceWarning, match="backward error"):
            sqrt_update(Diagonal(d), z, sign=-1, inverse=True, method=method, tol=1e-6)


@pytest.mark.parametrize("left", [1e-1, 1e-2, 1e-3])
def test_downdates_let_the_errors_of_an_inverse_root_grow(left):
    """What A^-1 is off by grows by up to 1 / left^2 in (A - Z Z^H)^-1."""
    rng, d = np.random.default_rng(3), np.geomspace(0.1, 1, 8)
    first = rng.standard_normal((8, 3))
    root = sqrt_update(Diagonal(d), first, inverse=True, tol=1e-4)
    with mpmath.workdps(60):
        A = mpmath.diag([mpmath.mpf(x) ** -2 for x in d.tolist()]) + digits(first) * digits(first).T
        z = rng.standard_normal((8, 2))
        whole = max(mpmath.eigsy(digits(z).T * A**-1 * digits(z), eigvals_only=True))
    z *= np.sqrt((1 - left) / float(whole))
    found = sqrt_update(root, z, sign=-1, inverse=True, method="dense", tol=1e-12)
    assert not found.info.path.startswith("refreshed")
    assert found.info.residual >= 2 * root.info.residual
    true = backward_error(d, [(first, 1), (z, -1)], True, found)
    require_honest(true, found.info, 1e-3)


def test_the_inverse_of_an_update_keeps_its_error():
    rng, d = np.random.default_rng(4), np.geomspace(0.1, 1, 8)
    Z, z = rng.standard_normal((8, 2)), 0.1 * rng.standard_normal((8, 1))
    root = sqrt_update(Diagonal(d), Z, tol=1e-2)
    inverted = root.inverse()
    base = 1 / d
    # inverted.base is exact but for rounding of 1 / d.
    assert backward_error(base, [(Z, 1)], True, inverted) <= inverted.info.residual
    assert inverted.info.residual >= root.info.residual > 1e-5
    again = sqrt_update(inverted, z, inverse=True, method="dense", tol=1e-6)
    assert again.info.path.startswith("refreshed")
    assert again.info.converged
    assert backward_error(base, [(Z, 1), (z, 1)], True, again) <= 2e-6


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([1, -1]),
    st.booleans(),
    st.sampled_from(["auto", "rational", "dense", "riemannian"]),
    st.sampled_from([1e-4, 1e-8, 1e-12]),
    st.floats(-13, -0.1),
)
def test_no_claim_is_below_the_truth(seed, sign, inverse, method, tol, left):
    """Columns of lengths 1e-12 to 1e12, parallel to within 1e-15 to 1; downdates to 1e-13 before the end."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 8))
    r = int(rng.integers(1, min(n, 4) + 1))
    d = np.geomspace(10 ** rng.uniform(-4, 0), 1, n)[rng.permutation(n)]
    Z = rng.standard_normal((n, r))
    for j in range(1, r):
        if rng.random() < 0.6:
            Z[:, j] = Z[:, :j] @ rng.standard_normal(j) + 10 ** rng.uniform(-15, 0) * Z[:, j]
    Z = Z[:, rng.permutation(r)]
    Z *= 10 ** (rng.uniform(-12, 12) if rng.random() < 0.5 else rng.uniform(-12, 12, r))
    if sign < 0:
        N = Z * (d if inverse else 1 / d)[:, None]
        with mpmath.workdps(60):
            top = mpmath.eigsy(digits(N).T * digits(N), eigvals_only=True)
            size = mpmath.sqrt((1 - mpmath.mpf(10) ** left) / max(top))
            Z = np.array([[float(x * size) for x in row] for row in Z.tolist()])
    found = sqrt_update(Diagonal(d), Z, sign=sign, inverse=inverse, method=method, tol=tol)
    assert np.isfinite(found.weights).all()
    if found.info.residual < 1:  # what is off by more is as good as unknown
        require_honest(backward_error(d, [(Z, sign)], inverse, found), found.info, tol)
