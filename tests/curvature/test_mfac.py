# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""M-FAC by all of its methods against the dense matrix, block by block, in every storage."""

import math
import pickle

import numpy as np
import pytest

from randnla import CapacityError, InputError, NonFiniteError, StateError, num_threads, set_num_threads
from randnla._backend import state as plain_state
from randnla.curvature import MFAC
from randnla.curvature.windows.primal_window import PrimalWindow
from randnla.curvature.windows.static_window import _factored, orthogonalize

METHODS = ("dual", "static", "dynamic")


def filled(G, window, damping, **settings):
    settings.setdefault("dtype", G.dtype)
    made = MFAC(G.shape[1], window, damping, **settings)
    for g in G:
        made.add(g)
    return made


def dense(G, damping, block=None):
    d = G.shape[1]
    G = G.astype(np.float64)
    F = G.T @ G / max(1, len(G))
    place = np.arange(d) // (block or d)
    return np.where(place[:, None] == place, F, 0.0) + damping * np.eye(d)


@pytest.mark.parametrize("block", [None, 1, 7, 30, 64])
@pytest.mark.parametrize("m", [1, 5, 32, 67])
@pytest.mark.parametrize("method", METHODS)
def test_equals_the_dense_inverse(method, m, block):
    rng = np.random.default_rng(m)
    d, damping = 30, 0.05
    G, X = rng.standard_normal((m, d)), rng.standard_normal((d, 3))
    made = filled(G, m, damping, method=method, block=block)
    for damped in (damping, 0.3):  # the second one after everything has been factored
        made.damping = damped
        F = dense(G, damped, block)
        inverse = np.linalg.inv(F)
        # Conditions are below 1e4: twelve digits are left.
        np.testing.assert_allclose(made.inverse_hvp(X), inverse @ X, rtol=0, atol=1e-10)
        np.testing.assert_allclose(made.inverse_hvp(X[:, 0]), inverse @ X[:, 0], rtol=0, atol=1e-10)
        np.testing.assert_allclose(made.hvp(X), F @ X, rtol=0, atol=1e-10)
        np.testing.assert_allclose(made.inverse_diag(), np.diag(inverse), rtol=1e-9)
        for i, j in [(0, 0), (3, 4), (d - 1, d - 1), (2, d - 1)]:
            assert made.inverse_element(i, j) == pytest.approx(inverse[i, j], abs=1e-10)
        np.testing.assert_allclose(made.quadform(X), np.einsum("ij,ij->j", X, F @ X), rtol=1e-11)
        assert made.logdet() == pytest.approx(np.linalg.slogdet(F).logabsdet, rel=1e-10)
        assert np.linalg.cond(F) <= made.health.condition * (1 + 1e-9)


