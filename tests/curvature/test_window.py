# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The sliding window of gradients against the dense matrix, however long it slides."""

import itertools
import pickle

import numpy as np
import pytest
from cases import BACKENDS

from randnla import CapacityError, InputError, NonFiniteError, StateError, curvature
from randnla._backend import state as plain_state
from randnla._backend.kernels.woodbury import widened, window_combine, window_dots
from randnla._backend.threads import set_num_threads
from randnla.curvature import GradientWindow

DTYPES = (np.float32, np.float64, np.complex64, np.complex128)


def random(rng, dtype, *shape):
    X = rng.standard_normal(shape)
    return (X + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else X).astype(dtype)


def filled(G, size, damping, dtype=None):
    window = GradientWindow(G.shape[1], size, damping, dtype=G.dtype if dtype is None else dtype)
    for g in G:
        window.add(g)
    return window


def dense(rows, damping):
    G = rows.astype(np.complex128 if np.iscomplexobj(rows) else np.float64)
    return damping * np.eye(G.shape[1]) + G.T @ G.conj() / max(1, len(G))


def relative_error(window, x):
    exact = np.linalg.solve(dense(window.gradients(), window.damping), x.astype(np.float64))
    return np.linalg.norm(window.solve(x) - exact) / np.linalg.norm(exact)


KINDS = [(dtype, None) for dtype in DTYPES] + [(np.float32, "float16"), (np.float32, "bfloat16")]


@pytest.mark.parametrize("block", [None, 5])
@pytest.mark.parametrize(("dtype", "storage"), KINDS)
def test_a_window_that_has_slid_far_has_the_bits_of_one_that_has_hardly(dtype, storage, block):
    """Nothing but what is held matters, however many came before: there is nothing to drift."""
    rng = np.random.default_rng(0)
    d, m, turns = 13, 4, 50
    G, x = random(rng, dtype, turns * m, d), random(rng, dtype, d)
    G *= np.logspace(3, -3, len(G))[:, None].astype(G.real.dtype)  # those that are gone were the largest
    slid, fresh = (GradientWindow(d, m, 1e-6, dtype=dtype, storage=storage, block=block) for _ in range(2))
    for g in G:
        slid.add(g)
    for g in G[-2 * m :]:  # a whole number of turns: in the same places of memory
        fresh.add(g)
    assert slid.state_dict()["digest"] == fresh.state_dict()["digest"]
    for damping in (1e-1, 1e-6, 1e-9):
        slid.damping = fresh.damping = damping
        np.testing.assert_array_equal(slid.solve(x), fresh.solve(x))


@pytest.mark.slow
@pytest.mark.parametrize("m", [1, 32])
@pytest.mark.parametrize(("dtype", "storage"), [row for row in KINDS if row[0] in (np.float32, np.float64)])
def test_the_window_does_not_drift_in_1e5_updates(dtype, storage, m):
    """Some gradients are zero, and some come twice."""
    rng = np.random.default_rng(0)
    d, updates = 64, 100_000
    G, x = random(rng, dtype, updates, d), random(rng, dtype, d)
    G[5::97] = 0
    G[11::89] = G[10::89][: len(G[11::89])]
    window = GradientWindow(d, m, 1.0, dtype=dtype, storage=storage)
    for g in G[:m]:
        window.add(g)
    dampings = (1e-1, 1e-3, 1e-5)

    def errors():
        found = []
        for damping in dampings:
            window.damping = damping
            found.append(relative_error(window, x))
        return np.array(found)

    first = errors()
    for g in G[m:]:
        window.add(g)
    assert window.count == m
    np.testing.assert_allclose(window.gradients(), G[-m:], rtol=0 if storage is None else 2.0**-8)
    # The error of one solve is random: the first may be small by chance, but not below rounding. Inner
    # products with narrow rows have that of float32, over the relative damping.
    eps = np.finfo(np.float64 if storage is None else np.float32).eps
    floor = np.finfo(dtype).eps / 8 + eps / np.array(dampings)
    assert (errors() <= 10 * np.maximum(first, floor)).all()
    assert window.path == "cholesky"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [1, 2, 7])
