# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""MTTKRP against einsum for all orders, modes and layouts; matching of components."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from tensor_cases import Array, long_mttkrp

from randnla import InputError, NonFiniteError, _core, num_threads, set_num_threads
from randnla.tensor import match_components, mttkrp

SHAPES = [(5, 7), (4, 5, 6), (3, 4, 5, 6), (2, 3, 4, 3, 2), (2, 3, 2, 3, 2, 2), (3, 1, 4), (1, 1, 1)]
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "c": lambda T: T,
    "fortran": np.asfortranarray,
    "reversed": lambda T: np.ascontiguousarray(T[::-1])[::-1],
    "strided-last": lambda T: np.repeat(T, 2, -1)[..., ::2],
    "strided-inner": lambda T: np.repeat(T, 2, 1)[:, ::2],
    "permuted": lambda T: np.ascontiguousarray(np.moveaxis(T, 1, 0)).swapaxes(0, 1),
    "broadcast": lambda T: np.broadcast_to(T[:1], T.shape),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_mttkrp_is_the_unfolding_times_the_khatri_rao_product(shape, layout, dtype):
    rng = np.random.default_rng(0)
    T = LAYOUTS[layout](rng.standard_normal(shape).astype(dtype))
    factors = [rng.standard_normal((d, 3)).astype(dtype) for d in shape]
    for mode in range(len(shape)):
        got = mttkrp(T, factors, mode)
        truth = long_mttkrp(T.astype(np.float64), [f.astype(np.float64) for f in factors], mode)
        # |error| <= gamma_d times the product of the absolute values, d = prod d_k / d_mode sums.
        size = long_mttkrp(abs(T.astype(np.float64)), [abs(f.astype(np.float64)) for f in factors], mode)
        terms = T.size // shape[mode] + len(shape)
        assert got.dtype == dtype
        assert np.all(abs(got - truth) <= terms * np.finfo(dtype).eps * size)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_more_blocks_than_one_and_no_copy_of_the_tensor(mode, layout):
    rng = np.random.default_rng(1)
    T = LAYOUTS[layout](rng.standard_normal((90, 100, 110)))
    factors = [rng.standard_normal((d, 20)) for d in T.shape]
    tracemalloc.start()
    got = mttkrp(T, factors, mode, check_finite=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < T.nbytes / 20
    np.testing.assert_allclose(got, long_mttkrp(T, factors, mode), rtol=0, atol=1e-10)


def test_threads_do_not_change_the_bits():
    rng = np.random.default_rng(2)
    T = rng.standard_normal((60, 61, 62))
    factors = [rng.standard_normal((d, 7)) for d in T.shape]
    before = num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            set_num_threads(threads)
            results.append([mttkrp(T, factors, mode) for mode in range(3)])
    finally:
        set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert np.array_equal(a, b)


def test_powers_of_two_pass_through():
    rng = np.random.default_rng(3)
    T = rng.standard_normal((4, 5, 6))
    factors = [rng.standard_normal((d, 2)) for d in T.shape]
    for p in (-900, -300, 1, 900):
        assert np.array_equal(mttkrp(np.ldexp(T, p), factors, 1), np.ldexp(mttkrp(T, factors, 1), p))


def test_empty_tensors_and_no_columns():
    assert (
        mttkrp(np.zeros((3, 0, 2)), [np.ones((3, 2)), np.ones((0, 2)), np.ones((2, 2))], 0).tolist()
        == [[0, 0]] * 3
    )
    assert mttkrp(np.ones((3, 4, 2)), [np.ones((3, 0)), np.ones((4, 0)), np.ones((2, 0))], 1).shape == (4, 0)


def test_misuse_of_mttkrp_is_named():
    bad = np.ones((3, 4, 5))
    bad[1, 2, 3] = np.nan
    T, factors = np.ones((3, 4, 5)), [np.ones((3, 2)), np.ones((4, 2)), np.ones((5, 2))]
    with pytest.raises(InputError, match=r"^T: expected 2 or 3 or 4 or 5 or 6 dimensions, got 1"):
        mttkrp(np.ones(3), factors, 0)
    with pytest.raises(InputError, match=r"^T: expected real numbers, got complex128"):
        mttkrp(T + 0j, factors, 0)
    with pytest.raises(InputError, match=r"^factors: expected 3 matrices"):
        mttkrp(T, factors[:2], 0)
    with pytest.raises(InputError, match=r"^factors\[1\]: expected shape \(4, 2\), got \(5, 2\)"):
        mttkrp(T, [factors[0], factors[2], factors[1]], 0)
    with pytest.raises(InputError, match=r"^mode: .*3"):
        mttkrp(T, factors, 3)
    with pytest.raises(NonFiniteError, match=r"^T: 1 entry is NaN or Inf, the first at index \(1, 2, 3\)"):
        mttkrp(bad, factors, 0)
    with pytest.raises(NonFiniteError, match=r"^factors\[0\]: 1 entry"):
        mttkrp(T, [np.where(np.eye(3, 2) * [1, 0] > 0, np.inf, 1), *factors[1:]], 1)


def test_matching_undoes_order_signs_and_lengths():
    rng = np.random.default_rng(4)
    truth = [np.linalg.qr(rng.standard_normal((d, 4)))[0] for d in (6, 7, 8)]
    shuffled = rng.permutation(4)
    factors = [-3 * a[:, shuffled] for a in truth]
    order, errors = match_components(factors, truth)
    assert np.array_equal(shuffled[order], np.arange(4))
    assert errors.max() <= 1e-15
    factors[1][:, 0] += 3e-9 * truth[1][:, (shuffled[0] + 1) % 4]
    _, errors = match_components(factors, truth)
    assert errors.max() == pytest.approx(1e-9, rel=1e-6)  # no floor at 1e-8


def test_misuse_of_matching_is_named():
    A = [np.eye(3)[:, :2]] * 3
    with pytest.raises(InputError, match=r"^truth: expected a sequence of matrices, got 3"):
        match_components(A, 3)
    with pytest.raises(InputError, match=r"^factors\[0\]: expected shape \(3, 2\), got \(3, 1\)"):
        match_components([a[:, :1] for a in A], A)
    with pytest.raises(InputError, match=r"^factors: expected columns other than zero"):
        match_components([0 * a for a in A], A)


def test_the_compiled_product_takes_its_arrays_only():
    T, F = np.ones((3, 4, 5)), [np.ones((d, 2)) for d in (3, 4, 5)]
    out = np.empty((4, 2))
    _core.mttkrp(T, *F, 1, out)
    assert np.array_equal(out, np.full((4, 2), 15.0))
    for arguments, message in (
        ((T, *F, 3, out), "mode: expected 0, 1 or 2"),
        ((T, *F, 0, out), "out: expected a row for each index of the mode"),
        ((T, F[1], F[1], F[2], 1, out), "mttkrp: expected factors in C order"),
        ((T, F[0], np.ones((2, 4)).T, F[2], 2, np.empty((5, 2))), "mttkrp: expected factors in C order"),
        ((T[:0], F[0][:0], F[1], F[2], 1, out), "mttkrp: empty arrays"),
        ((T, *F, 1, np.empty((4, 2), np.float32)), "out: expected dtype"),
    ):
        with pytest.raises(InputError, match=message):
            _core.mttkrp(*arguments)
