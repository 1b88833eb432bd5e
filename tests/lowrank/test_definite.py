# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The default of eigh: as many passes as the spectrum needs, and no fewer."""

import numpy as np
import pytest

import randnla
from randnla import datasets
from randnla.lowrank import definite
from randnla.lowrank.definite import _sines, predicted_excess

N = 600
I = np.arange(1.0, N + 1)  # noqa: E741 - the index of a spectrum
SPECTRA = {
    "exp(-i/15)": np.exp(-I / 15),
    "exp(-i/40)": np.exp(-I / 40),
    "i^-1/2": I**-0.5,
    "i^-1": 1 / I,
    "i^-3/2": I**-1.5,
    "i^-2": I**-2,
    "step": np.where(I <= 20, 1.0, 0.01),
    "low step": np.where(I <= 20, 1.0, 0.3),
    "spike": np.where(I <= 5, 10.0, 1.0),
    "line": 1 - I / (N + 1),
    "plateaus": 10.0 ** -(I // 30),
    "two levels": np.where(I <= 15, 1.0, np.where(I <= 50, 0.5, 0.01)),
}


def semidefinite(w, dtype=np.float64):
    V = np.linalg.qr(np.random.default_rng(0).standard_normal((N, N)))[0]
    A = (V * w) @ V.T
    return ((A + A.T) / 2).astype(dtype)


def ratio(A, result, k):
    A = A.astype(np.float64)
    best = np.linalg.norm(np.sort(np.abs(np.linalg.eigvalsh(A)))[::-1][k:])
    return np.linalg.norm(A - (result.V * result.w.astype(np.float64)) @ result.V.T.astype(np.float64)) / best


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SPECTRA)
def test_error_is_within_two_percent_of_the_least(name, dtype):
    A = semidefinite(SPECTRA[name], dtype)
    for k in (8, 20, 32):
        for seed in range(3):
            result = randnla.eigh(A, k, rng=seed)
            assert result.info.method == "subspace"
            assert "definite core" in result.info.path
            assert ratio(A, result, k) <= 1.02


@pytest.mark.parametrize("width", [8.0, 16.0, 24.0, 40.0])
def test_kernel_matrices_of_digits_too(width):
    pytest.importorskip("sklearn")
    K = datasets.gaussian_kernel(datasets.load_digits()[0][:N], width)
    for k in (20, 40):
        result = randnla.eigh(K, k, rng=0)
        assert ratio(K, result, k) <= 1.02
        assert result.info.error_estimate >= ratio(K, result, k) * np.linalg.norm(
            np.linalg.eigvalsh(K)[: N - k]
        ) * (1 - 1e-9)


def test_passes_follow_the_spectrum():
    passes = {
        name: randnla.eigh(semidefinite(SPECTRA[name]), 20, rng=0).info.passes
        for name in ("step", "i^-3/2", "exp(-i/40)")
    }
    assert passes == {"step": 2, "i^-3/2": 3, "exp(-i/40)": 4}


@pytest.mark.parametrize("name", ["i^-1", "step", "exp(-i/15)"])
def test_indefinite_matrices_take_four_passes(name):
    A = semidefinite(SPECTRA[name] * np.where(I % 2, 1, -1))
    result = randnla.eigh(A, 16, rng=0)
    assert "indefinite core" in result.info.path
    assert result.info.passes == 4
    assert ratio(A, result, 16) <= 1.02


def test_a_definite_core_of_an_indefinite_matrix_is_found_out():
    # The negative part lies below what the sketch sees: the core is definite to rounding, A is not.
    w = np.where(I <= 30, 1.0, -1e-7)
    A = semidefinite(w)
    result = randnla.eigh(A, 30, rng=0)
    best = 1e-7 * np.sqrt(N - 30)
    error = np.linalg.norm(A - (result.V * result.w) @ result.V.T)
    assert error <= 1.05 * best
    assert error <= result.info.error_estimate


