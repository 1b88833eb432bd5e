# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Arguments that do not fit, clouds that are no manifolds, inputs that stay as they were."""

import numpy as np
import pytest
from manifold_cases import torus_grid, torus_problem

from randnla import InputError, NonFiniteError
from randnla.manifold import Boundary, diffusion_map, estimate_dimension, laplacian, solve_elliptic

X, T, P = torus_grid(12)
F, KAPPA, _ = torus_problem(T, P)
N = len(X)
NETWORK = object()

CLOUDS = {
    "complex": (X + 1j, r"^points: expected real numbers, got complex128"),
    "vector": (X[:, 0], r"^points: expected 2 dimensions, got 1"),
    "one point": (X[:1], r"^points: expected at least \d points"),
    "no coordinates": (X[:, :0], r"^points: expected at least \d points of dimension >= 1"),
    "all the same": (np.ones((30, 3)), r"^points: expected points that differ, all 30"),
    "huge": (X * 1e200, r"^points: expected coordinates in other units"),
    "tiny": (X * 1e-200, r"^points: expected coordinates in other units"),
    "text": (np.full((9, 2), "a"), r"^points: dtype"),
}


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("call", [laplacian, diffusion_map, estimate_dimension, solve_elliptic])
def test_clouds_that_are_none(name, call):
    points, message = CLOUDS[name]
    arguments = (np.ones(len(points)),) if call is solve_elliptic else ()
    with pytest.raises(InputError, match=message):
        call(points, *arguments)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("call", [laplacian, diffusion_map, estimate_dimension, solve_elliptic])
def test_points_that_are_not_finite(bad, call):
    points = X.copy()
    points[5, 1] = bad
    arguments = (F,) if call is solve_elliptic else ()
    with pytest.raises(NonFiniteError, match=r"^points: 1 entry is NaN or Inf, the first at index \(5, 1\)"):
        call(points, *arguments)


ARGUMENTS = [
    (laplacian, {"kappa": 0.0}, r"^kappa: expected positive numbers, got 0"),
    (laplacian, {"kappa": np.ones(5)}, r"^kappa: expected one real number or 144, got shape \(5,\)"),
    (laplacian, {"neighbors": 3}, r"^neighbors: expected an integer in \[4, 144\], got 3"),
    (laplacian, {"neighbors": 145}, r"^neighbors: expected an integer in \[4, 144\], got 145"),
    (laplacian, {"neighbors": 12.0}, r"^neighbors: expected an integer, got float"),
    (laplacian, {"neighbors": "few"}, r"^neighbors: expected one of 'auto', got 'few'"),
    (laplacian, {"bandwidth": 0.0}, r"^bandwidth: expected a positive number, got 0"),
    (laplacian, {"bandwidth": np.nan}, r"^bandwidth: expected a finite number"),
    (laplacian, {"kernel": "flat"}, r"^kernel: expected one of 'fixed', 'variable', got 'flat'"),
    (laplacian, {"dimension": 4}, r"^dimension: expected a number in \[1.0, 3.0\], got 4"),
    (laplacian, {"boundary": [1, 2]}, r"^boundary: expected a Boundary or None, got list"),
    (
        laplacian,
        {"boundary": Boundary([144])},
        r"^boundary.indices: expected integers in \[0, 144\), got 144",
    ),
    (laplacian, {"boundary": Boundary(np.arange(144))}, r"^boundary.indices: expected points inside"),
    (laplacian, {"boundary": Boundary([1], normals=[[1.0, 0]])}, r"^boundary.normals: expected dimension 3"),
    (laplacian, {"check_finite": 1}, r"^check_finite: expected True or False"),
    (diffusion_map, {"rank": 0}, r"^rank: expected an integer in \[1, 144\], got 0"),
    (diffusion_map, {"rank": 145}, r"^rank: expected an integer in \[1, 144\], got 145"),
    (diffusion_map, {"tol": 0.0}, r"^tol: expected a number strictly between 0 and 1"),
    (diffusion_map, {"rng": "seed"}, r"^rng: "),
    (estimate_dimension, {"neighbors": 2}, r"^neighbors: expected an integer in \[3, 143\], got 2"),
    (solve_elliptic, {"f": F[:-1]}, r"^f: expected 144 rows of real numbers, got shape \(143,\)"),
    (solve_elliptic, {"f": F + 1j}, r"^f: expected 144 rows of real numbers"),
    (solve_elliptic, {"a": -1.0}, r"^a: expected nonnegative numbers, got -1"),
    (solve_elliptic, {"method": "guess"}, r"^method: expected one of 'direct', 'features', 'network'"),
    (
        solve_elliptic,
        {"method": "network"},
        r"^network: expected one with method=\"network\".*EllipticNetwork",
    ),
    (solve_elliptic, {"network": NETWORK}, r"^network: expected one with method=\"network\" and only then"),
    (solve_elliptic, {"preconditioner": "ilu"}, r"^preconditioner: expected one of 'auto', 'none'"),
    (solve_elliptic, {"basis": "wavelet"}, r"^basis: expected one of 'fourier', 'kernel'"),
    (solve_elliptic, {"features": 0}, r"^features: expected an integer in \[1, 144\], got 0"),
    (solve_elliptic, {"length": -1.0}, r"^length: expected a positive number, got -1"),
    (solve_elliptic, {"regularization": -1.0}, r"^regularization: expected a number >= 0"),
    (solve_elliptic, {"boundary_weight": 0.0}, r"^boundary_weight: expected a positive number"),
    (solve_elliptic, {"tol": 1.0}, r"^tol: expected a number strictly between 0 and 1"),
    (solve_elliptic, {"maxiter": -1}, r"^maxiter: expected an integer >= 0"),
]


