# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Leverage scores."""

import numpy as np
import pytest
import scipy.sparse
import scipy.stats

from randnla import InputError, NonFiniteError, leverage_scores
from randnla.sketching.leverage import COMPRESSION


def data(dtype=np.float64, rank=6):
    rng = np.random.default_rng(1)
    A = (rng.standard_normal((500, rank)) * rng.exponential(size=(500, 1))) @ rng.standard_normal((rank, 6))
    return A.astype(dtype)


def reference(A):
    U, s, _ = np.linalg.svd(A.astype(complex if A.dtype.kind == "c" else float), full_matrices=False)
    return (np.abs(U[:, s > 1e-6 * s[0]]) ** 2).sum(axis=1)


@pytest.mark.parametrize("rank", [6, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_exact(dtype, rank):
    A = data(dtype, rank)
    if dtype == np.complex128:
        A = A * np.exp(1j * np.arange(len(A)))[:, None]
    scores = leverage_scores(A, method="exact")
    np.testing.assert_allclose(scores, reference(A), atol=1e-11)
    assert scores.sum() == pytest.approx(rank)


@pytest.mark.parametrize("container", [np.asarray, scipy.sparse.csr_array])
def test_sketched_scores_are_within_their_law(container):
    # Up to COMPRESSION columns nothing is compressed: what is left is the distortion of a sketch with 4 n
    # rows, (1 +- 1/2)^2 in the limit.
    A = data()
    assert A.shape[1] <= COMPRESSION
    ratio = leverage_scores(container(A), method="sketched", rng=0) / reference(A)
    assert 0.1 < ratio.min() <= ratio.max() < 10


@pytest.mark.parametrize("method", ["auto", "exact", "sketched"])
def test_non_finite_input_is_located_in_the_argument(method):
    A = data()
    A[7, 2] = np.nan
    with pytest.raises(NonFiniteError, match=r"^A: 1 entry .* \(7, 2\)"):
        leverage_scores(A, method=method, rng=0)


def test_refusals():
    with pytest.raises(InputError, match="rows"):
        leverage_scores(data().T)
    with pytest.raises(InputError, match="dense"):
        leverage_scores(scipy.sparse.csr_array(data()), method="exact")
    with pytest.raises(InputError, match="method"):
        leverage_scores(data(), method="guess")
    with pytest.raises(InputError, match="zero"):
        leverage_scores(np.zeros((4, 2)))
    for method in ("exact", "sketched"):
        A = data()
        A[3, 2] = np.nan
        with pytest.raises(NonFiniteError), np.errstate(invalid="ignore"):
            leverage_scores(A, method=method, rng=0)
