# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Elliptic equations: orders of convergence, ghost points, least squares over functions, evaluation."""

import numpy as np
import pytest
from manifold_cases import half_circle, half_torus, torus_grid, torus_points, torus_problem
from scipy.spatial import cKDTree

from randnla import ConvergenceWarning, InputError, NonFiniteError
from randnla.manifold import Boundary, diffusion_map, laplacian, solve_elliptic
from randnla.manifold.geometry import outward_normals


def held_out(count=500):
    t, p = np.random.default_rng(1).uniform(0, 2 * np.pi, (2, count))
    return torus_points(t, p), np.sin(p) * np.cos(t)


def test_the_error_on_a_torus_falls_like_the_number_of_points():
    errors = []
    for n in (24, 32, 48, 64):
        X, t, p = torus_grid(n)
        f, kappa, u = torus_problem(t, p)
        found = solve_elliptic(X, f, a=1.0, kappa=kappa)
        assert found.info.path == "symmetric, cg"
        assert found.info.converged
        assert found.info.residual <= 1e-8
        errors.append(np.abs(found.u - u).max())
    order = -np.polyfit(np.log([576, 1024, 2304, 4096]), np.log(errors), 1)[0]
    assert order >= 0.9
    assert errors[-1] <= 8e-3


@pytest.mark.parametrize("preconditioner", ["sparsified", "nystrom", "rpcholesky"])
def test_preconditioners_change_nothing_but_the_steps(preconditioner):
    X, t, p = torus_grid(24)
    f, kappa, _ = torus_problem(t, p)
    plain = solve_elliptic(X, f, a=1.0, kappa=kappa, preconditioner=None, tol=1e-10)
    found = solve_elliptic(X, f, a=1.0, kappa=kappa, preconditioner=preconditioner, tol=1e-10, rng=0)
    assert found.info.path == f"symmetric, {preconditioner} cg"
    assert np.abs(found.u - plain.u).max() <= 1e-8
    if preconditioner == "sparsified":
        assert found.info.iterations < plain.info.iterations


def test_without_absorption_the_mean_is_zero():
    X, t, p = torus_grid(40)
    f, kappa, u = torus_problem(t, p, a=0.0)
    found = solve_elliptic(X, f + 7.0, kappa=kappa)  # the constant is no right-hand side
    assert abs(found.laplacian.mass @ found.u) <= 1e-10 * found.laplacian.mass.sum()
    assert np.abs(found.u - u).max() <= 5e-2  # 4.1e-2 of a prototype


def test_a_coefficient_that_varies_and_several_right_hand_sides():
    X, t, p = torus_grid(24)
    f, kappa, u = torus_problem(t, p, a=0.0)
    a = 1 + np.sin(t) ** 2
    both = solve_elliptic(X, np.c_[f + a * u, np.cos(t)], a=a, kappa=kappa)
    assert both.u.shape == (576, 2)
    assert both.evaluate(X[:5]).shape == (5, 2)
    one = solve_elliptic(X, f + a * u, a=a, kappa=kappa)
    assert np.abs(both.u[:, 0] - one.u).max() <= 1e-6
    assert np.abs(one.u - u).max() <= 7e-2


@pytest.mark.parametrize("n", [200, 400])
def test_ghost_points_gain_thirty_times_on_a_half_circle(n):
    X, t = half_circle(n)
    u, f = np.sin(2 * t + 0.4) + t, 5 * np.sin(2 * t + 0.4) + t
    errors = []
    for ghosts in (0, 16):
        edge = Boundary([0, n - 1], u[[0, -1]], ghosts=ghosts)
        found = solve_elliptic(X, f, a=1.0, boundary=edge, neighbors=int(3 * n**0.5))
        assert np.array_equal(found.u[[0, -1]], u[[0, -1]])
        errors.append(np.abs(found.u - u).max())
    assert found.info.path == "ghost points, lu"
    assert errors[1] <= errors[0] / 30


