# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Matrices and operators from a few entries: recovered exactly, by the equations of the paper."""

from __future__ import annotations

import itertools
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import randnla
from randnla import recovery
from randnla.recovery import TransitionResult, complete, draw_places, learn_transition
from randnla.recovery.determined import least_seen
from randnla.recovery.hankel import Hankel, Samples
from randnla.recovery.irls import Capacitance, Triplets, leading


def powers_of(A, T):
    found = [A]
    while len(found) < T:
        found.append(found[-1] @ A)
    return np.stack(found)


def symmetric(n, r, seed, low=0.8):
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, r)))[0]
    return (Q * np.linspace(1, low, r)) @ Q.T


def drawn(A, T, r, rho, seed):
    """Uniform space-time samples, rho for each of the r (2 n - r) unknowns."""
    n = len(A)
    index = np.random.default_rng(seed).choice(n * n * T, int(rho * r * (2 * n - r)), replace=False)
    t, i, j = np.unravel_index(index, (T, n, n))
    return t + 1, i, j, powers_of(A, T)[t, i, j]


def places_of(A, T, r, rho, seed):
    """The same of places by `draw_places`."""
    n = len(A)
    t, i, j = draw_places(T, n, int(rho * r * (2 * n - r)), rng=seed)
    return t, i, j, powers_of(A, T)[t - 1, i, j]


def distance(X, A):
    return np.linalg.norm(X - A) / np.linalg.norm(A)


def dense_hankel(X, samples):
    down, across = samples.depth
    return np.block([[X[i + j] for j in range(across)] for i in range(down)])


@pytest.mark.parametrize("T", [1, 3, 5])
def test_operators_are_recovered_at_oversampling_four(T):
    for seed in range(5):
        A = symmetric(24, 2, seed)
        found = learn_transition(drawn(A, T, 2, 4, seed), T, 2, shape=A.shape, rng=seed)
        assert isinstance(found, TransitionResult)
        assert found.info.converged
        assert found.info.method == "irls"
        assert distance(found.A.to_dense(), A) <= 1e-7
        assert found.info.error_relative <= 1e-7


@pytest.mark.parametrize("T", [1, 3])
def test_convergence_is_quadratic(T):
    """Orders log(e_2 / e_1) / log(e_1 / e_0), which no constant of e_1 = c e_0^p enters, reach 2."""
    for seed in range(3):
        A, trace = symmetric(40, 2, seed), []
        learn_transition(
            drawn(A, T, 2, 4, seed), T, 2, shape=A.shape, callback=lambda s, t=trace: t.append(s["relative"])
        )
        falls = np.diff(np.log([value for value in trace if value > 1e-13]))
        orders = falls[1:] / falls[:-1]
        assert orders[-2:].max() >= 1.8
        assert len(trace) <= 18


@pytest.mark.parametrize("T", [1, 4])
def test_solves_are_exact_to_rounding(T):
    """Off the tangent space conjugate gradients break down: errors of 4 to 40 came of tol=1e-13."""
    A = symmetric(100, 5, 0)
    found = learn_transition(drawn(A, T, 5, 4, 0), T, 5, shape=A.shape, tol=1e-13, rng=0)
    assert found.info.converged
    assert distance(found.A.to_dense(), A) <= 1e-12
    assert found.info.matvecs <= 600


