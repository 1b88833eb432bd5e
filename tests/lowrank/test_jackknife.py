# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Jackknife deviations of functions of Nystrom approximations: above the spread over sketches, not far."""

from __future__ import annotations

import numpy as np
import pytest
from lowrank_cases import hermitian

import randnla
from randnla.lowrank import jackknife

FUNCTIONS = {
    "identity": lambda w: w,
    "sqrt": np.sqrt,
    "projector": lambda w: (w > 0.3).astype(float),
}
RUNS = 60


@pytest.fixture(autouse=True)
def one_thread():
    before = randnla.num_threads()
    randnla.set_num_threads(1)
    yield
    randnla.set_num_threads(before)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("q", [0, 1])
@pytest.mark.parametrize(
    ("spectrum", "dtype"),
    [("harmonic", np.float64), ("poly", np.complex128), ("geometric", np.float32)],
)
def test_the_mean_square_is_above_the_variance(name, q, spectrum, dtype):
    # Efron, Stein and Steele: E jack^2 >= Var of the function for one column less. Measured ratios of the
    # roots: 1.3 to 2.6. 60 runs know each root to some 10 %.
    A, _ = hermitian(40, spectrum, dtype)
    f = FUNCTIONS[name]
    squares, values = [], []
    for seed in range(RUNS):
        call = {"power_iters": q, "rng": seed}
        squares.append(randnla.nystrom(A, 6, oversample=6, spectral_function=f, **call).info.deviation ** 2)
        r = randnla.nystrom(A, 6, oversample=5, **call)
        V = r.V.astype(np.complex128)
        values.append((V * f(r.w.astype(float))) @ V.conj().T)
    spread = np.sqrt((np.abs(values - np.mean(values, axis=0)) ** 2).sum() / (RUNS - 1))
    assert 0.95 * spread <= np.sqrt(np.mean(squares)) <= 3.5 * spread


def test_replicates_are_approximations_from_one_column_less(monkeypatch):
    # Against the definition: leave each column out of the sketch and build the approximation again.
    A, _ = hermitian(30, "harmonic")
    size, k, seen = 9, 5, []

    def recorded(problem, Q, Y, triangles, rank, function, exponent, f=jackknife.deviation):
        R = np.eye(size)
        for T in triangles:
            R = T @ R
        seen.append(Q @ R)
        return f(problem, Q, Y, triangles, rank, function, exponent)

    monkeypatch.setattr(jackknife, "deviation", recorded)
    for q in (0, 1, 2):
        info = randnla.nystrom(
            A, k, oversample=size - k, power_iters=q, spectral_function=np.sqrt, rng=0
        ).info
        replicates = []
        for j in range(size):
            Omega = np.delete(seen[-1], j, axis=1)
            Y = A @ Omega
            w, V = np.linalg.eigh(Y @ np.linalg.pinv(Omega.T @ Y) @ Y.T)
            w, V = np.maximum(w[-k:], 0), V[:, -k:]
            replicates.append((V * np.sqrt(w)) @ V.T)
        exact = np.sqrt(((replicates - np.mean(replicates, axis=0)) ** 2).sum())
        assert abs(info.deviation - exact) <= 1e-6 * exact


def test_it_scales_and_vanishes():
    A, _ = hermitian(40, "poly")
    base = randnla.nystrom(A, 6, spectral_function=lambda w: w, rng=0).info.deviation
    assert base > 0
    scaled = randnla.nystrom(np.ldexp(A, 60), 6, spectral_function=lambda w: w, rng=0).info.deviation
    assert scaled == np.ldexp(base, 60)
    assert randnla.nystrom(A, 6, rng=0).info.deviation is None
    assert randnla.nystrom(A, 0, oversample=0, spectral_function=np.sqrt, rng=0).info.deviation == 0
    # All of the matrix is in the sketch: nothing varies.
    whole = randnla.nystrom(A, 40, oversample=0, spectral_function=lambda w: 0 * w + 1, rng=0).info
    assert whole.deviation <= 1.5


def test_refusals():
    A, _ = hermitian(40, "poly")
    with pytest.raises(randnla.InputError, match="spectral_function"):
        randnla.nystrom(A, 5, spectral_function=3)
    with pytest.raises(randnla.InputError, match="spectral_function"):
        randnla.nystrom(A, tol=0.1, spectral_function=np.sqrt)
    with pytest.raises(randnla.InputError, match="spectral_function"):
        randnla.nystrom(A, 5, sketch="sign", spectral_function=np.sqrt)
    with pytest.raises(randnla.InputError, match="spectral_function"):
        randnla.nystrom(A, 5, warm_start=np.eye(40, 5), spectral_function=np.sqrt)
    for wrong in (lambda w: w[:2], lambda w: w * np.nan, lambda w: "no", lambda w: w * 1j):
        with pytest.raises(randnla.InputError, match="spectral_function"):
            randnla.nystrom(A, 5, spectral_function=wrong)