def test_a_known_flux_is_met_to_second_order():
    errors = []
    for n in (100, 200, 400):
        X, t = half_circle(n)
        u, f = np.sin(2 * t + 0.4) + t, 5 * np.sin(2 * t + 0.4) + t
        slope = 2 * np.cos(2 * t[[0, -1]] + 0.4) + 1
        edge = Boundary([0, n - 1], slope * [-1, 1], kind="neumann")
        found = solve_elliptic(X, f, a=1.0, boundary=edge, neighbors=int(3 * n**0.5))
        errors.append(np.abs(found.u - u).max())
    assert errors[0] <= 4e-2
    assert errors[2] <= errors[0] / 10


def test_ghost_points_on_a_surface_by_lu_and_gmres():
    errors = {}
    for n in (24, 48, 72):
        X, t, p, rows = half_torus(n)
        f, kappa, u = torus_problem(t, p)
        for ghosts in (0, 16):
            edge = Boundary(rows, u[rows], ghosts=ghosts)
            found = solve_elliptic(X, f, a=1.0, kappa=kappa, boundary=edge, rng=0)
            errors[n, ghosts] = np.abs(found.u - u).max()
            assert found.info.converged
        assert found.info.path == ("ghost points, gmres" if n == 72 else "ghost points, lu")
    assert errors[48, 16] <= errors[48, 0] / 5
    assert errors[48, 16] <= 1.2e-2
    assert errors[24, 16] >= 4 * errors[48, 16]


@pytest.mark.parametrize("n", [36, 48])
def test_half_a_torus_with_ghost_points_is_as_accurate_as_a_whole_one(n):
    """Nothing is left of the boundary's own error: the gain over a cut kernel ends at that of the inside."""
    X, t, p = torus_grid(n)
    f, kappa, u = torus_problem(t, p)
    whole = np.abs(solve_elliptic(X, f, a=1.0, kappa=kappa).u - u).max()
    X, t, p, rows = half_torus(n)
    f, kappa, u = torus_problem(t, p)
    half = solve_elliptic(X, f, a=1.0, kappa=kappa, boundary=Boundary(rows, u[rows]))
    assert half.info.path == "ghost points, lu"
    assert np.abs(half.u - u).max() <= 1.25 * whole


def test_normals_may_be_given():
    X, t, p, rows = half_torus(48)
    f, kappa, u = torus_problem(t, p)
    normals = np.zeros((len(rows), 3))
    normals[:, 1] = -1.0  # at p = 0 and at p = pi the half with y >= 0 ends
    found = outward_normals(cKDTree(X), X, rows, 2)
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-12)
    assert np.abs(found - normals).max() <= 0.05
    one, three = (
        solve_elliptic(X, f, a=1.0, kappa=kappa, boundary=Boundary(rows, u[rows], normals=c * normals)).u
        for c in (1, 3)
    )
    assert np.abs(one - three).max() <= 1e-10
    assert np.abs(one - u).max() <= 1.2e-2


def test_a_flux_without_absorption_has_mean_zero():
    X, t = half_circle(200)
    u = np.cos(t)  # -u'' = cos t, no flux at both ends
    found = solve_elliptic(X, np.cos(t), boundary=Boundary([0, 199], kind="neumann"), neighbors=40)
    assert np.abs(found.u - u).max() <= 1e-2
    features = solve_elliptic(
        X, np.cos(t), boundary=Boundary([0, 199], kind="neumann"), neighbors=40, method="features", rng=0
    )
    assert np.abs(features.u - u).max() <= 1e-2


@pytest.mark.parametrize("basis", ["fourier", "kernel"])
def test_features_lose_nothing_off_the_cloud(basis):
    X, t, p = torus_grid(32)
    f, kappa, u = torus_problem(t, p)
    direct = np.abs(solve_elliptic(X, f, a=1.0, kappa=kappa).u - u).max()
    found = solve_elliptic(X, f, a=1.0, kappa=kappa, method="features", basis=basis, features=300, rng=0)
    Y, v = held_out()
    assert np.abs(found.u - u).max() <= 1.05 * direct
    assert np.abs(found.evaluate(Y) - v).max() <= 1.1 * direct
    again = solve_elliptic(
        X, f, a=1.0, kappa=kappa, method="features", basis=basis, features=300, rng=found.info.seed
    )
    assert np.array_equal(again.u, found.u)