@pytest.mark.parametrize(("call", "keywords", "message"), ARGUMENTS)
def test_arguments(call, keywords, message):
    given = dict(keywords)
    arguments = (given.pop("f", F),) if call is solve_elliptic else ()
    before = X.copy(), F.copy()
    with pytest.raises(InputError, match=message):
        call(X, *arguments, **given)
    assert np.array_equal(X, before[0])
    assert np.array_equal(F, before[1])


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"indices": []}, r"^indices: expected a vector of integers"),
        ({"indices": [0.5]}, r"^indices: expected a vector of integers"),
        ({"indices": [1, 1]}, r"^indices: expected each point once"),
        ({"indices": [1], "kind": "robin"}, r"^kind: expected one of 'dirichlet', 'neumann', got 'robin'"),
        ({"indices": [1], "ghosts": -1}, r"^ghosts: expected an integer >= 0, got -1"),
        ({"indices": [1], "values": [1.0, 2.0]}, r"^values: expected 1 real numbers or one"),
        ({"indices": [1], "values": np.nan}, r"^values: 1 entry is NaN or Inf"),
        (
            {"indices": [1, 2], "values": [0.0, 0.5], "kind": "neumann", "ghosts": 0},
            r'^values: expected 0 for kind="neumann" with ghosts=0, got 0.5',
        ),
        ({"indices": [1], "normals": [[0.0, 0.0]]}, r"^normals: expected nonzero vectors"),
        ({"indices": [1], "normals": [[1.0], [1.0]]}, r"^normals: expected 1 real rows"),
    ],
)
def test_boundaries(keywords, message):
    with pytest.raises(InputError, match=message):
        Boundary(**keywords)


@pytest.mark.parametrize("name", ["f", "a", "kappa"])
def test_functions_that_are_not_finite(name):
    bad = np.ones(N)
    bad[7] = np.nan
    with pytest.raises(NonFiniteError, match=rf"^{name}: 1 entry is NaN or Inf, the first at index 7"):
        solve_elliptic(X, **{"f": F, name: bad})


def test_a_graph_in_two_parts_has_two_constants():
    jittered = X + 0.05 * np.random.default_rng(0).standard_normal(X.shape)  # no ties among distances
    two = np.concatenate([jittered, jittered + 128.0])
    with pytest.raises(
        InputError, match=r"^points: expected a connected graph.*got 2 such of 2 parts; raise neighbors"
    ):
        solve_elliptic(two, np.r_[F, F], neighbors=24)
    found = solve_elliptic(two, np.r_[F, F], a=1.0, kappa=np.r_[KAPPA, KAPPA], neighbors=24)
    assert found.info.converged
    assert np.abs(found.u[:N] - found.u[N:]).max() <= 1e-6