def test_permutations_leave_the_inverse_as_it_is():
    rng = np.random.default_rng(1)
    G, x = rng.standard_normal((40, 50)), rng.standard_normal(50)
    for method in METHODS:
        first = filled(G, 40, 0.1, method=method).inverse_hvp(x)
        second = filled(G[rng.permutation(40)], 40, 0.1, method=method).inverse_hvp(x)
        np.testing.assert_allclose(second, first, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", ["dual", "dynamic"])
def test_a_window_that_slides_is_that_of_what_it_holds(method):
    rng = np.random.default_rng(2)
    G, x = rng.standard_normal((23, 30)), rng.standard_normal(30)
    made = MFAC(30, 5, 0.1, method=method, block=8, dtype=np.float64)
    for k, g in enumerate(G):
        made.add(g)
        exact = np.linalg.solve(dense(G[max(0, k - 4) : k + 1], 0.1, 8), x)
        np.testing.assert_allclose(made.inverse_hvp(x), exact, rtol=0, atol=1e-11)
    made.remove(2)
    rest = np.delete(G[-5:], 2, axis=0)
    np.testing.assert_allclose(made.inverse_hvp(x), np.linalg.solve(dense(rest, 0.1, 8), x), atol=1e-11)
    assert made.count == 4
    np.testing.assert_allclose(made.inverse_diag(), np.diag(np.linalg.inv(dense(rest, 0.1, 8))), rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("damping", [1e-1, 1e-5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_duplicates_zeros_and_an_empty_window(dtype, damping, method):
    rng = np.random.default_rng(0)
    d, m, eps = 40, 8, np.finfo(dtype).eps
    g, x = rng.standard_normal(d).astype(dtype), rng.standard_normal(d).astype(dtype)
    empty = MFAC(d, m, damping, method=method, dtype=dtype)
    np.testing.assert_allclose(empty.inverse_hvp(x), x / damping, rtol=2 * eps)
    np.testing.assert_allclose(empty.inverse_diag(), 1 / damping, rtol=2 * eps)
    assert empty.inverse_element(3, 3) == pytest.approx(1 / damping)
    for G in (np.tile(g, (m, 1)), np.zeros((m, d), dtype), np.stack([g, 0 * g] * (m // 2))):
        made = filled(G, m, damping, method=method)
        share = np.count_nonzero(G.any(axis=1)) / m
        wide = g.astype(np.float64)
        along = wide * (wide @ x) / (wide @ wide)
        expected = (x - along) / damping + along / (damping + share * (wide @ wide))
        # A few roundings of what is of the size of the result, and of sums of d terms.
        assert np.linalg.norm(made.inverse_hvp(x) - expected) <= 10 * eps * np.linalg.norm(expected)
        assert (made.inverse_diag() > 0).all()
        assert np.isfinite(made.inverse_element(0, 1))


def recursion(G, damping):
    """The textbook recursion, vector by vector, in the precision of G; (v, q)."""
    m = len(G)
    V, q = np.empty_like(G), np.empty(m, G.dtype)
    for i, g in enumerate(G):
        v = g / G.dtype.type(damping)
        for j in range(i):
            v -= V[j] * (np.dot(V[j], g) / q[j])
        V[i], q[i] = v, m + np.dot(g, v)
    return V, q


def errors(G, damping, x):
    """Relative errors of ``F^-1 x`` with v in float32: ours, of the recursion, and rounded from float64."""
    x = x.astype(np.float64)
    exact = np.linalg.solve(dense(G, damping), x)
    A, q = np.ascontiguousarray(G.T), np.empty(len(G))
    orthogonalize(A, damping, np.empty((len(G), len(G))), q)
    found = []
    for V, pivots in ((A.T, q), recursion(G, damping), recursion(G.astype(np.float64), damping)):
        V = V.astype(np.float32).astype(np.float64)
        y = x / damping - V.T @ ((V @ x) / pivots)
        found.append(float(np.linalg.norm(y - exact) / np.linalg.norm(exact)))
    return found


def of_a_network(rng, m, batch=16):
    """Gradients of batches of a net of one layer of 16 on 5 classes of 30 features."""
    W, C, means = rng.standard_normal((30, 16)) / 5, rng.standard_normal((16, 5)) / 4, rng.random((5, 30))
    found = []
    for _ in range(m):
        y = rng.integers(0, 5, batch)
        x = means[y] + 0.2 * rng.standard_normal((batch, 30))
        h = np.tanh(x @ W)
        p = np.exp(h @ C)
        e = p / p.sum(axis=1, keepdims=True) - np.eye(5)[y]
        found.append(np.concatenate([(x.T @ ((e @ C.T) * (1 - h**2))).ravel(), (h.T @ e).ravel()]))
    return np.array(found) / batch


def sequence(kind, rng, m, d):
    G = rng.standard_normal((m, d))
    if kind == "duplicates":
        G = G[rng.integers(0, 8, m)]
    elif kind == "equal":
        G = np.tile(G[0], (m, 1))
    elif kind == "correlated":
        G = G[0] + 1e-3 * G
    elif kind == "alike":
        G = G[0] + 0.1 * G
    elif kind == "late":  # what those of the second half have in common is new
        G = np.where(np.arange(m)[:, None] < m // 2, G[0], G[1]) + 1e-2 * G
    elif kind == "network":
        G = of_a_network(rng, m)
    elif kind == "scaled":
        G *= np.logspace(-4, 2, m)[:, None]
    return (G / np.linalg.norm(G, axis=1).max()).astype(np.float32)


@pytest.mark.parametrize("damping", [1e-1, 1e-3, 2e-5])
@pytest.mark.parametrize(
    "kind", ["duplicates", "equal", "correlated", "alike", "late", "network", "random", "scaled"]
)
def test_two_products_are_as_exact_as_the_recursion_in_float32(kind, damping):
    """Of a random vector, which F^-1 hardly changes in shape, and of one in the span, where it cancels."""
    found = {"random": [], "span": []}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        G = sequence(kind, rng, m=80, d=300)
        found["random"].append(errors(G, damping, rng.standard_normal(G.shape[1]).astype(np.float32)))
        found["span"].append(errors(G, damping, (G.T @ rng.standard_normal(80)).astype(np.float32)))
    for pairs in found.values():
        # Single errors scatter by factors, with the kernels of the machine too: their geometric means are
        # compared, with a floor of some roundings of the result.
        ours, textbook, stored = np.exp(np.mean(np.log(np.maximum(pairs, 1e-12)), axis=0))
        assert ours <= max(textbook, stored, 8 * np.finfo(np.float32).eps)


def test_the_recursion_has_the_same_bits_for_every_number_of_threads():
    G = sequence("alike", np.random.default_rng(0), m=70, d=5000)
    found, before = [], num_threads()
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            A, L, q = np.ascontiguousarray(G.T), np.empty((70, 70)), np.empty(70)
            orthogonalize(A, 1e-3, L, q)
            found.append((A, L, q))
    finally:
        set_num_threads(before)
    for made in found[1:]:
        for one, other in zip(made, found[0], strict=True):
            np.testing.assert_array_equal(one, other)


def test_pivots_stay_at_least_m_where_rounding_takes_them_below():
    S = np.array([[1e9, 1e9], [1e9, 1e9 - 200.0]])
    L, q = _factored(S + 8 * np.eye(2), 8.0)
    assert (q >= 8.0).all()
    np.testing.assert_array_equal(np.triu(L, 1), 0)
    # The least eigenvalue, -100, becomes m: a change of the size of what was wrong.
    assert np.abs(L * q @ L.T - S - 8 * np.eye(2)).max() <= 200


@pytest.mark.parametrize("storage", ["float16", "bfloat16"])
@pytest.mark.parametrize("method", ["dual", "dynamic"])
def test_narrow_windows_are_exact_for_what_they_hold(method, storage):
    rng = np.random.default_rng(3)
    d, m = 70, 9
    G = (1e-6 * rng.standard_normal((m, d))).astype(np.float32)
    x = rng.standard_normal(d).astype(np.float32)
    made = filled(G, m, 1e-13, method=method, storage=storage, block=32)
    held = made.gradients()
    # Eleven and eight bits.
    np.testing.assert_allclose(held, G, rtol=2.0**-8 if storage == "bfloat16" else 2.0**-11, atol=1e-14)
    assert not np.array_equal(held, G)
    exact = np.linalg.solve(dense(held, 1e-13, 32), x.astype(np.float64))
    assert np.linalg.norm(made.inverse_hvp(x) - exact) <= 1e-5 * np.linalg.norm(exact)
    diagonal = np.diag(np.linalg.inv(dense(held, 1e-13, 32)))
    np.testing.assert_allclose(made.inverse_diag(), diagonal, rtol=1e-5)
    again = MFAC.from_state_dict(made.state_dict())
    np.testing.assert_array_equal(again.inverse_hvp(x), made.inverse_hvp(x))


@pytest.mark.parametrize("storage", [None, "float16", "bfloat16"])
@pytest.mark.parametrize("dim", [3, 20, 23])  # less than a block, blocks alone, a last one that is shorter
def test_blocks_shorter_than_the_window_are_inverted_as_they_are(dim, storage):
    rng = np.random.default_rng(0)
    G = rng.standard_normal((60, dim)).astype(np.float32)
    G *= np.logspace(3, 0, 60)[:, None].astype(np.float32)  # those that are gone were the largest
    X, settings = rng.standard_normal((dim, 2)).astype(np.float32), {"block": 5, "storage": storage}
    slid, fresh = (MFAC(dim, 12, 0.1, **settings) for _ in range(2))
    for g in G:
        slid.add(g)
        slid.inverse_hvp(X[:, 0])
    for g in G[-24:]:
        fresh.add(g)
    assert isinstance(slid._window, PrimalWindow)
    assert not isinstance(MFAC(dim, 5, 0.1, block=5)._window, PrimalWindow)
    np.testing.assert_array_equal(slid.inverse_hvp(X), fresh.inverse_hvp(X))  # nothing drifts
    for made in (slid, MFAC.from_state_dict(slid.state_dict())):
        made.remove(3)
        F = dense(made.gradients(), 0.1, 5)
        inverse = np.linalg.inv(F)
        np.testing.assert_allclose(made.inverse_hvp(X), inverse @ X, rtol=0, atol=1e-5)
        np.testing.assert_allclose(made.inverse_diag(), np.diag(inverse), rtol=1e-6)
        np.testing.assert_allclose(made.hvp(X), F @ X, rtol=1e-5, atol=1e-4)
        assert made.inverse_element(1, 2) == pytest.approx(inverse[1, 2], abs=1e-9)
        assert made.inverse_element(0, dim - 1) == pytest.approx(inverse[0, dim - 1], abs=1e-9)
        assert made.logdet() == pytest.approx(np.linalg.slogdet(F).logabsdet, rel=1e-9)
        assert made._window.path == "cholesky"


def test_short_blocks_below_rounding_take_their_eigenvectors():
    g = np.random.default_rng(0).standard_normal(8)
    made = MFAC(8, 6, 1e-17, block=4, dtype=np.float64)
    made.add(g)
    for part in (slice(0, 4), slice(4, 8)):
        x = np.zeros(8)
        x[part] = g[part]
        # In the span it is x / (damping + |g|^2), beside rounding of eigenvectors over the damping.
        expected = x / (1e-17 + x @ x)
        bound = 8 * np.finfo(np.float64).eps * np.linalg.norm(x) / 1e-17
        assert np.linalg.norm(made.inverse_hvp(x) - expected) <= bound
        # Across it, x / damping to the same accuracy.
        across = np.zeros(8)
        across[part] = np.linalg.svd(g[part][None])[2][1]
        assert np.linalg.norm(1e-17 * made.inverse_hvp(across) - across) <= 8 * np.finfo(np.float64).eps
    assert made.health.fallback == "eigenvectors"
    assert (made.inverse_diag() > 0).all()


def test_determinants_of_short_blocks_near_rounding_and_far_from_it():
    g = np.random.default_rng(0).standard_normal(5)
    made = MFAC(9, 6, 1e-17, block=4, dtype=np.float64)
    made.add(np.concatenate([g[:4], np.zeros(4), g[4:]]))  # the second block is nothing but damping
    exact = 7 * math.log(1e-17) + math.log(g[:4] @ g[:4]) + math.log(g[4] ** 2)
    assert made.logdet() == pytest.approx(exact, rel=1e-12)
    assert made._window.path == "eigh"


def test_bfloat16_rounds_to_nearest_even():
    values = np.array([1.0, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-8 + 2.0**-20, -3.14159], np.float32)
    made = MFAC(5, 1, 1.0, storage="bfloat16")
    made.add(values)
    expected = np.array([1.0, 1.0, 1 + 2.0**-6, 1 + 2.0**-7, -3.140625], np.float32)
    np.testing.assert_array_equal(made.gradients()[0], expected)


@pytest.mark.parametrize("way", ["state", "load", "pickle"])
@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_resumes_bit_for_bit(method, asked, way):
    rng = np.random.default_rng(4)
    G, x = rng.standard_normal((20, 33)).astype(np.float32), rng.standard_normal(33).astype(np.float32)
    made = filled(G, 24, 0.1, method=method, block=10)
    if asked:
        made.inverse_hvp(x)
    if way == "pickle":
        again = pickle.loads(pickle.dumps(made))
    elif way == "state":
        again = MFAC.from_state_dict(made.state_dict())
    else:
        again = MFAC(2, 1, 1.0)
        again.load_state_dict(made.state_dict())
    if not (asked and method == "static"):
        for one in (made, again):
            one.add(x)
    np.testing.assert_array_equal(made.inverse_hvp(x), again.inverse_hvp(x))
    np.testing.assert_array_equal(made.inverse_diag(), again.inverse_diag())
    assert made.state_dict()["digest"] == again.state_dict()["digest"]


@pytest.mark.parametrize("method", METHODS)
def test_a_gradient_that_is_not_finite_changes_nothing(method):
    rng = np.random.default_rng(5)
    made = filled(rng.standard_normal((3, 6)), 4, 0.1, method=method)
    before = made.state_dict()["digest"]
    with pytest.raises(NonFiniteError, match="gradient: 1 entry is NaN or Inf, the first at index 2"):
        made.add([1, 1, np.nan, 1, 1, 1])
    assert made.direction([1, 1, np.inf, 1, 1, 1]) is None
    assert (made.skipped, made.health.skipped_gradients) == (1, 1)
    assert MFAC.from_state_dict(made.state_dict()).skipped == 1
    made.skipped = 0
    assert made.state_dict()["digest"] == before


def test_a_direction_has_its_gradient_in_the_window():
    rng = np.random.default_rng(6)
    g = rng.standard_normal(9)
    made = MFAC(9, 3, 0.1, dtype=np.float64)
    np.testing.assert_allclose(made.direction(g), g / (0.1 + g @ g), rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_windows_in_files_give_the_same_bits(method, tmp_path):
    rng = np.random.default_rng(7)
    G, x = rng.standard_normal((20, 90)).astype(np.float32), rng.standard_normal(90).astype(np.float32)
    inside = filled(G, 24, 0.1, method=method, block=40)
    paged = filled(G, 24, 0.1, method=method, block=40, path=tmp_path / "window")
    assert (tmp_path / "window").stat().st_size >= 24 * 90 * 4
    np.testing.assert_array_equal(inside.inverse_hvp(x), paged.inverse_hvp(x))
    np.testing.assert_array_equal(inside.inverse_diag(), paged.inverse_diag())


def test_kind_in_is_kind_out():
    torch = pytest.importorskip("torch")
    made = MFAC(4, 2, 0.5)
    made.add(torch.tensor([2.0, 0, 0, 0], dtype=torch.bfloat16))
    got = made.inverse_hvp(torch.ones(4))
    assert isinstance(got, torch.Tensor)
    torch.testing.assert_close(got, torch.tensor([1 / 4.5, 2.0, 2.0, 2.0]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MFAC(0, 1, 1.0), InputError, "dim: expected an integer >= 1"),
        (lambda: MFAC(1, 0, 1.0), InputError, "window: expected an integer >= 1"),
        (lambda: MFAC(1, 1, 0.0), InputError, "damping: expected a positive number"),
        (lambda: MFAC(1, 1, 0.0, method="static"), InputError, "damping: expected a positive number"),
        (lambda: MFAC(1, 1, 1.0, method="fast"), InputError, "method: expected one of"),
        (lambda: MFAC(1, 1, 1.0, block=0), InputError, "block: expected an integer >= 1"),
        (lambda: MFAC(1, 1, 1.0, dtype=np.complex64), InputError, "dtype: expected float32 or float64"),
        (lambda: MFAC(1, 1, 1.0, storage="int8"), InputError, "storage: expected one of"),
        (lambda: MFAC(1, 1, 1.0, dtype=np.float64, storage="float16"), InputError, "storage: float16 is for"),
        (lambda: MFAC(1, 1, 1.0, method="static", storage="float16"), InputError, "storage: method='static'"),
        (lambda: MFAC(2, 1, 1.0).add([1.0]), InputError, "gradient: expected 2 entries, got 1"),
        (lambda: MFAC(2, 1, 1.0, method="static").add([1.0]), InputError, "gradient: expected 2 entries"),
        (lambda: MFAC(1, 1, 1e-5, method="static").add([1e18]), InputError, "gradient: its squares over dam"),
        (lambda: MFAC(2, 1, 1.0).inverse_hvp([1.0]), InputError, "x: expected 2 rows"),
        (lambda: MFAC(2, 1, 1.0, method="static").hvp([1.0]), InputError, "x: expected 2 rows"),
        (lambda: MFAC(2, 1, 1.0).inverse_element(0, 2), InputError, r"j: expected an integer in \[0, 1\]"),
        (lambda: MFAC(2, 1, 1.0, method="static").remove(), StateError, "remove: a static window is filled"),
        (lambda: full_static().add([1.0, 2.0]), StateError, "add: the static window holds its 1 gradients"),
        (lambda: asked_static().add([1.0, 2.0]), StateError, "add: a static window is filled before its fir"),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()


def full_static():
    return filled(np.ones((1, 2)), 1, 1.0, method="static")


def asked_static():
    made = MFAC(2, 3, 1.0, method="static")
    made.inverse_diag()
    return made


@pytest.mark.parametrize("method", METHODS)
def test_states_of_others_are_refused_and_nothing_changes(method):
    made = filled(np.ones((2, 3)), 3, 1.0, method=method)
    good = made.state_dict()
    for key in good:
        bad = {name: value for name, value in good.items() if name != key}
        with pytest.raises(StateError, match=r"\w+: "):
            made.load_state_dict(bad)
    forged = {**good, "skipped": -1}
    forged["digest"] = plain_state.digest({k: plain_state.unwrap(v) for k, v in forged.items()})
    with pytest.raises(StateError, match="skipped: expected a number >= 0, got -1"):
        made.load_state_dict(forged)
    key = "window/columns" if method == "static" else "window/rows"
    with pytest.raises(StateError, match="digest: the fields do not match"):
        made.load_state_dict({**good, key: good[key] + 1})
    assert made.state_dict()["digest"] == good["digest"]


@pytest.mark.parametrize("method", ["dual", "dynamic", "static"])
def test_files_that_exist_are_refused_and_stay(method, tmp_path):
    """What is in a file is lost for good once a window is mapped onto it."""
    path = tmp_path / "window"
    path.write_bytes(b"precious")
    with pytest.raises(InputError, match="path: expected a new file"):
        MFAC(3, 2, 1.0, method=method, path=path)
    assert path.read_bytes() == b"precious"
    with pytest.raises(InputError, match="damping"):
        MFAC(3, 2, -1.0, method=method, path=tmp_path / "other")
    with pytest.raises(CapacityError, match="fit"):
        MFAC(1 << 58, 4, 1.0, method=method, block=None, path=tmp_path / "other")
    assert not (tmp_path / "other").exists()
    for bad in (tmp_path / "no" / "folder", 1.5):
        with pytest.raises(InputError, match="path: expected where a new file can be made"):
            MFAC(3, 2, 1.0, method=method, path=bad)


@pytest.mark.parametrize("method", ["dual", "dynamic", "static"])
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e6, 1e15])
@pytest.mark.parametrize("block", [None, 3, 7])
def test_all_forms_stand_ratios_that_no_factor_resolves(method, scale, block):
    """``|F^-1 x| <= |x| / damping`` is left of an inverse whose condition is up to 1e36.

    Beside that, errors are rounding of an inverse in float64: eps / damping, and eps |F| / damping^2.
    """
    rng = np.random.default_rng(5)
    G, x = rng.standard_normal((5, 23)) * scale, rng.standard_normal(23)
    G[3] = G[1]
    for damping in (1.0, 1e-6, scale**2 * 1e-3):
        held = MFAC(23, 5, damping, method=method, block=block, dtype=np.float64)
        for g in G:
            held.add(g)
        F = np.zeros((23, 23))
        for part in np.split(np.arange(23), range(block or 23, 23, block or 23)):
            F[np.ix_(part, part)] = G[:, part].T @ G[:, part] / 5 + damping * np.eye(len(part))
        w, V = np.linalg.eigh(F)
        expected = V @ (V.T @ x / np.maximum(w, damping))
        eps = np.finfo(np.float64).eps
        bound = 200 * eps * (1 / damping + w.max() / damping**2) * np.linalg.norm(x)
        error = np.abs(held.inverse_hvp(x) - expected).max()
        # Beyond eps the recursion in panels has no digit left; it still gives numbers.
        resolved = method != "static" or w.max() * eps < damping
        assert error <= bound if resolved else np.isfinite(error)
        if resolved:
            assert np.abs(held.hvp(x) - F @ x).max() <= 100 * eps * w.max() * np.linalg.norm(x)


def test_products_stand_dampings_whose_square_is_beyond_the_dtype():
    """V is the gradients over damping: its coefficients in ``F x`` are up to damping squared."""
    rng = np.random.default_rng(6)
    for scale, damping in ((1e15, 1e27), (1e-15, 1e-33)):
        g, x = (scale * rng.standard_normal(9)).astype(np.float32), rng.standard_normal(9).astype(np.float32)
        held = MFAC(9, 1, damping, method="static")
        held.add(g)
        expected = damping * x.astype(float) + g.astype(float) * (g.astype(float) @ x)
        # A product of nine terms and a sum, each of rounding.
        largest = damping * np.abs(x).max() + scale**2 * 9 * 9
        assert np.abs(held.hvp(x) - expected).max() <= 20 * np.finfo(np.float32).eps * largest


@pytest.mark.parametrize("storage", [None, "float16", "bfloat16"])
def test_refused_gradients_leave_the_window_as_it_is(storage):
    held = MFAC(3, 2, 1.0, storage=storage)
    held.add([1.0, 2.0, 3.0])
    before = held.state_dict()["digest"]
    for bad in ([np.inf, 1e10, 1.0], [np.nan, 1e10, 1.0]):
        with pytest.raises(NonFiniteError, match="gradient"):
            held.add(np.array(bad, np.float32))
        assert held.state_dict()["digest"] == before
    assert held.direction(np.array([np.nan, 1e10, 1.0], np.float32)) is None
    assert (held.count, held.skipped) == (1, 1)
    held.skipped = 0
    assert held.state_dict()["digest"] == before
    static = MFAC(3, 2, 1.0, method="static")
    assert static.direction(np.array([1e30, 0.0, 0.0], np.float32)) is None
    assert (static.count, static.skipped) == (0, 1)