def test_polynomials_meet_the_cloud_and_lose_little_off_it():
    X, t, p = torus_grid(32)
    f, kappa, u = torus_problem(t, p)
    found = solve_elliptic(X, f, a=1.0, kappa=kappa)
    Y, v = held_out()
    assert np.abs(found.evaluate(X) - found.u).max() <= 1e-6
    assert np.abs(found.evaluate(Y) - v).max() <= 1.2 * np.abs(found.u - u).max()


def test_features_with_known_values_and_singular_equations():
    X, t = half_circle(200)
    u, f = np.sin(2 * t + 0.4) + t, 5 * np.sin(2 * t + 0.4) + t
    edge = Boundary([0, 199], u[[0, -1]])
    found = solve_elliptic(X, f, a=1.0, boundary=edge, neighbors=42, method="features", features=60, rng=0)
    assert np.abs(found.u - u).max() <= 1e-2
    X, t, p = torus_grid(40)
    f, kappa, u = torus_problem(t, p, a=0.0)
    found = solve_elliptic(X, f, kappa=kappa, method="features", features=300, rng=0)
    assert np.abs(found.u - u).max() <= 5e-2


def test_nystrom_interpolation_beside_it():
    """Thirty eigenfunctions hold u, which is one of two low frequencies, to a few percent."""
    X, t, p = torus_grid(32)
    found = diffusion_map(X, 30, rng=0)
    Y, v = held_out()
    assert np.abs(found.interpolate(np.sin(p) * np.cos(t), Y) - v).max() <= 5e-2


def test_a_solve_that_is_cut_short_says_so():
    X, t, p = torus_grid(24)
    f, kappa, _ = torus_problem(t, p)
    with pytest.warns(ConvergenceWarning, match="residual"):
        found = solve_elliptic(X, f, a=1.0, kappa=kappa, maxiter=2)
    assert not found.info.converged
    assert found.info.residual > 1e-8


def test_a_cloud_without_a_dimension_has_a_solution_but_no_values_elsewhere():
    X = np.array([[0.0], [0.0], [1.0]])
    u, evaluate = solve_elliptic(X, np.array([1.0, 1.0, 2.0]), a=3.0)
    L = laplacian(X)
    np.testing.assert_allclose(L.apply(u) + 3.0 * u, [1.0, 1.0, 2.0], rtol=1e-7)
    with pytest.raises(InputError, match=r"dimension: cannot be estimated from these points"):
        evaluate(X)


@pytest.mark.parametrize("n", [24, 48])
@pytest.mark.parametrize("random", [False, True])
def test_the_certificate_tells_the_error_of_the_discretization(random, n):
    if random:
        t, p = np.random.default_rng(0).uniform(0, 2 * np.pi, (2, n * n))
        X = torus_points(t, p)
    else:
        X, t, p = torus_grid(n)
    f, kappa, u = torus_problem(t, p)
    found = solve_elliptic(X, f, a=1.0, kappa=kappa, certify=True, rng=0)
    weights = found.laplacian.mass / found.laplacian.mass.sum()
    error = np.sqrt(weights @ (found.u - u) ** 2)
    assert 0.5 * error < found.info.error_estimate < 6 * error
    assert found.info.certificate == "three bandwidths"
    assert found.info.error_relative == pytest.approx(
        found.info.error_estimate / np.sqrt(weights @ found.u**2), rel=1e-12
    )
    plain = solve_elliptic(X, f, a=1.0, kappa=kappa, rng=0)
    assert np.array_equal(plain.u, found.u)
    assert plain.info.error_estimate is None


def test_certificates_at_boundaries_and_of_features():
    X, t = half_circle(200)
    u = np.sin(2 * t + 0.4) + t
    f = 4 * np.sin(2 * t + 0.4) + u
    for ghosts in (0, 16):
        edge = Boundary([0, 199], values=u[[0, 199]], ghosts=ghosts)
        found = solve_elliptic(X, f, a=1.0, boundary=edge, neighbors=42, certify=True, rng=0)
        error = np.sqrt(np.mean((found.u - u) ** 2))
        assert 0.2 * error < found.info.error_estimate < 10 * error
    X, t, p = torus_grid(24)
    f, kappa, u = torus_problem(t, p)
    F = np.c_[f, np.zeros(len(f))]
    found = solve_elliptic(X, F, a=1.0, kappa=kappa, method="features", features=100, certify=True, rng=0)
    assert np.sqrt(np.mean((found.u[:, 0] - u) ** 2)) < 3 * found.info.error_estimate < 0.6
    with pytest.raises(InputError, match=r"^certify: expected"):
        solve_elliptic(X, f, a=1.0, certify="yes")


