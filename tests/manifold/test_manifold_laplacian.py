# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Neighbors, graphs, bandwidths and the Laplacian against dense formulas and known eigenfunctions."""

import pickle

import numpy as np
import pytest
from manifold_cases import torus_grid, torus_points
from scipy.spatial.distance import cdist

import randnla
from randnla.manifold import estimate_dimension, laplacian
from randnla.manifold.bandwidth import tuned
from randnla.manifold.cloud import of_itself
from randnla.manifold.graph import union


def cloud(n=300, seed=0):
    t, p = np.random.default_rng(seed).uniform(0, 2 * np.pi, (2, n))
    return torus_points(t, p)


@pytest.mark.parametrize("points", [cloud(), torus_grid(18)[0], np.repeat(cloud(60), 3, axis=0)])
@pytest.mark.parametrize("k", [4, 17])
def test_the_graph_is_the_union_of_both_sides(points, k):
    found = of_itself(points, k)
    n = len(points)
    assert (found.index[:, 0] == np.arange(n)).all()
    graph, squared = union(found)
    wanted = np.zeros((n, n), bool)
    wanted[np.arange(n)[:, None], found.index] = True
    wanted |= wanted.T
    dense = graph.matrix(squared + 1.0).toarray()
    assert len(squared) == np.count_nonzero(wanted)
    assert np.array_equal(dense > 0, wanted)
    assert np.array_equal(dense, dense.T)
    assert np.allclose(dense[wanted], cdist(points, points, "sqeuclidean")[wanted] + 1, rtol=1e-14)
    assert (graph.indices[graph.indptr[:-1]] == np.arange(n)).all()


def test_components_are_counted():
    two = np.concatenate([cloud(100), cloud(100) + 100.0])
    assert union(of_itself(two, 8))[0].components() == 2
    assert union(of_itself(cloud(), 12))[0].components() == 1
    # Pairs of near points are parts of their own for the nearest few, and joined by the others.
    pairs = np.repeat(np.linspace(0, 1, 30)[:, None], 6, axis=0) + 1e-6 * np.arange(180)[:, None]
    assert union(of_itself(pairs, 20))[0].components() == 1


def dense_fixed(points, eps, kappa):
    """Formula by formula: h, q, D, and the operator that tends to div(kappa grad)."""
    h = np.exp(-cdist(points, points, "sqeuclidean") / (4 * eps))
    q = h.sum(axis=1)
    D = (h / q).sum(axis=1)
    s = np.sqrt(kappa)
    rates = s[:, None] * h * (s / q) / (eps * D[:, None])
    return np.diag(rates.sum(axis=1)) - rates


def test_all_neighbors_give_the_dense_operator():
    X = cloud(200)
    kappa = 1.5 + X[:, 2]
    found = laplacian(X, kappa, neighbors=200, bandwidth=0.3)
    dense = found.stiffness.toarray() / found.mass[:, None]
    wanted = dense_fixed(X, 0.3, kappa)
    assert np.abs(dense - wanted).max() <= 1e-12 * np.abs(wanted).max()
    assert np.array_equal(found.stiffness.toarray(), found.stiffness.toarray().T)
    assert np.linalg.eigvalsh(found.stiffness.toarray())[0] >= -1e-12 * found.stiffness.toarray().max()
    assert found.info.path == "symmetric"
    assert found.info.rank == 199


def test_kernel_of_all_neighbors_by_variable_bandwidths():
    """The formulas of Berry and Harlim with d = 2: alpha = 1/2 - d/4 = 0."""
    X = cloud(150, 3)
    found = laplacian(X, neighbors=150, kernel="variable", dimension=2)
    squared = cdist(X, X, "sqeuclidean")
    first = np.sqrt(np.sort(squared, axis=1)[:, 1:17].mean(axis=1))
    rho = (np.exp(-squared / (2 * np.outer(first, first))).sum(axis=1) / first**2) ** -0.5
    rho /= np.exp(np.mean(np.log(rho)))
    h = np.exp(-squared / (4 * found.bandwidth * np.outer(rho, rho)))
    rates = h / h.sum(axis=1)[:, None] / (found.bandwidth * rho[:, None] ** 2)
    wanted = np.diag(rates.sum(axis=1)) - rates
    dense = found.stiffness.toarray() / found.mass[:, None]
    assert np.abs(dense - wanted).max() <= 1e-11 * np.abs(wanted).max()


@pytest.mark.parametrize(("kernel", "limit"), [("fixed", 4e-3), ("variable", 1.2e-2)])
def test_uneven_samples_leave_no_drift(kernel, limit):
    """Density 1 + .8 cos t on a circle, 3000 points: a prototype had 1.5e-3 and 5.7e-3."""
    n = 3000
    t = 2 * np.pi * (np.arange(n) + 0.5) / n
    for _ in range(50):  # the distribution function t + .8 sin t, inverted by Newton's method
        t -= (t + 0.8 * np.sin(t) - 2 * np.pi * (np.arange(n) + 0.5) / n) / (1 + 0.8 * np.cos(t))
    X = np.c_[np.cos(t), np.sin(t)]
    found = laplacian(X, neighbors=160, kernel=kernel, dimension=1)
    error = found.apply(np.sin(t)) - np.sin(t)
    assert np.sqrt(np.mean(error**2)) <= limit