def test_against_the_dense_matrix(m, dtype):
    rng = np.random.default_rng(m)
    d, damping = 12, 0.1
    G, X = random(rng, dtype, 3 * m, d), random(rng, dtype, d, 3)
    slack = 200 * np.finfo(dtype).eps
    window = GradientWindow(d, m, damping, dtype=dtype)
    for k in range(3 * m + 1):
        held = G[max(0, k - m) : k]
        np.testing.assert_array_equal(window.gradients(), held)
        F = dense(held, damping)
        exact = np.linalg.solve(F, X)
        for got, expected in (
            (window.solve(X), exact),
            (window.solve(X[:, 0]), exact[:, 0]),
            (window.apply(X), F @ X),
        ):
            assert got.dtype == dtype
            np.testing.assert_allclose(got, expected, rtol=0, atol=slack * np.abs(expected).max())
        assert window.logdet() == pytest.approx(np.linalg.slogdet(F).logabsdet, abs=1e-4 * d)
        quadratic = np.einsum("ij,ij->j", X.conj(), F @ X).real
        np.testing.assert_allclose(window.quadform(X), quadratic, rtol=slack)
        assert window.quadform(X[:, 0]) == pytest.approx(quadratic[0], rel=float(slack))
        if k < 3 * m:
            window.add(G[k])


def test_one_gradient_is_sherman_and_morrison():
    rng = np.random.default_rng(0)
    g, x, damping = rng.standard_normal(50), rng.standard_normal(50), 0.3
    window = filled(g[None], 1, damping)
    expected = x / damping - g * (g @ x) / damping**2 / (1 + g @ g / damping)
    np.testing.assert_allclose(window.solve(x), expected, rtol=1e-12)