@pytest.mark.parametrize("name", SPECTRA)
def test_the_prediction_bounds_the_excess(name):
    """On exact input: w of Algorithm 5.5 by dense algebra, the true error in place of the estimate."""
    A, lam = semidefinite(SPECTRA[name]), np.sort(SPECTRA[name])[::-1]
    for k, size in ((10, 32), (20, 48)):
        excess, predicted = [], []
        for seed in range(5):
            Q = np.linalg.qr(A @ randnla.Gaussian(size, N, rng=seed).to_dense().T)[0]
            for power in (1.5, 2.5):
                Y = A @ Q
                L = np.linalg.cholesky(Q.T @ Y + 1e-14 * np.eye(size))
                U, s, _ = np.linalg.svd(np.linalg.solve(L, Y.T).T, full_matrices=False)
                w = np.maximum(s**2 - 1e-14, 0)
                squared = np.linalg.norm(A - (U[:, :k] * w[:k]) @ U[:, :k].T) ** 2
                least = (lam[k:] ** 2).sum()
                excess.append(squared / least - 1)
                predicted.append(predicted_excess(w, k, squared, power))
                Q = np.linalg.qr(Y)[0]
        excess, predicted = np.array(excess), np.array(predicted)
        # In the mean over the draws, and with the accepted 4 % in every one.
        assert predicted.mean() >= 0.9 * excess.mean() - 1e-9
        assert np.all(excess[predicted <= 0.04] <= 0.045)


def test_prediction_of_degenerate_spectra():
    assert predicted_excess(np.array([3.0, 2.0, 0.0, 0.0]), 2, 0.0, 1.5) == 0.0
    assert predicted_excess(np.zeros(5), 2, 0.0, 1.5) == 0.0
    flat = predicted_excess(np.ones(40), 10, 100.0, 1.5)
    assert flat > 0.04  # one spectrum value, nothing to tell: no early stop
    scaled = predicted_excess(1e-200 * np.ones(40), 10, 1e-398, 1.5)
    assert np.isfinite(scaled)


@pytest.mark.parametrize("turn", [2, 3, 4])
def test_a_core_may_turn_out_indefinite_at_any_pass(monkeypatch, turn):
    """The pairs of the last pass keep their units: A is far from the exponent 0."""
    A = semidefinite(SPECTRA["exp(-i/40)"]) * 2.0**40
    calls, ritz = [], definite._ritz

    def turned(core):
        w, X = ritz(core)
        calls.append(len(calls) + 2)
        if calls[-1] == turn:
            w[-1] = -abs(w[0]) / 1000
        return w, X

    monkeypatch.setattr(definite, "_ritz", turned)
    result = randnla.eigh(A, 20, rng=0)
    assert "indefinite core" in result.info.path
    assert result.info.passes == 4
    assert ratio(A, result, 20) <= 1.05
    assert result.info.error_estimate >= ratio(A, result, 20) * 2.0**40 * np.linalg.norm(
        SPECTRA["exp(-i/40)"][20:]
    )


@pytest.mark.parametrize("mass", [0.0, 1e-6, 1e-2, 10.0])
@pytest.mark.parametrize("decay", ["i^-1.5", ".8^i", "step", "flat"])
def test_sines_solve_the_equation_of_the_sketch(decay, mass):
    i = np.arange(40)
    values = {
        "i^-1.5": (1.0 + i) ** -1.5,
        ".8^i": 0.8**i,
        "step": np.where(i < 9, 1, 1e-5),
        "flat": 1 - i / 1e6,
    }
    power, w = 2.5, values[decay]
    sines = _sines(w, 40, mass, power)
    unseen = mass * w[-1] ** (2 * power - 2)
    level = w[0] ** (2 * power) * sines[0] / (1 - sines[0])
    # l - 1 columns see as much: sum of d / (d + 1/t), and what lies beyond the last value.
    taken = (1 - sines).sum() + unseen / level
    np.testing.assert_allclose(taken, 39, rtol=1e-6)