def test_a_wrong_normalization_drifts():
    """The c1 of the variable kernel: with alpha = -d/4 it is 1, and the density's gradient shows."""
    from randnla.manifold import kernels

    n = 3000
    t = 2 * np.pi * (np.arange(n) + 0.5) / n
    for _ in range(50):
        t -= (t + 0.8 * np.sin(t) - 2 * np.pi * (np.arange(n) + 0.5) / n) / (1 + 0.8 * np.cos(t))
    X = np.c_[np.cos(t), np.sin(t)]
    made = kernels.make_kernel(X, 160, "variable", None, 1.0)
    # K_a = K_{1/4} (q_i q_j)^(1/2) has alpha = -1/4.
    values = made.values.copy()
    made.graph.multiply(values, made.weights**-2)
    K = made.graph.matrix(values)
    rho2 = made.mass / made.graph.sums(made.values)
    found = ((K @ np.sin(t)) / K.sum(axis=1) - np.sin(t)) / (made.eps * rho2)
    drift = -0.8 * np.sin(t) / (1 + 0.8 * np.cos(t)) * np.cos(t)
    assert np.sqrt(np.mean((found - (-np.sin(t) + drift)) ** 2)) <= 2.5e-2
    assert np.sqrt(np.mean((found + np.sin(t)) ** 2)) >= 0.3


def test_the_weighted_operator_is_exact_for_constants_and_weakly_symmetric():
    X = cloud()
    L = laplacian(X, 1.2 + np.sin(X[:, 0]), neighbors=40)
    u, v = np.random.default_rng(1).standard_normal((2, 300))
    assert np.abs(L.apply(np.ones(300))).max() <= 1e-11 * np.abs(L.stiffness.data).max() / L.mass.min()
    assert np.isclose((L.mass * v) @ L.apply(u), (L.mass * u) @ L.apply(v), rtol=1e-11)
    assert np.array_equal(L.apply(np.c_[u, v])[:, 1], L.apply(v))


def test_scaling_the_cloud_by_four_divides_by_sixteen():
    X = cloud()
    for kernel in ("fixed", "variable"):
        one = laplacian(X, neighbors=32, kernel=kernel, dimension=2)
        four = laplacian(4 * X, neighbors=32, kernel=kernel, dimension=2)
        if kernel == "fixed":
            assert four.bandwidth == 16 * one.bandwidth
            assert np.array_equal(four.stiffness.data * 16, one.stiffness.data)
        u = X[:, 0] ** 2
        scale = np.abs(one.apply(u)).max()
        assert np.abs(16 * four.apply(u) - one.apply(u)).max() <= 1e-12 * scale


def test_threads_do_not_matter():
    X = cloud(1000)
    parts = []
    for count in (1, 2):
        randnla.set_num_threads(count)
        parts.append(laplacian(X))
    randnla.set_num_threads(0)
    assert np.array_equal(parts[0].stiffness.data, parts[1].stiffness.data)
    assert np.array_equal(parts[0].stiffness.indices, parts[1].stiffness.indices)
    assert np.array_equal(parts[0].mass, parts[1].mass)


def test_dimensions_are_found():
    rng = np.random.default_rng(0)
    for d in (1, 2, 3):
        X = rng.standard_normal((3000, d + 1))
        X /= np.linalg.norm(X, axis=1, keepdims=True)
        assert abs(estimate_dimension(X) - d) <= 0.25  # curvature and finite samples bias it down
        assert abs(estimate_dimension(X @ rng.standard_normal((d + 1, 9)), neighbors=12) - d) <= 0.3


def test_the_slope_of_a_plane_is_largest_inside_its_range():
    """On 40 x 40 grid points with k = 60 of them the sum grows like eps over a range, d / 2 = 1 there."""
    x = np.stack(np.meshgrid(np.arange(40.0), np.arange(40.0)), axis=-1).reshape(-1, 2)
    eps = tuned(of_itself(x, 60).squared)
    # Wide enough to see neighbors (eps > 1 / 4), narrow enough for 60 of them, a radius of 4.4.
    assert 0.25 <= eps <= 4.4**2 / 8


def test_results_pickle():
    L = laplacian(cloud(), neighbors=16)
    copy = pickle.loads(pickle.dumps(L))
    assert np.array_equal(copy.stiffness.toarray(), L.stiffness.toarray())
    assert copy.info == L.info
    assert "symmetric" in str(L)
