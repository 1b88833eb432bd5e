# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The low-rank update of Brand (2006), and averages that are only ever held as eigenpairs."""

import cases
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import randnla
from randnla._backend.kernels.qr import _unit_signs
from randnla.curvature import BrandFactor, KroneckerFactor
from randnla.curvature.factors.brand import brand_update


def pairs(rng, d, k, dtype):
    G = rng.standard_normal((d, k))
    if np.dtype(dtype).kind == "c":
        G = G + 1j * rng.standard_normal((d, k))
    U = np.linalg.qr(G)[0].astype(dtype)
    return U, np.sort(rng.random(k))[::-1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@given(
    d=st.integers(1, 30),
    k=st.integers(0, 8),
    n=st.integers(1, 12),
    deficient=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@example(d=9, k=1, n=5, deficient=True, seed=2**32 - 1)
@example(d=14, k=1, n=8, deficient=True, seed=2**32 - 1)
def test_untruncated_update_is_the_eigendecomposition(dtype, d, k, n, deficient, seed):
    rng = np.random.default_rng(seed)
    U, s = pairs(rng, d, min(d, k), dtype)
    A = rng.standard_normal((d, n)).astype(dtype)
    if deficient:  # inside the span of U, zero and repeated columns
        A[:, ::2] = U @ rng.standard_normal((U.shape[1], A[:, ::2].shape[1])).astype(dtype)
        A[:, -1] = A[:, 0]
    wide = np.result_type(dtype, np.float64)
    exact = (U * s).astype(wide) @ U.conj().T + A.astype(wide) @ A.conj().T
    V, w = brand_update(U, s, A, d)
    tolerance = 200 * np.finfo(dtype).eps * max(np.linalg.norm(exact), 1e-30)
    assert np.linalg.norm((V * w) @ V.conj().T - exact) <= tolerance
    assert np.linalg.norm(V.conj().T @ V - np.eye(V.shape[1])) <= 50 * np.finfo(dtype).eps * d
    assert (np.diff(w) <= 0).all()
    assert (w >= 0).all()


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_phases_of_denormal_diagonals_have_unit_size(dtype):
    """What is left of a dependent column may be denormal: its reciprocal overflowed, to NaN in the factor."""
    spacing = np.finfo(dtype).smallest_subnormal
    diagonal = np.array([1 + 1j, 3 - 4j, -2j, 0, 1e9 * (2 + 1j)], dtype) * dtype(spacing)
    diagonal = np.append(diagonal, np.array([3 + 4j, -1e30], dtype))
    signs = _unit_signs(diagonal)
    assert signs.dtype == dtype
    np.testing.assert_allclose(np.abs(signs), 1, rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(signs[1:3], [0.6 - 0.8j, -1j], rtol=4 * np.finfo(dtype).eps)


def test_without_truncation_it_is_the_dense_average():
    rng = np.random.default_rng(1)
    dense, brand = KroneckerFactor(40, dtype="f8"), BrandFactor(40, 40, dtype="f8")
    for _ in range(50):
        X = rng.standard_normal((3, 40)) * 0.7 ** np.arange(40)
        dense.update(X)
        brand.update(X)
    assert np.linalg.norm(dense.value - brand.value) < 1e-13 * np.linalg.norm(dense.value)
    assert brand.lost < 1e-13 * brand.trace


def test_lost_is_the_trace_distance_and_the_low_rank_average_lies_below():
    rng = np.random.default_rng(2)
    dense, brand = KroneckerFactor(60, dtype="f8"), BrandFactor(60, 8, dtype="f8")
    for _ in range(80):
        X = rng.standard_normal((4, 60)) * (np.arange(60) + 1.0) ** -1
        dense.update(X)
        brand.update(X)
    gap = np.linalg.eigvalsh(dense.value - brand.value)
    assert gap.min() > -1e-14
    assert brand.lost == pytest.approx(gap.sum(), rel=1e-10)
    assert brand.trace == pytest.approx(dense.trace, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_steps_keep_symmetry_sign_and_the_reported_distance(dtype):
    """Averages of rank 5 beside the dense float64 one: no drift beyond what was cut off."""
    d, rank, steps = 16, 5, 100_000
    rng = np.random.default_rng(3)
    stream = (rng.standard_normal((steps, 1, d)) * (np.arange(d) + 1.0) ** -1.5).astype(dtype)
    brand = BrandFactor(d, rank, ema=0.99, start="first", dtype=dtype)
    for X in stream:
        brand.update(X)
    weights = 0.01 * 0.99 ** np.arange(2000)[::-1]  # older ones weigh less than 1e-9
    recent = stream[-2000:, 0].astype(np.float64)
    exact = (recent.T * weights) @ recent
    eps = float(np.finfo(dtype).eps)
    assert np.array_equal(brand.value, brand.value.T)
    assert np.linalg.eigvalsh(brand.value.astype(np.float64)).min() > -16 * eps * brand.trace
    distance = np.abs(np.linalg.eigvalsh(exact - brand.value.astype(np.float64))).sum()
    rounding = (8 * eps / (1 - 0.99) + 1e-7) * brand.trace  # of some hundred updates that still count
    assert brand.lost - rounding <= distance <= brand.lost + rounding
    assert brand.lost > 3 * rounding
    assert np.linalg.norm(brand.U.T @ brand.U - np.eye(rank)) < 64 * eps


def test_zero_and_repeated_batches():
    brand = BrandFactor(9, 3)
    brand.update(np.zeros((2, 9), np.float32))
    assert brand.trace == 0.0
    assert (brand.s == 0).all()
    row = np.arange(9, dtype=np.float32)[None]
    for _ in range(100):
        brand.update(row)
    assert brand.s[0] == pytest.approx(brand.trace, rel=1e-5)
    assert np.linalg.norm(brand.U.T @ brand.U - np.eye(brand.U.shape[1])) < 1e-5


@pytest.mark.parametrize("layout", list(cases.LAYOUTS))
def test_every_layout(layout):
    X = np.random.default_rng(4).standard_normal((5, 30))
    brand = BrandFactor(30, 6, dtype="f8")
    brand.update(cases.LAYOUTS[layout](X))
    np.testing.assert_allclose(brand.value, X.T @ X / 5, atol=1e-13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1), "dim: expected an integer"),
        ((4, 0), "rank: expected an integer"),
        ((4, 1.5), "rank: expected an integer"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(randnla.InputError, match=message):
        BrandFactor(*arguments)