@pytest.mark.parametrize("damping", [1e-1, 1e-5, 1e-12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_duplicates_and_zeros(dtype, damping):
    rng = np.random.default_rng(0)
    d, m = 40, 8
    g, x = random(rng, dtype, d), random(rng, dtype, d)
    for G in (np.tile(g, (m, 1)), np.zeros((m, d), dtype), np.stack([g, 0 * g] * (m // 2))):
        window = filled(G, m, damping)
        share = np.count_nonzero(G.any(axis=1)) / m
        wide = g.astype(np.float64)
        along = wide * (wide @ x) / (wide @ wide)
        expected = (x - along) / damping + along / (damping + share * (wide @ wide))
        got = window.solve(x)
        assert np.linalg.norm(got - expected) <= 4 * np.finfo(dtype).eps * np.linalg.norm(expected)
        # In the range of F the solution is small, and what cancels is known to float64.
        if share:
            wanted = g / (damping + share * (wide @ wide))
            bound = np.finfo(dtype).eps + 40 * np.finfo(np.float64).eps / damping * (wide @ wide)
            assert np.linalg.norm(window.solve(g) - wanted) <= 4 * bound * np.linalg.norm(wanted)
            assert np.vdot(g, window.solve(g)) > 0


def least_ratio(window, sides):
    """The least ``x^H F^-1 x`` over what it is at least."""
    G = window.gradients().astype(np.complex128)
    norm = window.damping + np.linalg.norm(G, 2) ** 2 / len(G)
    wide = [x.astype(np.complex128) for x in sides]
    solved = [window.solve(x).astype(np.complex128) for x in sides]
    return min(np.vdot(x, y).real * norm / np.vdot(x, x).real for x, y in zip(wide, solved, strict=True))


@pytest.mark.parametrize(
    ("dtype", "relative"),
    [
        *itertools.product(DTYPES, [1e-6, 1e-10, 1e-12, 1e-14]),
        *itertools.product((np.float64, np.complex128), [1e-17, 1e-22, 1e-26]),
    ],
)
def test_the_inverse_stays_positive_as_far_as_the_dtype_shows_it(dtype, relative):
    # Rounding of the result alone takes (eps / 2)^2 / (4 damping) of x^H x, eps that of the dtype.
    for seed in range(60):
        rng = np.random.default_rng(seed)
        d, m = 60, (1, 4, 8, 16)[seed % 4]
        G = random(rng, dtype, m, d)
        if seed % 3 == 0:
            G[m // 2 :] = G[: m - m // 2]  # a Gram matrix of half the rank
        damping = relative * float(np.linalg.norm(G, 2)) ** 2 / m
        window = filled(G, m, damping)
        near = G[0] + np.finfo(dtype).eps * random(rng, dtype, d)
        sides = (random(rng, dtype, d), G.T @ random(rng, dtype, m), G[0], near.astype(dtype))
        assert least_ratio(window, sides) >= 0.5
        if relative != 1e-12:
            assert window.path == ("eigh" if relative <= 1e-14 else "cholesky")


def test_small_dampings_keep_the_solution_in_the_span():
    # Rounding of x off the span is worth eps / damping; what the window knows stays exact in the span.
    rng = np.random.default_rng(0)
    sizes = np.linspace(1, 2, 6)
    G = np.linalg.qr(rng.standard_normal((50, 6)))[0].T * sizes[:, None]
    for damping in (1e-13, 1e-17, 1e-22):
        window = filled(G, 6, damping)
        for i, g in enumerate(G):
            got, expected = G @ window.solve(g), G @ g / (damping + sizes[i] ** 2 / 6)
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 + 1e-29 / damping)
        x = rng.standard_normal(50)
        off = x - G.T @ np.linalg.solve(G @ G.T, G @ x)
        np.testing.assert_allclose(window.solve(x) * damping, off, rtol=0, atol=1e-12)


def test_no_right_hand_sides_are_none():
    window = GradientWindow(5, 3, 0.1)
    for _ in range(2):
        for call in (window.solve, window.apply):
            assert call(np.zeros((5, 0))).shape == (5, 0)
        assert window.quadform(np.zeros((5, 0))).shape == (0,)
        window.add(np.ones(5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "d"), [(3, 10), (9, 70_001), (1500, 600)])
def test_many_right_hand_sides_are_what_each_is_alone(m, d, dtype):
    rng = np.random.default_rng(0)
    G, X, k = random(rng, dtype, m, d), random(rng, dtype, 67, d), 67
    C = rng.standard_normal((m, k))
    wide, sides = G.astype(np.float64), X.astype(np.float64)
    dots = window_dots(G, X)
    np.testing.assert_allclose(dots, wide @ sides.T, rtol=0, atol=1e-10)
    got = window_combine(G, C, 0.7, X)
    np.testing.assert_allclose(got, 0.7 * sides + C.T @ wide, rtol=1e-6, atol=1e-4)
    for q in (0, 15, 16, 66):
        np.testing.assert_allclose(window_dots(G, X[q : q + 1])[:, 0], dots[:, q], rtol=0, atol=1e-10)
        alone = window_combine(G, C[:, q : q + 1].copy(), 0.7, X[q : q + 1])[0]
        np.testing.assert_allclose(alone, got[q], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("kept", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("m", [1, 2, 3, 5, 7, 8, 9, 15, 16, 23, 31])
def test_products_of_every_number_of_rows_and_columns(m, kept):
    """Of runs that end anywhere in a register: what is exact in float64 stays so."""
    rng = np.random.default_rng(m)
    dtype = np.dtype("float64" if kept == "float64" else "float32")
    for d in (1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 1000, 66_001):
        G, x, c = random(rng, dtype, m, d), random(rng, dtype, 1, d), rng.standard_normal((m, 1))
        if kept == "bfloat16":
            G = (G.view(np.uint32) >> 16).astype(np.uint16)
        elif kept == "float16":
            G = G.astype(np.float16)
        wide, side = widened(G).astype(np.float64), x.astype(np.float64)
        slack = 2e-7 if G.dtype.itemsize == 2 else 1e-14
        errors = np.abs(window_dots(G, x) - wide @ side.T)
        assert (errors <= slack * (np.abs(wide) @ np.abs(side.T))).all()
        exact = 0.7 * side + c.T @ wide
        errors = np.abs(window_combine(G, c, 0.7, x) - exact)
        rounding = np.finfo(dtype).eps / 2 * np.abs(exact)
        assert (errors <= rounding + 1e-14 * (np.abs(side) + np.abs(c.T) @ np.abs(wide))).all()


@pytest.mark.parametrize(
    ("damping", "dtype"),
    [(1e-320, np.float64), (1e-40, np.float32), (1e39, np.float32), (1e-39, np.complex64)],
)
def test_dampings_without_a_reciprocal_are_refused(damping, dtype):
    pattern = "damping: .* or its reciprocal is beyond the range of float"
    if dtype == np.complex64:
        pattern = pattern.replace("float", "complex")
    with pytest.raises(InputError, match=pattern):
        GradientWindow(3, 2, damping, dtype=dtype)
    window = filled(np.ones((2, 3), dtype), 2, 0.1)
    before = window.solve(np.ones(3, dtype))
    with pytest.raises(InputError, match=pattern):
        window.damping = damping
    assert window.damping == 0.1
    np.testing.assert_array_equal(window.solve(np.ones(3, dtype)), before)
    fields = {**window.state_dict(), "damping": damping}
    fields["digest"] = plain_state.digest({k: plain_state.unwrap(v) for k, v in fields.items()})
    with pytest.raises(StateError, match="damping: expected a number in the range"):
        GradientWindow.from_state_dict(fields)


def test_damping_below_rounding_takes_the_eigenvectors():
    rng = np.random.default_rng(0)
    G = np.tile(rng.standard_normal(30) * 1e3, (6, 1))
    window = filled(G, 6, 1e-13)
    x = rng.standard_normal(30)
    x -= G[0] * (G[0] @ x) / (G[0] @ G[0])
    np.testing.assert_allclose(window.solve(x), x * 1e13, rtol=1e-2)
    assert window.path == "eigh"
    assert np.isfinite(window.logdet())


def test_order_does_not_matter_and_removal_is_a_fresh_build():
    rng = np.random.default_rng(1)
    G, x = rng.standard_normal((6, 20)), rng.standard_normal(20)
    expected = filled(G, 6, 0.1).solve(x)
    np.testing.assert_allclose(filled(G[::-1], 6, 0.1).solve(x), expected, rtol=1e-12)
    for i in range(6):
        window = filled(np.vstack([G[3:] * 2, G]), 6, 0.1)  # wrapped
        window.remove(i)
        rest = np.delete(G, i, axis=0)
        np.testing.assert_array_equal(window.gradients(), rest)
        np.testing.assert_allclose(window.solve(x), filled(rest, 6, 0.1).solve(x), rtol=1e-12)
        window.add(G[i])
        window.add(G[0])
        held = np.vstack([rest, G[i : i + 1], G[:1]])[-6:]
        np.testing.assert_array_equal(window.gradients(), held)
        np.testing.assert_allclose(window.solve(x), filled(held, 6, 0.1).solve(x), rtol=1e-12)
    while window.count:
        window.remove()
    np.testing.assert_allclose(window.solve(x), x / 0.1)


def test_refused_gradients_change_nothing():
    rng = np.random.default_rng(0)
    window = filled(rng.standard_normal((5, 9)).astype(np.float32), 3, 0.1)
    x = np.ones(9, np.float32)
    before, solved = pickle.dumps(window.state_dict()), window.solve(x)
    bad = np.ones(9)
    bad[4] = np.nan
    for gradient, error, pattern in (
        (bad, NonFiniteError, "gradient: 1 entry is NaN or Inf, the first at index 4"),
        (np.full(9, np.inf), NonFiniteError, "gradient: 9 entries"),
        (np.ones(8), InputError, "gradient: expected 9 entries, got 8"),
        (np.ones((9, 1)), InputError, "gradient: expected 1 dimensions"),
        (np.full(9, 1e300), InputError, "gradient: expected entries in the range of float32"),
        (1j * np.ones(9), InputError, "gradient: expected real numbers"),
        ("a", InputError, "gradient"),
    ):
        with pytest.raises(error, match=pattern):
            window.add(gradient)
        assert pickle.dumps(window.state_dict()) == before
        np.testing.assert_array_equal(window.solve(x), solved)
    wide = filled(np.ones((2, 4)), 3, 0.1)
    before = pickle.dumps(wide.state_dict())
    with pytest.raises(InputError, match="gradient: its squares overflow float64"):
        wide.add(np.full(4, 1e200))
    assert pickle.dumps(wide.state_dict()) == before


def test_solving_is_pure_and_the_damping_changes_at_will():
    rng = np.random.default_rng(0)
    G, x = rng.standard_normal((4, 9)), rng.standard_normal(9)
    window = filled(G, 4, 0.1)
    state = pickle.dumps(window.state_dict())
    first = window.solve(x)
    for _ in range(3):
        np.testing.assert_array_equal(window.solve(x), first)
        window.apply(x)
        assert pickle.dumps(window.state_dict()) == state
    window.damping = 0.7
    np.testing.assert_array_equal(window.solve(x), filled(G, 4, 0.7).solve(x))
    window.damping = 0.1
    np.testing.assert_array_equal(window.solve(x), first)


def test_results_have_the_same_bits_for_every_number_of_threads_and_alone():
    rng = np.random.default_rng(0)
    G, X = random(rng, np.float32, 19, 70_001), random(rng, np.float32, 70_001, 3)
    window = filled(G, 12, 0.1)
    many = window.solve(X)
    set_num_threads(1)
    try:
        one = filled(G, 12, 0.1)
        np.testing.assert_array_equal(one.solve(X), many)
        np.testing.assert_array_equal(one.apply(X), window.apply(X))
    finally:
        set_num_threads(0)
    exact = np.linalg.solve(
        np.eye(12) * 1.2 + G[-12:].astype(float) @ G[-12:].T.astype(float), G[-12:].astype(float) @ X
    )
    expected = (X - G[-12:].T.astype(float) @ exact) / 0.1
    np.testing.assert_allclose(many, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_powers_of_two_change_no_bit():
    rng = np.random.default_rng(0)
    G, x = rng.standard_normal((7, 30)), rng.standard_normal(30)
    plain = filled(G, 5, 0.1).solve(x)
    for p in (-40, 3, 200):
        scaled = filled(np.ldexp(G, p), 5, float(np.ldexp(0.1, 2 * p))).solve(x)
        np.testing.assert_array_equal(np.ldexp(scaled, 2 * p), plain)


@pytest.mark.parametrize("dtype", DTYPES)
def test_saved_windows_go_on_bit_for_bit(dtype):
    rng = np.random.default_rng(0)
    G, x = random(rng, dtype, 12, 9), random(rng, dtype, 9)
    window = filled(G[:7], 5, 0.1)
    window.remove(2)
    other = GradientWindow(2, 1, 1.0)
    other.load_state_dict(window.state_dict())
    copies = [GradientWindow.from_state_dict(window.state_dict()), other, pickle.loads(pickle.dumps(window))]
    for g in G[7:]:
        window.add(g)
        for copy in copies:
            copy.add(g)
            assert copy.dtype == dtype
            np.testing.assert_array_equal(copy.solve(x), window.solve(x))
    assert repr(copies[0]) == f"GradientWindow(9, 5, 0.1, dtype={np.dtype(dtype).name})"


@pytest.mark.parametrize("key", ["dim", "size", "damping", "dtype", "rows", "gram", "order", "kind"])
def test_forged_states_are_refused_and_change_nothing(key):
    window = filled(np.random.default_rng(0).standard_normal((5, 9)), 3, 0.1)
    good = window.state_dict()
    before = pickle.dumps(good)
    values = [None, True, -1, 0, 2**70, 1.5, float("nan"), -0.5, "", "float16", b"x", [], object()]
    values += [
        np.zeros(3),
        np.full((3, 9), np.nan),
        np.zeros((4, 9)),
        np.zeros((3, 3), np.float32),
        np.ones(3),
    ]
    values += [np.array([0, 1, 1]), np.array([0, 1, 5]), np.array("x"), np.array([])]
    for value in values:
        if key == "damping" and isinstance(value, (int, float)) and value in (1.5, 2**70):
            continue  # another good damping
        fields = {**good, key: value}
        fields["digest"] = plain_state.digest({k: plain_state.unwrap(v) for k, v in fields.items()})
        with pytest.raises(StateError):
            window.load_state_dict(fields)
        assert pickle.dumps(window.state_dict()) == before
    with pytest.raises(StateError, match="digest"):
        window.load_state_dict({**good, "damping": 0.2})


@pytest.mark.parametrize(
    ("call", "error", "pattern"),
    [
        (lambda: GradientWindow(0, 1, 0.1), InputError, "dim: expected an integer >= 1"),
        (lambda: GradientWindow(1, 0, 0.1), InputError, "size: expected an integer >= 1"),
        (lambda: GradientWindow(1, 1, 0.0), InputError, "damping: expected a positive number"),
        (lambda: GradientWindow(1, 1, -1.0), InputError, "damping: expected a number >= 0"),
        (lambda: GradientWindow(1, 1, 0.1, dtype=np.int32), InputError, "dtype: expected float32"),
        (lambda: GradientWindow(1, 1, 0.1, dtype=None), InputError, "dtype: expected float32"),
        (lambda: GradientWindow(1, 1, 0.1, dtype="q1"), InputError, "dtype: expected float32"),
        (lambda: GradientWindow(2**40, 2**20, 0.1), CapacityError, "dim, size: a window of 1048576 x"),
        (lambda: GradientWindow(2**62, 2**62, 0.1), CapacityError, "dim, size: a window of"),
        (lambda: GradientWindow(2, 1, 0.1).solve(np.ones(3)), InputError, "x: expected 2 rows"),
        (lambda: GradientWindow(2, 1, 0.1).solve([np.nan, 1]), NonFiniteError, "x: 1 entry"),
        (lambda: GradientWindow(2, 1, 0.1).remove(), InputError, "i: expected a place in a window of 0"),
        (lambda: GradientWindow(2, 1, 0.1).remove(-1), InputError, "i: expected an integer >= 0"),
    ],
)
def test_messages(call, error, pattern):
    with pytest.raises(error, match=pattern):
        call()


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_are_of_the_kind_of_the_vector(backend):
    rng = np.random.default_rng(0)
    G, x = rng.standard_normal((4, 9)), rng.standard_normal(9)
    given = BACKENDS[backend](x)
    window = GradientWindow(9, 3, 0.1, dtype=np.float64)
    for g in G:
        window.add(BACKENDS[backend](g))
    for call, expected in (
        (window.solve, filled(G, 3, 0.1).solve(x)),
        (window.apply, filled(G, 3, 0.1).apply(x)),
    ):
        got = call(given)
        assert type(got) is type(given)
        np.testing.assert_array_equal(np.asarray(got), expected)


def test_the_room_lists_what_it_exports():
    assert "GradientWindow" in curvature.__all__
    assert set(curvature.__all__) <= set(dir(curvature))
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = curvature.nothing_like_this
