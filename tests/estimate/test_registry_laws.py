# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Laws that hold for every row of `cases.ESTIMATORS`."""

import cases
import numpy as np
import pytest
import scipy.sparse
from estimate_cases import matrix

N = 40


def input_of(row, *, complex_=False):
    A = matrix("poly", N, complex_=complex_)
    # A square matrix without symmetry for those that take any.
    return A if row.symmetric else A + 0.1 * np.triu(A)


def rows():
    return [pytest.param(row, id=name) for name, row in cases.ESTIMATORS.items()]


@pytest.mark.parametrize("row", rows())
def test_kinds_of_input_agree(row):
    A = input_of(row)
    plain = row.call(A, rng=3)
    scale = np.abs(plain.value).max()
    for wrap in (
        scipy.sparse.csr_array,
        scipy.sparse.linalg.aslinearoperator,
        np.asfortranarray,
        cases.OPERATORS["sum"],
        cases.BACKENDS["torch"],
    ):
        other = row.call(wrap(A), rng=3)
        np.testing.assert_allclose(np.asarray(other.value), plain.value, atol=1e-10 * scale, rtol=1e-10)
        np.testing.assert_allclose(np.asarray(other.std_error), plain.std_error, atol=1e-9 * scale, rtol=1e-6)


@pytest.mark.parametrize("row", rows())
def test_seed_replays_and_seeds_differ(row):
    A = input_of(row)
    first = row.call(A)
    again = row.call(A, rng=first.info.seed)
    assert np.array_equal(first.value, again.value)
    assert np.array_equal(first.std_error, again.std_error)
    if row.random:
        assert not np.array_equal(first.value, row.call(A).value)
    first.info.to_dict()


@pytest.mark.parametrize("power", [-900, -31, 7, 900])
@pytest.mark.parametrize("row", rows())
def test_powers_of_two_scale_bit_for_bit(row, power):
    if abs(row.degree * power) > 950:
        power //= 2
    A = input_of(row)
    one, two = row.call(A, rng=1), row.call(np.ldexp(A, power), rng=1)
    assert np.array_equal(np.ldexp(one.value, int(row.degree * power)), two.value)
    assert np.array_equal(np.ldexp(one.std_error, int(row.degree * power)), two.std_error)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex64, np.complex128, np.int16])
@pytest.mark.parametrize("row", rows())
def test_every_dtype_is_within_eight_standard_errors(row, dtype):
    """Twelve vectors at most: a Student law of few degrees of freedom, and a fixed seed."""
    A = input_of(row, complex_=np.dtype(dtype).kind == "c")
    A = np.rint(100 * A).astype(dtype) if np.dtype(dtype).kind == "i" else A.astype(dtype)
    if row.symmetric and np.dtype(dtype).kind == "i":
        A = A @ A.T
    found = row.call(A, rng=0)
    wide = A.astype(np.complex128 if np.dtype(dtype).kind == "c" else np.float64)
    error = np.linalg.norm(np.atleast_1d(found.value - row.truth(wide)))
    assert error <= 8 * np.linalg.norm(np.atleast_1d(found.std_error))


@pytest.mark.parametrize("row", rows())
def test_zero_and_empty_matrices(row):
    for n in (0, 1, N):
        found = row.call(np.zeros((n, n)), rng=0)
        assert not np.any(found.value)
        assert not np.any(found.std_error)
