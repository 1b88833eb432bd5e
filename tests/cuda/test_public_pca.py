# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Principal components of CuPy arrays, kernels under emulation: those of the CPU."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

import randnla
from randnla import InputError, NonFiniteError

M, N, RANK = 80, 30, 3


def samples(dtype: Any, *, mean: float = 0.5) -> Any:
    rng = np.random.default_rng(7)
    V = np.linalg.qr(rng.standard_normal((N, N)))[0]
    X = (rng.standard_normal((M, N)) * 0.6 ** np.arange(N)) @ V.T
    return (X + mean * rng.standard_normal(N)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("mean", "center"), [(0.1, True), (100.0, True), (0.1, False)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_pca_is_that_of_the_host(gpu: Any, order: Any, mean: float, center: bool, dtype: Any) -> None:
    """Also where the mean would cost digits: products are then of centered blocks."""
    X = np.asarray(samples(dtype, mean=mean), order=order)
    options: Any = {
        "center": center,
        "method": "subspace",
        "power_iters": 2,
        "rng": 3,
        "certificate": "probe",
    }
    found, expected = randnla.pca(gpu.put(X), RANK, **options), randnla.pca(X, RANK, **options)
    factors = ("components", "explained_variance", "explained_variance_ratio", "mean", "scores")
    loose = 5000 * float(np.finfo(dtype).eps) * (mean if mean > 1 and dtype == np.float32 else 1)
    for name in factors:
        theirs = getattr(found, name)
        assert type(theirs) is gpu.cupy.ndarray
        seen, wanted = gpu.seen(theirs), getattr(expected, name)
        assert seen.dtype == wanted.dtype
        np.testing.assert_allclose(seen, wanted, atol=loose * (1 + np.abs(wanted).max()), err_msg=name)
    info = found.info
    assert info.passes == expected.info.passes
    np.testing.assert_allclose(info.error_estimate, expected.info.error_estimate, rtol=1e-3)
    deviations = X - gpu.seen(found.mean).astype(np.float64)
    off = deviations - gpu.seen(found.scores) @ gpu.seen(found.components)
    assert np.linalg.norm(off) <= info.error_estimate


@pytest.mark.parametrize("mean", [0.1, 100.0])
def test_exact_certificate_and_whitened_scores(gpu: Any, mean: float) -> None:
    X = samples(np.float64, mean=mean)
    result = randnla.pca(gpu.put(X), RANK, whiten=True, rng=0)
    assert result.info.certificate == "exact"
    scores = gpu.seen(result.scores)
    np.testing.assert_allclose(scores.std(axis=0, ddof=1), np.ones(RANK), rtol=1e-10)
    total = np.var(X, axis=0, ddof=1).sum()
    variance = gpu.seen(result.explained_variance)
    np.testing.assert_allclose(gpu.seen(result.explained_variance_ratio), variance / total, rtol=1e-10)


@pytest.mark.parametrize("power", [-700, 500])
def test_units(gpu: Any, power: int) -> None:
    X = samples(np.float64)
    near = randnla.pca(gpu.put(X), RANK, rng=0)
    low = pytest.warns(RuntimeWarning, match="3 of 3 variances are below the normal range")
    with low if power < -500 else contextlib.nullcontext():
        far = randnla.pca(gpu.put(np.ldexp(X, power)), RANK, rng=0)
    np.testing.assert_allclose(gpu.seen(far.components), gpu.seen(near.components), atol=1e-12)
    np.testing.assert_allclose(gpu.seen(far.mean), np.ldexp(gpu.seen(near.mean), power), rtol=1e-12)
    np.testing.assert_allclose(gpu.seen(far.scores), np.ldexp(gpu.seen(near.scores), power), rtol=1e-9)


def test_variances_beyond_the_range(gpu: Any) -> None:
    with pytest.raises(randnla.RangeError, match="A: its largest variance exceeds the range of float64"):
        randnla.pca(gpu.put(np.ldexp(samples(np.float64), 600)), RANK, rng=0)


def test_only_cores_and_means_cross(gpu: Any) -> None:
    counts = []
    for rows in (65, 80):
        before = (gpu.transfers.to_host, gpu.transfers.to_device)
        randnla.pca(gpu.put(samples(np.float64)[:rows]), RANK, rng=0, certificate="probe")
        counts.append((gpu.transfers.to_host - before[0], gpu.transfers.to_device - before[1]))
    assert counts[0] == counts[1]


def test_what_it_refuses(gpu: Any) -> None:
    X = samples(np.float64)
    with pytest.raises(InputError, match="method: expected one of 'auto', 'subspace', 'power', 'proto'"):
        randnla.pca(gpu.put(X), RANK, method="gram")
    with pytest.raises(InputError, match="A: expected at least two rows"):
        randnla.pca(gpu.put(X)[:1], 1)
    X[3, 4] = np.nan
    with pytest.raises(NonFiniteError, match="A: it holds NaN or Inf"):
        randnla.pca(gpu.put(X), RANK)
