# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The sketched average against the dense one, and its error against Theorem 4.1 of the single-pass paper."""

import numpy as np
import pytest

import randnla
from randnla.curvature import BrandFactor, CholeskyInverse, KroneckerFactor, LowRankFactor, LowRankInverse
from randnla.curvature.factors.average import STARTS


def batches(count, n, d, *, decay=1.0, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    made = rng.standard_normal((count, n, d))
    if np.dtype(dtype).kind == "c":
        made = made + 1j * rng.standard_normal((count, n, d))
    return (made * (1.0 + np.arange(d)) ** -decay).astype(dtype)


def fed(factor, stack):
    for X in stack:
        factor.update(X)
    return factor


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("start", STARTS)
def test_an_average_within_the_block_is_exact(dtype, start):
    """Two batches of three rows have rank six, and eight columns see it; the identity's share is apart."""
    stack = batches(2, 3, 40, dtype=dtype)
    sketched = fed(LowRankFactor(40, 8, oversample=4, start=start, dtype=dtype, rng=1), stack)
    exact = fed(KroneckerFactor(40, start=start, dtype=dtype), stack)
    size = np.abs(exact.value).max()
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(sketched.value, exact.value, rtol=0, atol=max(100 * eps, 1e-11) * size)
    assert sketched.trace == pytest.approx(exact.trace, rel=1e-5 if eps > 1e-10 else 1e-12)
    assert sketched.lost <= max(100 * eps, 1e-8) * sketched.trace
    assert sketched.U.dtype == np.dtype(dtype)
    assert np.all(np.diff(sketched.s) <= 0)


def test_what_is_lost_is_the_distance():
    stack = batches(40, 10, 60)
    sketched = fed(LowRankFactor(60, 8, dtype=np.float64, rng=2), stack)
    exact = fed(KroneckerFactor(60, dtype=np.float64), stack).value
    rest = exact - sketched.value
    assert np.linalg.eigvalsh(rest)[0] >= -1e-9 * sketched.trace
    assert sketched.lost == pytest.approx(np.trace(rest), rel=1e-8)
    overlap = sketched.U.T @ sketched.U
    np.testing.assert_allclose(overlap, np.eye(8), atol=1e-10)


def test_the_mean_error_of_all_pairs_is_below_the_bound_and_near_the_least():
    """E |A - Nys|_* <= min_k (1 + k / (l - k - 1)) sum_{j > k} lambda_j, of all pairs of l = 12 columns."""
    stack = batches(30, 8, 50)
    exact = np.linalg.eigvalsh(fed(KroneckerFactor(50, dtype=np.float64), stack).value)[::-1]
    size = 12
    bound = min((1 + k / (size - k - 1)) * exact[k:].sum() for k in range(size - 1))
    lost = [
        fed(LowRankFactor(50, size, oversample=0, dtype=np.float64, rng=s), stack).lost for s in range(60)
    ]
    mean, error = np.mean(lost), np.std(lost) / 60**0.5
    assert exact[size:].sum() <= min(lost)
    assert mean <= bound + 6 * error
    assert mean >= 1.05 * exact[size:].sum()  # it is a sketch, not the best approximation


def test_nothing_is_lost_for_later():
    """A direction that every batch shows a little of: truncation after each would drop it each time."""
    rng = np.random.default_rng(3)
    d, steady = 80, np.zeros(80)
    steady[-1] = 0.5
    factor = LowRankFactor(d, 3, oversample=20, ema=0.99, dtype=np.float64, rng=0)
    truncated = BrandFactor(d, 3, ema=0.99, dtype=np.float64)
    for _ in range(300):
        burst = np.zeros((3, d))
        burst[np.arange(3), rng.choice(d - 1, 3, replace=False)] = 1.0
        for each in (factor, truncated):
            each.update(np.concatenate([burst, steady[None]]))
    assert abs(factor.U[-1, 0]) > 0.9
    assert 0.7 * 0.25 / 4 <= factor.s[0] <= 0.25 / 4 * (1 + 1e-9)
    assert np.abs(truncated.U[-1]).max() < 0.1


def test_inverses_take_its_pairs():
    stack = batches(10, 20, 100, decay=1.5, dtype=np.float32)
    factor = fed(LowRankFactor(100, 30, rng=0), stack)
    inverse = LowRankInverse(30, continuation="none")
    inverse.refresh(factor, 0.1)
    assert inverse.info.path == "pairs"
    dense = CholeskyInverse()
    dense.refresh(factor, 0.1)
    v = np.random.default_rng(1).standard_normal(100).astype(np.float32)
    np.testing.assert_allclose(
        inverse.apply(v), dense.apply(v), rtol=0, atol=2e-4 * np.abs(dense.apply(v)).max()
    )


def test_a_copy_goes_its_own_way():
    stack = batches(3, 5, 20)
    factor = fed(LowRankFactor(20, 4, dtype=np.float64, rng=0), stack[:2])
    before, copied = factor.value, factor.copy()
    copied.update(stack[2])
    np.testing.assert_array_equal(factor.value, before)
    assert copied.count == 3
    assert factor.count == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0, "rank": 1}, "dim: expected"),
        ({"dim": 4, "rank": 0}, "rank: expected"),
        ({"dim": 4, "rank": True}, "rank: expected"),
        ({"dim": 4, "rank": 2, "oversample": -1}, "oversample: expected"),
        ({"dim": 4, "rank": 2, "ema": 1.0}, "ema: expected"),
        ({"dim": 4, "rank": 2, "dtype": "int32"}, "dtype: expected"),
        ({"dim": 4, "rank": 2, "rng": -1}, "rng"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(randnla.InputError, match=message):
        LowRankFactor(**arguments)


def test_before_any_batch_it_is_zero():
    factor = LowRankFactor(5, 2, rng=0)
    assert factor.trace == 0.0
    assert factor.lost == 0.0
    assert factor.U.shape == (5, 0)
    assert not factor.value.any()
