# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Moments in the eigenbasis: their definition, their optimality, and what a change of basis does to them."""

import numpy as np
import pytest

from randnla.curvature import EKFAC, Dense, Exact, KroneckerFactor, Relative
from randnla.curvature.inverses.eigen_inverse import EigenInverse
from randnla.curvature.inverses.two_sided import TwoSidedInverse
from randnla.curvature.kfac.blocks import KroneckerBlock
from randnla.curvature.kfac.eigenbasis import EigenbasisBlock, second_moments
from randnla.curvature.rows import Rows


def block_of(m, n, ema=0.0):
    factors = (KroneckerFactor(d, ema=ema, dtype=np.float64) for d in (m, n))
    return EigenbasisBlock(
        KroneckerBlock(*factors, ("g", "a"), TwoSidedInverse(EigenInverse(), EigenInverse()))
    )


def feed(block, rows):
    block.absorb(block.prepare(rows))


def refresh(block, damping=None):
    outcome = block.renewal(damping or Exact(0.01), detached=False)()
    block.adopt(outcome.made)


def rows_of(samples, uses, m, n, seed=0):
    rng = np.random.default_rng(seed)
    count = samples * uses
    correlated = rng.standard_normal((count, 1))
    a, g = rng.standard_normal((count, n)) * (1 + correlated**2), rng.standard_normal((count, m)) * correlated
    return Rows(a, g, samples, uses)


def per_sample(rows):
    g, a = rows.g.reshape(rows.samples, rows.uses, -1), rows.a.reshape(rows.samples, rows.uses, -1)
    return np.einsum("stm,stn->smn", g, a)


def dense_model(block):
    P, Q = block._bases()
    B = np.kron(P, Q)
    return (B * block.moments.ravel()) @ B.T


@pytest.mark.parametrize("uses", [1, 4])
def test_moments_are_those_of_every_samples_gradient(uses):
    rng = np.random.default_rng(1)
    rows = rows_of(30, uses, 4, 5)
    P, Q = (np.linalg.qr(rng.standard_normal((d, d)))[0] for d in (4, 5))
    expected = np.mean((P.T @ per_sample(rows) @ Q) ** 2, axis=0)
    np.testing.assert_allclose(second_moments(rows, P, Q), expected, rtol=1e-12)


@pytest.mark.parametrize("uses", [1, 3])
def test_it_is_never_further_from_the_fisher_matrix_than_the_product_is(uses):
    for seed in range(20):
        rows = rows_of(40, uses, 3, 4, seed)
        block = block_of(3, 4)
        feed(block, rows)
        refresh(block)
        product = dense_model(block)
        np.testing.assert_allclose(
            product, np.kron(block.base.left.value, block.base.right.value), atol=1e-10
        )
        feed(block, rows)
        G = per_sample(rows).reshape(40, -1)
        F = G.T @ G / 40
        own, other = (np.linalg.norm(F - X) for X in (dense_model(block), product))
        assert own <= other * (1 + 1e-12)
        # It is the best diagonal in the basis: the residual has none.
        B = np.kron(*block._bases())
        assert np.abs(np.diagonal(B.T @ (F - dense_model(block)) @ B)).max() <= 1e-12 * np.linalg.norm(F)


def test_it_is_the_fisher_matrix_where_that_is_diagonal_in_the_basis():
    # Gradients along products of the eigenvectors, one a sample: F is diagonal there, but no product.
    rng = np.random.default_rng(0)
    P, Q = (np.linalg.qr(rng.standard_normal((d, d)))[0] for d in (3, 4))
    size = rng.uniform(0.5, 2.0, (3, 4))
    g = np.array([P[:, i] * size[i, j] for i in range(3) for j in range(4)])
    a = np.array([Q[:, j] * (1 + j) for i in range(3) for j in range(4)])  # no eigenvalue twice
    rows = Rows(a, g, 12, 1)
    block = block_of(3, 4)
    feed(block, rows)
    refresh(block)
    feed(block, rows)
    G = per_sample(rows).reshape(12, -1)
    np.testing.assert_allclose(dense_model(block), G.T @ G / 12, atol=1e-13)
    V = rng.standard_normal((3, 4))
    expected = np.linalg.solve(G.T @ G / 12 + 0.01 * np.eye(12), V.ravel()).reshape(3, 4)
    np.testing.assert_allclose(block.precondition(V), expected, rtol=1e-9)
    assert block.logdet() == pytest.approx(np.linalg.slogdet(G.T @ G / 12 + 0.01 * np.eye(12))[1])
    assert block.quadform(V) == pytest.approx(np.sum(V * expected))


def test_a_basis_in_another_order_permutes_the_moments():
    block = block_of(4, 5, ema=0.5)
    feed(block, rows_of(50, 1, 4, 5))
    refresh(block)
    feed(block, rows_of(50, 1, 4, 5, 1))
    before, model = block.moments.copy(), dense_model(block)
    inverse = block.base.inverse
    rng = np.random.default_rng(0)
    orders = rng.permutation(4), rng.permutation(5)
    turned = TwoSidedInverse(inverse.left, inverse.right)
    turned.shifts = inverse.shifts
    for side, order in zip((turned.left, turned.right), orders, strict=True):
        side.U, side.s = side.U[:, order] * rng.choice([-1.0, 1.0], order.size), side.s[order]
    block.adopt((turned, Exact(0.01)))
    np.testing.assert_allclose(block.moments, before[np.ix_(*orders)], rtol=1e-12)
    np.testing.assert_allclose(dense_model(block), model, atol=1e-12 * np.abs(model).max())


def test_another_basis_takes_the_diagonal_of_what_the_moments_stood_for():
    block = block_of(4, 5, ema=0.5)
    feed(block, rows_of(50, 1, 4, 5))
    refresh(block)
    feed(block, rows_of(50, 1, 4, 5, 1))
    model = dense_model(block)
    refresh(block)
    B = np.kron(*block._bases())
    np.testing.assert_allclose(block.moments.ravel(), np.diagonal(B.T @ model @ B), rtol=1e-10)


def test_dampings_are_added_to_the_moments():
    rows = rows_of(30, 1, 2, 3)
    layer = Dense(3, 2, bias=False)
    for damping in (Exact(0.3), Relative(0.3)):
        made = EKFAC({"only": layer}, damping=damping, dtype=np.float64, stats_every=1, inv_every=2)
        V = np.ones((2, 3))
        for _ in range(2):
            made.accumulate("only", rows.a, rows.g)
            direction = made.step({"only": V})["only"]
        block = made._blocks["only"]
        # The second batch came after the refresh: relative to the largest product of eigenvalues.
        s, t = (side.s.max() for side in (block.base.inverse.left, block.base.inverse.right))
        shift = 0.3 * (1.0 if type(damping) is Exact else s * t)
        expected = np.linalg.solve(dense_model(block) + shift * np.eye(6), V.ravel()).reshape(2, 3)
        np.testing.assert_allclose(direction, expected, rtol=1e-10)
        assert made.health["only"].inverse == "eigenbasis"
