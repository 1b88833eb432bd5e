# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Streams that break off, products of the wrong shape, blocks that are deficient: every driver, by name."""

from __future__ import annotations

import numpy as np
import pytest

import randnla

M, N = 60, 24
RNG = np.random.default_rng(0)
A = RNG.standard_normal((M, 6)) @ RNG.standard_normal((6, N)) + 0.01 * RNG.standard_normal((M, N))
S = A.T @ A

STREAMED = {
    "svd": lambda X: randnla.svd(X, 6, method="subspace", rng=0),
    "svd gram": lambda X: randnla.svd(X, 6, method="gram", rng=0),
    "svd krylov": lambda X: randnla.svd(X, 6, method="krylov", rng=0),
    "svd single_pass": lambda X: randnla.svd(X, 6, method="single_pass", rng=0),
    "svd farpca": lambda X: randnla.svd(X, 6, method="farpca", rng=0),
    "svd tol": lambda X: randnla.svd(X, tol=0.1, rng=0),
    "qb": lambda X: randnla.qb(X, tol=0.1, method="ei", rng=0),
    "qb pass_efficient": lambda X: randnla.qb(X, tol=0.1, method="pass_efficient", rng=0),
    "range_finder": lambda X: randnla.range_finder(X, 6, rng=0),
    "pca": lambda X: randnla.pca(X, 6, rng=0),
    "interpolative": lambda X: randnla.interpolative(X, 6, rng=0),
    "cur": lambda X: randnla.cur(X, 6, rng=0),
}


def stream(change):
    """A as a stream of blocks of 20 rows, changed on the way."""
    return randnla.RowStream(
        lambda: iter(change([A[i : i + 20].copy() for i in range(0, M, 20)])), shape=A.shape
    )


def spoiled(blocks):
    blocks[1][3, 5] = np.nan
    return blocks


BROKEN = {
    "early": (lambda blocks: blocks[:2], randnla.InputError, "the blocks hold 40 rows, expected 60"),
    "long": (lambda blocks: [*blocks, blocks[0]], randnla.InputError, "does not fit"),
    "narrow": (lambda blocks: [blocks[0], blocks[1][:, 1:], blocks[2]], randnla.InputError, "does not fit"),
    "nan": (spoiled, randnla.NonFiniteError, r"\(23, 5\)"),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("driver", STREAMED)
def test_streams_that_break_off(driver, fault):
    change, error, message = BROKEN[fault]
    with pytest.raises(error, match=message):
        STREAMED[driver](stream(change))
    found = STREAMED[driver](stream(lambda blocks: blocks))  # the stream itself is fine
    assert found.info.error_relative < 0.2


class Products:
    """What acts like an operator of SciPy; `spoil` is done to every product but the first `fine`."""

    dtype = np.dtype(np.float64)

    def __init__(self, matrix, spoil, fine):
        self.matrix, self.shape, self.spoil, self.left = matrix, matrix.shape, spoil, fine

    def _given(self, product):
        self.left -= 1
        return product if self.left >= 0 else self.spoil(product)

    def matmat(self, X):
        return self._given(self.matrix @ X)

    def rmatmat(self, Y):
        return self._given(self.matrix.T @ Y)


def one_nan(product):
    product[-1, -1] = np.nan
    return product


WRONG = {
    "rows": (lambda product: product[1:], randnla.InputError, "expected shape"),
    "columns": (lambda product: product[:, :-1], randnla.InputError, "expected shape"),
    "nan": (one_nan, randnla.NonFiniteError, "NaN or Inf"),
}
APPLIED = {
    "svd": (A, lambda X: randnla.svd(X, 6, rng=0)),
    "svd krylov": (A, lambda X: randnla.svd(X, 6, method="krylov", rng=0)),
    "svd single_pass": (A, lambda X: randnla.svd(X, 6, method="single_pass", rng=0)),
    "svd tol": (A, lambda X: randnla.svd(X, tol=0.1, rng=0)),
    "qb": (A, lambda X: randnla.qb(X, tol=0.1, rng=0)),
    "range_finder": (A, lambda X: randnla.range_finder(X, 6, rng=0)),
    "pca": (A, lambda X: randnla.pca(X, 6, rng=0)),
    "interpolative": (A, lambda X: randnla.interpolative(X, 6, coefficients="projection", rng=0)),
    "cur": (A, lambda X: randnla.cur(X, 6, rng=0)),
    "eigh": (S, lambda X: randnla.eigh(X, 6, method="subspace", rng=0)),
    "nystrom": (S, lambda X: randnla.nystrom(X, 6, rng=0)),
}


@pytest.mark.parametrize("fine", [0, 1])
@pytest.mark.parametrize("fault", WRONG)
@pytest.mark.parametrize("driver", APPLIED)
def test_products_that_do_not_fit(driver, fault, fine):
    matrix, call = APPLIED[driver]
    spoil, error, message = WRONG[fault]
    with pytest.raises(error, match=message):
        call(Products(matrix, spoil, fine))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("rank", [0, 1, 5, 37])  # of blocks of 32: within the first, and within the second
@pytest.mark.parametrize("method", ["ei", "farpca", "pass_efficient"])
def test_a_block_that_is_deficient(method, rank, dtype):
    rng = np.random.default_rng(rank)
    X = (rng.standard_normal((200, rank)) @ rng.standard_normal((rank, 90))).astype(dtype)
    Q, B = found = randnla.qb(X, tol=1e-4 if dtype == np.float32 else 1e-8, method=method, block=32, rng=0)
    assert found.info.converged
    assert Q.shape[1] == rank
    u = float(np.finfo(dtype).eps)
    assert np.linalg.norm(Q.conj().T @ Q - np.eye(rank)) < 50 * u * (1 + rank)
    assert np.linalg.norm(X - Q @ B) <= found.info.error_estimate + 50 * u * np.linalg.norm(X)