@pytest.mark.parametrize("method", ["direct", "features"])
@pytest.mark.parametrize("preconditioner", [None, "sparsified"])
def test_a_part_of_the_graph_without_a_known_value_is_singular(method, preconditioner):
    t = 2 * np.pi * np.arange(200) / 200
    two = np.concatenate([np.c_[np.cos(t), np.sin(t)], np.c_[np.cos(t) + 10.0, np.sin(t)]])
    f, message = np.ones(400), r"^points: expected a connected graph.*got 1 such of 2 parts; raise neighbors"
    options = {"neighbors": 20, "method": method, "preconditioner": preconditioner, "rng": 0}
    for ghosts in (0, 16):
        with pytest.raises(InputError, match=message):
            solve_elliptic(two, f, boundary=Boundary([0], ghosts=ghosts), **options)
    half = np.repeat([0.0, 1.0], 200)
    with pytest.raises(InputError, match=message):
        solve_elliptic(two, f, a=half, **options)
    found = solve_elliptic(two, f, a=half, boundary=Boundary([0], ghosts=0), neighbors=20)
    assert found.info.converged  # each part has what it needs
    assert laplacian(two, boundary=Boundary([0, 7]), neighbors=20).info.rank == 398


def test_entries_of_zero_connect_nothing():
    t = 2 * np.pi * np.arange(200) / 200
    circle = np.c_[np.cos(t), np.sin(t)]
    with pytest.raises(InputError, match=r"^points: expected a connected graph.*got 199 such of 200 parts"):
        solve_elliptic(circle, np.cos(t), bandwidth=1e-9, boundary=Boundary([0], ghosts=0))
    with pytest.raises(InputError, match=r"^points: expected a connected graph.*got 200 such of 200 parts"):
        solve_elliptic(circle, np.cos(t), bandwidth=1e-9)


def test_points_that_coincide_share_their_weight():
    twice = np.concatenate([X, X[:20]])
    f = np.r_[F, F[:20]]
    found = solve_elliptic(twice, f, a=1.0, kappa=np.r_[KAPPA, KAPPA[:20]])
    assert np.abs(found.u[:20] - found.u[N:]).max() <= 1e-6
    many = np.concatenate([X, np.repeat(X[:1], 20, axis=0)])
    with pytest.raises(
        InputError, match=r"^points: expected at most 16 coinciding points, got more at row 0"
    ):
        laplacian(many, neighbors=16, kernel="variable", dimension=2)


def test_queries():
    found = solve_elliptic(X, F, a=1.0)
    with pytest.raises(InputError, match=r"^points: expected real points of dimension 3, got shape \(4, 2\)"):
        found.evaluate(np.ones((4, 2)))
    with pytest.raises(NonFiniteError, match=r"^points: "):
        found.evaluate(np.full((1, 3), np.nan))
    assert found.evaluate(np.zeros((0, 3))).shape == (0,)
    features = solve_elliptic(X, F, a=1.0, method="features", features=30, rng=0)
    assert features.evaluate(np.zeros((0, 3))).shape == (0,)


def test_misuse_of_results():
    L = laplacian(X)
    with pytest.raises(InputError, match=r"^u: expected 144 rows, got shape \(5,\)"):
        L.apply(np.ones(5))
    found = diffusion_map(X, 4)
    with pytest.raises(InputError, match=r"^u: expected 144 numbers, got 5"):
        found.interpolate(np.ones(5), X)
    with pytest.raises(InputError, match=r"^time: expected a number >= 0"):
        found.coordinates(-1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.float16])
def test_other_dtypes_are_widened(dtype):
    points = (16 * X).astype(dtype)
    found = solve_elliptic(points, F.astype(np.float32), a=1.0)
    exact = solve_elliptic(points.astype(np.float64), F.astype(np.float32).astype(np.float64), a=1.0)
    assert found.u.dtype == np.float64
    assert np.array_equal(found.u, exact.u)


def test_layouts_and_read_only_inputs():
    points, f = np.asfortranarray(X), np.repeat(F, 2)[::2]
    points.flags.writeable = False
    f.flags.writeable = False
    assert np.array_equal(solve_elliptic(points, f, a=1.0).u, solve_elliptic(X, F, a=1.0).u)


def test_unscreened_points_give_an_error_not_a_hang():
    points = X.copy()
    points[3] = np.nan
    with pytest.raises(InputError, match=r"^points"):
        laplacian(points, check_finite=False)