@pytest.mark.parametrize("ghosts", [0, 16])
def test_no_certificate_where_the_kernel_reaches_no_neighbor(ghosts):
    X, t = half_circle(200)
    u = np.sin(2 * t + 0.4) + t
    f = 4 * np.sin(2 * t + 0.4) + u
    edge = Boundary([0, 199], values=u[[0, 199]], ghosts=ghosts)
    found = solve_elliptic(X, f, a=1.0, boundary=edge, neighbors=42, bandwidth=1e-9, certify=True)
    assert np.abs(found.u - u).max() > 1
    assert found.info.error_estimate == found.info.error_relative == np.inf


@pytest.mark.parametrize("exponent", [-1000, -560, 530, 990])
@pytest.mark.parametrize("ghosts", [0, 16])
def test_residuals_and_certificates_are_those_of_other_units(ghosts, exponent):
    X, t = half_circle(200)
    u = np.sin(2 * t + 0.4) + t
    f = 4 * np.sin(2 * t + 0.4) + u

    def solve(unit, **options):
        values = np.ldexp(u[[0, 199]], unit)
        edge = Boundary([0, 199], values=values, ghosts=ghosts)
        F = np.c_[np.ldexp(f, unit), np.ldexp(f, unit) / 2]
        return solve_elliptic(X, F, a=1.0, boundary=edge, neighbors=42, rng=0, **options)

    plain, other = solve(0, certify=True), solve(exponent, certify=True)
    np.testing.assert_allclose(np.ldexp(other.u, -exponent), plain.u, rtol=1e-10)
    assert 0 < other.info.residual <= 1e-8
    moved = float(np.ldexp(other.info.error_estimate, -exponent))
    assert moved == pytest.approx(plain.info.error_estimate, rel=1e-10)
    plain, other = solve(0, method="features"), solve(exponent, method="features")
    assert other.info.residual == pytest.approx(plain.info.residual, rel=1e-6)


def test_a_column_of_tiny_numbers_is_measured_beside_others():
    X, t, p = torus_grid(16)
    f, kappa, _ = torus_problem(t, p)
    with pytest.warns(ConvergenceWarning, match="residual"):
        found = solve_elliptic(X, np.c_[np.zeros(256), 1e-170 * f], a=1.0, kappa=kappa, maxiter=1)
    with pytest.warns(ConvergenceWarning, match="residual"):
        plain = solve_elliptic(X, f, a=1.0, kappa=kappa, maxiter=1)
    assert found.info.residual == pytest.approx(plain.info.residual, rel=1e-6)


@pytest.mark.parametrize("ghosts", [0, 16])
def test_right_hand_sides_at_known_values_are_not_read(ghosts):
    X, t = half_circle(200)
    u = np.sin(2 * t + 0.4) + t
    f = 4 * np.sin(2 * t + 0.4) + u
    edge = Boundary([0, 199], values=u[[0, 199]], ghosts=ghosts)
    g = f.copy()
    g[[0, 199]] = np.nan, np.inf
    given = g.copy()
    for method in ("direct", "features"):
        plain, other = (
            solve_elliptic(X, F, a=1.0, boundary=edge, neighbors=42, method=method, rng=0) for F in (f, g)
        )
        assert np.array_equal(plain.u, other.u)
        assert plain.info.residual == other.info.residual
    assert np.array_equal(g, given, equal_nan=True)
    with pytest.raises(NonFiniteError, match=r"^f: 2 entries are NaN or Inf, the first at index 0"):
        solve_elliptic(X, g, a=1.0, boundary=Boundary([0, 199], kind="neumann"), neighbors=42)
