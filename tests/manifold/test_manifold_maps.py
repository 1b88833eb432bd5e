# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Diffusion maps: eigenvalues of circles and spheres, LAPACK, extension off the cloud."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from manifold_cases import torus_grid, torus_points

import randnla
from randnla.manifold import diffusion_map, laplacian
from randnla.manifold.spectrum import ChebyshevFilter, smallest


def test_the_filter_is_a_chebyshev_polynomial():
    A = np.diag(np.linspace(0, 10, 21))
    filtered = ChebyshevFilter(A, 1.0, 10.0, 7) @ np.eye(21)
    x = (11.0 - 2 * np.diag(A)) / 9.0
    wanted = np.where(
        np.abs(x) <= 1, np.cos(7 * np.arccos(np.clip(x, -1, 1))), np.cosh(7 * np.arccosh(np.maximum(x, 1)))
    )
    assert np.allclose(np.diag(filtered), wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kernel", ["fixed", "variable"])
def test_pairs_are_those_of_lapack(kernel):
    t, p = np.random.default_rng(0).uniform(0, 2 * np.pi, (2, 800))
    X = torus_points(t, p)
    L = laplacian(X, neighbors=40, kernel=kernel, dimension=2)
    wanted = scipy.linalg.eigh(L.stiffness.toarray(), np.diag(L.mass), eigvals_only=True)[:12]
    found = diffusion_map(X, 12, neighbors=40, kernel=kernel, dimension=2, rng=0)
    assert found.info.path == "filtered subspace"
    assert found.info.converged
    # Errors of eigenvalues are below the residual, which is certified.
    assert np.abs(found.w - wanted).max() <= found.info.error_estimate + 1e-10 * wanted[-1]
    left = (L.stiffness @ found.V) / L.mass[:, None] - found.V * found.w
    norms = np.sqrt(L.mass @ left**2 / L.mass.sum())
    assert np.isclose(norms.max(), found.info.error_estimate, rtol=0.1, atol=1e-9)
    gram = (found.V.T * (L.mass / L.mass.sum())) @ found.V
    assert np.abs(gram - np.eye(12)).max() <= 1e-10


def test_a_circle_has_squares_and_a_sphere_has_j_times_j_plus_one():
    t = 2 * np.pi * np.arange(600) / 600
    found = diffusion_map(np.c_[np.cos(t), np.sin(t)], 7, neighbors=40, rng=0)
    assert np.allclose(found.w, [0, 1, 1, 4, 4, 9, 9], rtol=1e-2, atol=1e-8)
    i = np.arange(2000) + 0.5
    theta, phi = np.arccos(1 - 2 * i / 2000), np.pi * (1 + 5**0.5) * i
    X = np.c_[np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
    found = diffusion_map(X, 9, rng=0)
    assert np.allclose(found.w, [0, 2, 2, 2, 6, 6, 6, 6, 6], rtol=3e-2, atol=1e-8)
    # The first coordinates are the sphere itself, up to a rotation and the norm 3^(1/2).
    fit, *_ = np.linalg.lstsq(found.V[:, 1:4], X, rcond=None)
    assert np.abs(found.V[:, 1:4] @ fit - X).max() <= 1e-2


def test_seeds_replay_and_threads_do_not_matter():
    X, _, _ = torus_grid(20)
    runs = []
    for count in (1, 2):
        randnla.set_num_threads(count)
        runs.append(diffusion_map(X, 6, rng=5))
    randnla.set_num_threads(0)
    assert np.abs(runs[0].w - runs[1].w).max() <= 1e-10
    again = diffusion_map(X, 6, rng=runs[1].info.seed)
    assert np.allclose(again.w, runs[1].w, rtol=0, atol=1e-10)


def test_coordinates_decay_with_time():
    X, _, _ = torus_grid(16)
    found = diffusion_map(X, 6, rng=0)
    assert np.array_equal(found.coordinates(), found.V[:, 1:])
    assert np.allclose(found.coordinates(2.0), found.V[:, 1:] * np.exp(-2 * found.w[1:]))


def test_extension_is_exact_on_the_cloud_and_smooth_off_it():
    X, t, p = torus_grid(40)
    found = diffusion_map(X, 8, rng=0)
    on = found.extend(X)
    # The kernel of the cloud is the union of neighbors both ways, that of new points has one way.
    assert np.abs(on - found.V).max() <= 1e-2
    Y = torus_points(t + 0.03, p + 0.02)
    inside = found.extend(Y)
    assert np.abs(inside - found.V).max() <= 0.2
    assert np.allclose(inside[:, 0], 1.0, atol=1e-6)


def test_the_variable_kernel_extends_where_density_varies():
    """A circle ten times as densely sampled on one side: cos and sin of the angle come back off the cloud."""
    n = 1500
    t = 2 * np.pi * np.arange(n) / n
    for _ in range(50):  # the inverse of t + .8 sin t: density 1 / (1 + .8 cos)
        t = t - (t + 0.8 * np.sin(t) - 2 * np.pi * np.arange(n) / n) / (1 + 0.8 * np.cos(t)) * 0.5
    X = np.c_[np.cos(t), np.sin(t)]
    found = diffusion_map(X, 5, kernel="variable", neighbors=60, rng=0)
    assert np.abs(found.w[1:3] - 1).max() <= 0.02
    assert np.abs(found.extend(X) - found.V).max() <= 1e-2
    s = np.linspace(0, 2 * np.pi, 997)
    Y = np.c_[np.cos(s), np.sin(s)]
    fit = np.linalg.lstsq(found.V[:, 1:3], X, rcond=None)[0]
    assert np.abs(found.extend(Y)[:, 1:3] @ fit - Y).max() <= 1e-2
    assert np.abs(found.interpolate(np.sin(t), Y) - np.sin(s)).max() <= 1e-2


def test_small_clouds_are_left_to_lapack():
    X, _, _ = torus_grid(12)
    found = diffusion_map(X, 5)
    assert found.info.path == "lapack"
    assert found.w[0] <= 1e-10


def test_pairs_that_do_not_come_are_reported(monkeypatch):
    X, _, _ = torus_grid(24)
    monkeypatch.setattr("randnla.manifold.spectrum.ROUNDS", 1)
    with pytest.warns(randnla.ConvergenceWarning, match="diffusion_map: residual"):
        found = diffusion_map(X, 20, rng=0)
    assert not found.info.converged


def test_the_spectrum_of_a_path_graph():
    n = 300
    middle = np.full(n, 2.0)
    middle[[0, -1]] = 1.0
    A = scipy.sparse.diags_array([-np.ones(n - 1), middle, -np.ones(n - 1)], offsets=[-1, 0, 1]).tocsr()
    found = smallest(A, 5, 4.0, 1e-8, 0)
    wanted = 2 - 2 * np.cos(np.pi * np.arange(5) / n)
    assert np.abs(found.w - wanted).max() <= 1e-12
