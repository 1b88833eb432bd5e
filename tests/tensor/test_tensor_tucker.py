# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tucker decompositions: exact rank, the error that is told, the bound by singular values."""

from __future__ import annotations

import numpy as np
import pytest

from randnla import InputError, NonFiniteError
from randnla.tensor import TuckerResult, hosvd


@pytest.mark.parametrize("shape", [(6, 7), (5, 6, 7), (4, 5, 3, 4), (2, 3, 2, 3, 2), (2, 3, 2, 2, 2, 3)])
def test_tensors_of_low_multilinear_rank_come_back(shape):
    rng = np.random.default_rng(0)
    T = rng.standard_normal((2,) * len(shape))
    for k, d in enumerate(shape):
        T = np.moveaxis(np.tensordot(T, rng.standard_normal((d, 2)), (k, 1)), -1, k)
    result = hosvd(T, 2, rng=0)
    assert isinstance(result, TuckerResult)
    assert result.core.shape == (2,) * len(shape)
    np.testing.assert_allclose(result.to_dense(), T, atol=1e-12 * np.linalg.norm(T))
    for factor in result.factors:
        np.testing.assert_allclose(factor.T @ factor, np.eye(2), atol=1e-13)
    assert result.info.method == "st-hosvd"


def test_the_error_is_told_and_near_the_least():
    rng = np.random.default_rng(1)
    T = np.asfortranarray(rng.standard_normal((20, 22, 24)) / (1 + np.indices((20, 22, 24)).sum(axis=0)) ** 2)
    ranks = (3, 4, 5)
    result = hosvd(T, ranks, rng=0)
    error = np.linalg.norm(T - result.to_dense())
    assert result.info.error_estimate == pytest.approx(error, rel=1e-12)
    assert result.info.error_relative == pytest.approx(error / np.linalg.norm(T), rel=1e-12)
    tails = []
    for k, r in enumerate(ranks):
        s = np.linalg.svd(np.moveaxis(T, k, 0).reshape(T.shape[k], -1), compute_uv=False)
        tails.append(np.sum(s[r:] ** 2))
    assert np.sqrt(max(tails)) <= error <= 1.01 * np.sqrt(sum(tails))  # 1 % for the randomized bases


def test_ends_of_the_range():
    T = np.random.default_rng(2).standard_normal((4, 5, 6))
    assert hosvd(T, (4, 5, 6), rng=0).info.error_relative <= 1e-13
    nothing = hosvd(T, 0, rng=0)
    assert nothing.core.shape == (0, 0, 0)
    assert nothing.info.error_relative == pytest.approx(1)
    assert hosvd(np.zeros((3, 4, 5)), 2, rng=0).info.error_estimate == 0


def test_misuse_of_tucker_is_named():
    T = np.ones((4, 5, 6))
    with pytest.raises(InputError, match=r"^ranks: expected one number or 3, got 2"):
        hosvd(T, (1, 2))
    with pytest.raises(InputError, match=r"^ranks\[0\]: .*5"):
        hosvd(T, (5, 1, 1))
    with pytest.raises(InputError, match=r"^ranks: expected at most 1 in mode 2"):
        hosvd(T, (1, 1, 2))
    with pytest.raises(InputError, match=r"^T: expected real numbers, got complex128"):
        hosvd(1j * T, 1)
    with pytest.raises(NonFiniteError, match=r"^T: 120 entries are NaN or Inf"):
        hosvd(T * np.nan, 1)