def test_what_samples_hardly_determine_is_not_called_right():
    """With few samples a line, or a rank too large, other matrices have the same samples."""
    right = wrong = 0
    for n, r, fit, rho, seed in itertools.product((20,), (1, 2), (2, 3), (1.3, 1.7, 3.0), range(4)):
        rng = np.random.default_rng([seed, n, r, fit])
        A = rng.standard_normal((n, r)) @ rng.standard_normal((r, n))
        count = min(int(rho * fit * (2 * n - fit)), n * n // 2)
        i, j = np.divmod(rng.choice(n * n, count, replace=False), n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", randnla.ConvergenceWarning)
            found = complete((i, j, A[i, j]), A.shape, fit, holdout=0.0, max_iters=40, rng=seed)
        if distance(found.to_dense(), A) > 1e-7:
            wrong += 1
            assert not found.info.converged
        elif found.info.converged:
            right += 1
    assert wrong >= 5
    assert right >= 30


def test_the_least_that_samples_see_is_an_eigenvalue():
    rng, n = np.random.default_rng(4), 12
    t, i, j = np.nonzero(rng.random((3, n, n)) < 0.5)
    A = symmetric(n, 2, 3)
    samples = Samples(t, i, j, powers_of(A, 3)[t, i, j], 3, (n, n))
    H = Hankel(samples, np.zeros((2 * n, 0)), np.zeros((0, 2 * n)), samples.values)
    at = leading(H, 2, None, 0)
    U, V = at.U, at.V
    left, right = np.eye(2 * n) - U @ U.T, np.eye(2 * n) - V @ V.T
    known = np.zeros((3, n, n), bool)
    known[t, i, j] = True
    columns = []
    for unit in np.eye(4 * n * n).reshape(-1, 2 * n, 2 * n):
        Z = unit - left @ unit @ right  # the tangent space
        X = np.stack(
            [
                sum(Z[a * n :, b * n :][:n, :n] for a, b in ((0, s), (1, s - 1)) if 0 <= b < 2)
                for s in range(3)
            ]
        )
        X[1] /= 2
        seen = Z - dense_hankel(np.where(known, 0, X), samples)
        columns.append((seen - left @ seen @ right).ravel())
    values = np.linalg.eigvalsh(np.array(columns))
    kept = 2 * (4 * n - 2)
    least = values[4 * n * n - kept] * known.size / known.sum()
    assert least_seen(samples, at, 0) == pytest.approx(least, rel=0.1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_memory_is_linear_in_the_order():
    """Peak resident set of six iterations at order 6000, four times: one dense power takes 288 MB."""
    code = (
        "import warnings, numpy as np, randnla\n"
        "from randnla.recovery import draw_places, learn_transition\n"
        "randnla.set_num_threads(1); warnings.simplefilter('ignore'); T, r = 4, 3\n"
        "def peak(): return int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        "def solve(n):\n"
        "    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, r)))[0]\n"
        "    t, i, j = draw_places(T, n, 4 * r * (2 * n - r), rng=0)\n"
        "    v = np.einsum('kr,kr->k', Q[i] * np.linspace(1, .8, r) ** t[:, None], Q[j])\n"
        "    before = peak()\n"
        "    learn_transition((t, i, j, v), T, r, shape=(n, n), holdout=0.0, max_iters=6, rng=0)\n"
        "    return peak() - before\n"
        "solve(200); print(solve(6000))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert int(done.stdout) * 1024 <= 40e6


@pytest.mark.parametrize("T", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_products_are_those_of_the_dense_hankel_matrix(T, dtype):
    rng, n, k = np.random.default_rng(T), 6, 2

    def normal(*shape):
        X = rng.standard_normal(shape)
        return X + 1j * rng.standard_normal(shape) if dtype is np.complex128 else X

    t, i, j = np.nonzero(rng.random((T, n, n)) < 0.4)
    samples = Samples(t, i, j, normal(t.size), T, (n, n))
    down, across = samples.depth
    L, R = normal(down * n, k), normal(k, across * n)
    H = Hankel(samples, L, R, samples.values)
    X = [E.toarray() for E in samples.matrices(samples.values)]
    for s in range(T):
        pairs = [(p, s - p) for p in range(down) if 0 <= s - p < across]
        assert samples.multiplicity()[s] == len(pairs)
        for p, q in pairs:
            X[s] = X[s] + L[p * n : (p + 1) * n] @ R[:, q * n : (q + 1) * n] / len(pairs)
    whole = dense_hankel(X, samples)
    V, W = normal(across * n, 3), normal(down * n, 3)
    np.testing.assert_allclose(H.matmat(V), whole @ V, atol=1e-12)
    np.testing.assert_allclose(H.adjoint().matmat(W), whole.conj().T @ W, atol=1e-12)


@pytest.mark.parametrize("T", [1, 3])
def test_the_step_solves_the_weighted_least_squares_problem(T):
    """Against the dense system of n^2 T unknowns: min <H X, W H X> with the samples met."""
    rng, n, r = np.random.default_rng(1), 8, 2
    A = symmetric(n, r, 1)
    t, i, j = np.nonzero(rng.random((T, n, n)) < 0.6)
    samples = Samples(t, i, j, powers_of(A, T)[t, i, j], T, (n, n))
    down, across = samples.depth
    H0 = Hankel(samples, np.zeros((down * n, 0)), np.zeros((0, across * n)), samples.values)
    at = leading(H0, 5, None, 0)
    eps = float(at.s[2])
    at = Triplets(*(at.cut(2).U, at.cut(2).s, at.cut(2).V))
    system = Capacitance(samples, at, eps)
    g, _ = system.solve(1e-14, 2000)
    X = system.filled(g, samples.values)

    def half(B, s):
        return np.eye(len(B)) / eps + (B * (1 / s - 1 / eps)) @ B.T

    left, right = half(at.U, at.s), half(at.V, at.s)
    # vec of W H E for every unit array E, by columns.
    columns = []
    for unit in np.eye(T * n * n):
        M = dense_hankel(list(unit.reshape(T, n, n)), samples)
        columns.append((left @ M @ right, M))
    Q = np.array([[np.vdot(M, WN) for WN, _ in columns] for _, M in columns])
    known = np.zeros((T, n, n), bool)
    known[t, i, j] = True
    known, x = known.ravel(), np.zeros(T * n * n)
    x[known] = powers_of(A, T).ravel()[known]
    x[~known] = np.linalg.solve(Q[np.ix_(~known, ~known)], -Q[np.ix_(~known, known)] @ x[known])
    truth = dense_hankel(list(x.reshape(T, n, n)), samples)
    np.testing.assert_allclose(X.matmat(np.eye(across * n)), truth, atol=1e-10)


def test_samples_out_of_order_fill_the_same_matrices():
    """Values are told by their places, not by the order in which they come."""
    rng = np.random.default_rng(5)
    t, i, j = np.nonzero(rng.random((3, 6, 5)) < 0.5)
    mixed = rng.permutation(t.size)
    values, (L, R) = rng.standard_normal(t.size), (rng.standard_normal((12, 2)), rng.standard_normal((2, 10)))
    samples = Samples(t[mixed], i[mixed], j[mixed], values[mixed], 3, (6, 5))
    for time, M in enumerate(samples.matrices(samples.values)):
        truth = np.zeros((6, 5))
        truth[i[t == time], j[t == time]] = values[t == time]
        np.testing.assert_array_equal(M.toarray(), truth)
    blocks = dict.fromkeys(range(3), 0)
    for p, q in itertools.product(range(2), range(2)):
        blocks[p + q] = blocks[p + q] + L[6 * p : 6 * p + 6] @ R[:, 5 * q : 5 * q + 5]
    truth = [blocks[a][b, c] for a, b, c in zip(t[mixed], i[mixed], j[mixed], strict=True)]
    np.testing.assert_allclose(samples.at(L, R), truth, atol=1e-13)


def test_a_rectangular_matrix_is_completed():
    rng = np.random.default_rng(2)
    A = rng.standard_normal((250, 4)) @ rng.standard_normal((4, 200))
    rows, columns = np.nonzero(rng.random(A.shape) < 0.15)
    found = complete((rows, columns, A[rows, columns]), A.shape, 4, rng=0)
    assert distance(found.to_dense(), A) <= 1e-7
    assert found.info.converged
    assert found.U.shape == (250, 4)


@pytest.mark.parametrize("axis", [0, 1])
def test_rows_and_columns_with_fewer_samples_than_the_rank_are_told(axis):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 50))
    for count in range(3):
        mask = rng.random(A.shape) < 0.3
        line = mask[7] if axis == 0 else mask[:, 7]
        line[:] = False
        line[:count] = True
        samples = (*np.nonzero(mask), A[mask])
        if count == 2:
            found = complete(samples, A.shape, 2, holdout=0.0, rng=0)
            assert found.info.converged
            assert distance(found.to_dense(), A) <= 1e-7
            continue
        words = "1 rows and 0 columns" if axis == 0 else "0 rows and 1 columns"
        with pytest.warns(randnla.ConvergenceWarning, match=f"{words} have fewer than 2 samples"):
            found = complete(samples, A.shape, 2, holdout=0.0, rng=0)
        assert not found.info.converged
        rest = np.delete(found.to_dense() - A, 7, axis)
        assert np.linalg.norm(rest) <= 1e-7 * np.linalg.norm(A)


def test_lines_are_counted_against_the_rank_that_was_given():
    """Two samples determine a row of a matrix of rank one, but not of a fit of rank three."""
    A = symmetric(40, 1, 0)
    mask = np.random.default_rng(0).random(A.shape) < 0.5
    mask[7] = False
    mask[7, :2] = True
    with pytest.warns(randnla.ConvergenceWarning, match="1 rows and 0 columns have fewer than 3 samples"):
        found = complete((*np.nonzero(mask), A[mask]), A.shape, 3, holdout=0.0, rng=0)
    assert not found.info.converged
    assert distance(found.to_dense(), A) >= 0.05
    found = complete((*np.nonzero(mask), A[mask]), A.shape, 1, holdout=0.0, rng=0)
    assert found.info.converged
    assert distance(found.to_dense(), A) <= 1e-7


def test_spectra_that_are_neither_symmetric_nor_real():
    rng = np.random.default_rng(3)
    P = rng.standard_normal((40, 4))
    turn = np.array([[0.6, -0.7, 0, 0], [0.7, 0.6, 0, 0], [0, 0, -0.9, 0], [0, 0, 0, 0.8]])
    A = P @ turn @ np.linalg.pinv(P)
    found = learn_transition(drawn(A, 3, 4, 3.5, 0), 3, 4, shape=A.shape, rng=0)
    assert distance(found.A.to_dense(), A) <= 1e-6
    B = A + 1j * P @ np.diag([0.2, 0.1, 0.3, 0.1]) @ np.linalg.pinv(P)
    found = learn_transition(drawn(B, 2, 4, 4, 0), 2, 4, shape=B.shape, rng=0)
    assert distance(found.A.to_dense(), B) <= 1e-6


def test_powers_that_fall_or_grow_are_rescaled():
    A = symmetric(30, 2, 4)
    for factor in (1e-3, 1e3):
        found = learn_transition(drawn(factor * A, 3, 2, 4, 0), 3, 2, shape=A.shape, rng=0)
        assert found.info.converged
        assert distance(found.A.to_dense(), factor * A) <= 1e-7
        assert found.info.path.startswith("growth ")


def test_powers_of_two_change_no_bit_and_seeds_replay():
    A = symmetric(30, 2, 5)
    _, i, j, v = drawn(A, 1, 2, 4, 0)
    first = complete((i, j, v), A.shape, 2)
    again = complete((i, j, v * 2.0**40), A.shape, 2, rng=first.info.seed)
    assert np.array_equal(first.U, again.U)
    assert np.array_equal(first.s * 2.0**40, again.s)


def test_a_wrong_rank_or_noise_is_told():
    A = symmetric(30, 4, 6)
    _, i, j, v = drawn(A, 1, 4, 3, 0)
    with pytest.warns(randnla.ConvergenceWarning, match="singular value 4 is .* above tol"):
        found = complete((i, j, v), A.shape, 3, rng=0)
    assert not found.info.converged
    assert found.info.error_relative > 1e-3
    noisy = v + 1e-3 * np.abs(v).max() * np.random.default_rng(0).standard_normal(v.size)
    with pytest.warns(randnla.ConvergenceWarning, match="singular value 5"):
        found = complete((i, j, noisy), A.shape, 4, rng=0)
    assert distance(found.to_dense(), A) <= 3e-2


@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize("excess", [1, 2, 3])
def test_a_rank_that_is_too_large_by_a_few_does_no_harm(T, excess):
    for seed in range(3):
        A = symmetric(40, 3, seed)
        found = learn_transition(drawn(A, T, 3, 4, seed), T, 3 + excess, shape=A.shape, rng=seed)
        assert found.info.converged
        assert distance(found.A.to_dense(), A) <= 1e-7
        assert np.all(found.A.C[3:] <= 1e-7 * found.A.C[0])


@pytest.mark.parametrize("T", [1, 3])
def test_operators_from_noisy_samples_err_like_the_noise(T):
    """Near least squares with the tangent space known, sigma n sqrt(unknowns / samples)."""
    level, errors, oracle = 1e-4, [], []
    for seed in range(4):
        A = symmetric(30, 2, seed)
        t, i, j, v = drawn(A, T, 2, 6, seed)
        noise = level * np.sqrt(np.mean(v**2)) * np.random.default_rng(seed).standard_normal(v.size)
        with pytest.warns(randnla.ConvergenceWarning, match="singular value 3"):
            found = learn_transition((t, i, j, v + noise), T, 2, shape=A.shape, rng=seed)
        errors.append(distance(found.A.to_dense(), A))
        oracle.append(level / 6**0.5 * np.sqrt(np.mean(v**2)) * 30 / np.linalg.norm(A))
        assert found.info.error_relative >= level / 3
    assert np.median(errors) <= 10 * np.median(oracle)


def test_sequences_that_are_no_powers_are_told():
    """The samples are met by matrices of the right rank, X_2 not being X_1^2."""
    for T, rho, seed in ((2, 2.5, 0), (2, 2, 0), (3, 2, 0)):
        A = symmetric(30, 3, seed)
        t, i, j, v = places_of(A, T, 3, rho, seed)
        with pytest.warns(randnla.ConvergenceWarning, match="found miss|are not determined|hardly determine"):
            found = learn_transition((t, i, j, v), T, 3, shape=A.shape, rng=seed)
        assert found.info.residual <= 1e-10
        assert not found.info.converged
        assert distance(found.A.to_dense(), A) >= 1e-2
        seen = powers_of(found.A.to_dense(), T)[t - 1, i, j]
        weight = float(found.info.path.split()[1]) ** (1.0 - t)
        misfit = np.linalg.norm(weight * (seen - v)) / np.linalg.norm(weight * v)
        assert found.misfit == pytest.approx(misfit, rel=1e-4)
        assert found.info.error_relative >= found.misfit >= 1e-2
    for seed in range(3):
        A = symmetric(30, 3, seed)
        found = learn_transition(places_of(A, 2, 3, 3, seed), 2, 3, shape=A.shape, rng=seed)
        assert found.info.converged
        assert found.misfit <= 1e-8
        assert distance(found.A.to_dense(), A) <= 1e-8


def test_growth_is_found_where_squares_are_no_numbers():
    i, j = np.divmod(np.arange(64), 8)
    A = symmetric(8, 1, 0)
    for p in (-500, 500):  # squares of the samples of A^2 under- and overflow
        unit = 2.0**p
        values = np.concatenate([unit * A.ravel(), unit**2 * A.ravel()])
        samples = np.repeat([1, 2], 64), np.tile(i, 2), np.tile(j, 2), values
        found = learn_transition(samples, 2, 1, shape=A.shape, holdout=0.0, rng=0)
        assert distance(found.A.to_dense() / unit, A) <= 1e-12
        assert found.info.converged
        assert float(found.info.path.split()[1]) == pytest.approx(unit, rel=1e-5)


def test_values_near_the_end_of_the_range():
    i, j = np.divmod(np.arange(64), 8)
    for value in (1.2e307, 1e307 + 1e307j):
        found = complete((i, j, np.full(64, value)), (8, 8), 1, rng=0)
        np.testing.assert_allclose(found.to_dense(), value, rtol=1e-10)
    for value in (1.7e308, 1.7e308 + 1.7e308j):
        with pytest.raises(randnla.InputError, match=r"^values: the singular values of their matrix"):
            complete((i, j, np.full(64, value)), (8, 8), 1, rng=0)


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({"samples": 3}, r"^samples: expected \(rows, columns, values\)"),
        ({"samples": ([0, 0], [1, 1], [1.0, 1.0])}, r"^samples: expected every entry once"),
        ({"samples": ([9], [1], [1.0])}, r"^rows: "),
        ({"samples": ([0.5], [1], [1.0])}, r"^rows: expected a vector of integers"),
        ({"samples": ([0], [1, 2], [1.0])}, r"^columns: expected 1 of them"),
        ({"samples": ([0], [1], [1.0])}, r"^samples: expected at least rank \(m \+ n - rank\) = 9"),
        ({"samples": ([0], [1], [np.nan])}, r"^values: "),
        ({"shape": 5}, r"^shape: expected two integers"),
        ({"rank": 0}, r"^rank: expected an integer in \[1, 4\], got 0"),
        ({"tol": 2.0}, r"^tol: "),
        ({"holdout": 0.9}, r"^holdout: "),
        ({"max_iters": 0}, r"^max_iters: "),
        ({"callback": 1}, r"^callback: "),
        ({"rng": -1}, r"^rng: "),
    ],
)
def test_misuse(change, pattern):
    i, j = np.divmod(np.arange(25), 5)
    given = {"samples": (i, j, np.ones(25)), "shape": (5, 5), "rank": 1, **change}
    with pytest.raises(randnla.InputError, match=pattern):
        complete(given.pop("samples"), given.pop("shape"), given.pop("rank"), **given)


def test_misuse_of_times():
    i, j = np.divmod(np.arange(25), 5)
    ones = np.ones(25)
    with pytest.raises(randnla.InputError, match=r"^times: expected integers in \[1, 2\]"):
        learn_transition((np.full(25, 3), i, j, ones), 2, 1, shape=(5, 5))
    with pytest.raises(randnla.InputError, match=r"^shape: expected a square operator"):
        learn_transition((np.ones(25, int), i, j, ones), 2, 1, shape=(5, 6))
    with pytest.raises(randnla.InputError, match=r"^growth: "):
        learn_transition((np.ones(25, int), i, j, ones), 2, 1, shape=(5, 5), growth=0.0)
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = recovery.nothing_like_this
