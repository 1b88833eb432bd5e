# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tolerances, kinds of input, replay, and what is refused."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from lowrank_cases import error, hermitian, matrix, tail

import randnla

SCRATCH = 4  # MB


@pytest.mark.parametrize("norm", ["fro", "spectral"])
@pytest.mark.parametrize("tol", [0.2, 1e-2, 1e-4, 1e-9])
def test_tolerance_is_certified_and_the_rank_near_minimal(norm, tol):
    A, s = matrix(320, 300, "geometric")
    order = 2 if norm == "spectral" else "fro"
    size = np.linalg.norm(s, np.inf if norm == "spectral" else None)
    errors = [s[k] if norm == "spectral" else tail(s, k) for k in range(s.size)]
    best = int(np.argmax(np.array(errors) <= tol * size))
    for solve in (randnla.svd, randnla.range_finder):
        result = solve(A, tol=tol, norm=norm, rng=0)
        Q = result[0]
        assert np.linalg.norm(A - Q @ (Q.T @ A), order) <= result.info.error_estimate * (1 + 1e-9)
        assert result.info.error_relative <= tol
        assert result.info.converged
        assert best <= Q.shape[1] <= best + 3


@pytest.mark.parametrize("solve", [randnla.eigh, randnla.nystrom])
@pytest.mark.parametrize("tol", [0.1, 1e-3, 1e-8])
def test_tolerance_of_eigenpairs(solve, tol):
    A, w = hermitian(300, "geometric")
    result = solve(A, tol=tol, rng=0)
    assert error(A, result) <= result.info.error_estimate * (1 + 1e-9)
    assert result.info.error_estimate <= tol * np.linalg.norm(w) * (1 + 1e-9)


def test_a_rank_cap_that_binds_warns():
    A, _ = matrix(320, 300, "harmonic")
    with pytest.warns(randnla.ConvergenceWarning, match="tol"):
        result = randnla.svd(A, 5, tol=1e-3, rng=0)
    assert result.U.shape == (320, 5)
    assert not result.info.converged
    assert error(A, result) <= result.info.error_estimate * (1 + 1e-9)


def test_kinds_of_input_agree():
    A, _ = matrix(90, 70, "geometric")
    A[np.abs(A) < 0.01] = 0
    base = randnla.svd(A, 6, method="subspace", rng=4)
    kinds = {
        "fortran": np.asfortranarray(A),
        "strided": np.repeat(A, 2, axis=1)[:, ::2],
        "reversed": A[::-1][::-1],
        "big-endian": A.astype(">f8"),
        "csr": scipy.sparse.csr_array(A),
        "csc": scipy.sparse.csc_matrix(A),
        "coo": scipy.sparse.coo_array(A),
        "operator": randnla.Dense(A),
        "scipy operator": scipy.sparse.linalg.aslinearoperator(A),
        "stream": randnla.RowStream(A, max_memory=20_000),
        "complex": A.astype(complex),
        "list": A.tolist(),
    }
    for name, B in kinds.items():
        result = randnla.svd(B, 6, method="subspace", rng=4)
        assert np.allclose(result.s, base.s, rtol=1e-11), name
        assert np.allclose(result.U, base.U, atol=1e-8), name
    half = randnla.svd(A.astype(np.float16), 6, rng=4)
    assert half.s.dtype == np.float32
    assert np.allclose(half.s, base.s, atol=2e-3)


def test_torch_in_torch_out():
    torch = pytest.importorskip("torch")
    A, s = matrix(50, 40, "poly", np.float32)
    result = randnla.svd(torch.from_numpy(A), 4, rng=0)
    assert all(isinstance(x, torch.Tensor) and x.dtype == torch.float32 for x in result)
    assert np.allclose(result.s.numpy(), s[:4], rtol=1e-3)


def test_complex_agrees_with_numpy():
    A, _ = matrix(80, 60, "geometric", np.complex128)
    result = randnla.svd(A, 10, rng=0)
    assert np.allclose(result.s, np.linalg.svd(A, compute_uv=False)[:10], rtol=1e-9)
    assert error(A, result) <= 1.02 * tail(np.linalg.svd(A, compute_uv=False), 10)


REPLAYED = {
    "svd": ("subspace", "proto", "power", "krylov", "row_extraction", "farpca", "gram", "full", "auto"),
    "pca": ("subspace", "proto", "power", "krylov", "row_extraction", "farpca", "gram", "full", "auto"),
    "eigh": ("subspace", "krylov", "nystrom", "row_extraction", "one_pass", "full", "auto"),
    "range_finder": ("subspace", "proto", "power", "krylov", "auto"),
    "qb": ("ei", "pass_efficient", "farpca", "auto"),
    "nystrom": (None,),
}


@pytest.mark.parametrize(("driver", "method"), [(d, method) for d, ms in REPLAYED.items() for method in ms])
def test_a_seed_replays_the_call(driver, method):
    A, _ = hermitian(90, "harmonic")
    solve = getattr(randnla, driver)
    call = {} if method is None else {"method": method}
    first = solve(A, 6, **call)
    again = solve(A, 6, rng=first.info.seed, **call)
    assert all(np.array_equal(x, y) for x, y in zip(first, again, strict=True))
    assert first.info.to_dict() == again.info.to_dict()


@pytest.mark.parametrize("driver", REPLAYED)
def test_a_seed_replays_a_tolerance(driver):
    A, _ = hermitian(300, "harmonic")
    solve = getattr(randnla, driver)
    first = solve(A, tol=0.3)
    again = solve(A, tol=0.3, rng=first.info.seed)
    assert all(np.array_equal(x, y) for x, y in zip(first, again, strict=True))
    assert first.info.to_dict() == again.info.to_dict()
    other = solve(A, tol=0.3, rng=first.info.seed ^ 1)
    assert not np.array_equal(first[0], other[0])


def test_warm_start_needs_fewer_passes():
    A, w = hermitian(300, "harmonic")
    cold = randnla.eigh(A, 20, method="subspace", rng=0)
    near = A + 1e-6 * np.diag(np.arange(300) / 300)
    warm = randnla.eigh(near, 20, warm_start=cold.V, rng=0)
    assert warm.info.passes == 2 < cold.info.passes
    assert error(near, warm) <= 1.02 * tail(w, 20)


def test_what_is_refused():
    A = np.random.default_rng(0).standard_normal((30, 30))
    with pytest.raises(randnla.InputError, match="symmetric"):
        randnla.eigh(A, 3, method="subspace")
    with pytest.raises(randnla.InputError, match="square"):
        randnla.eigh(A[:20], 3)
    A[3, 4] = np.inf
    for method in ("subspace", "gram", "full", "proto"):
        with pytest.raises(randnla.NonFiniteError, match=r"\(3, 4\)"):
            randnla.svd(A, 3, method=method)
        unspecified = randnla.svd(A, 3, method=method, check_finite=False)
        assert unspecified.U.shape == (30, 3)


def test_a_memmap_is_read_in_blocks_within_its_memory(tmp_path):
    # 200 MB on disk; the process may grow by the blocks (16 MB), the workspace that info.memory estimates and
    # the scratch of the BLAS. A thread of its own looks every millisecond, also inside the products.
    script = f"""
        import threading, numpy as np, randnla
        path = {str(tmp_path / "big.dat")!r}
        A = np.memmap(path, dtype=np.float32, mode="w+", shape=(25_000, 2_000))
        rng = np.random.default_rng(0)
        right = rng.standard_normal((5, 2_000), dtype=np.float32)
        for i in range(0, 25_000, 1000):
            A[i : i + 1000] = rng.standard_normal((1000, 5), dtype=np.float32) @ right
        A.flush(); del A
        A = np.memmap(path, dtype=np.float32, mode="r", shape=(25_000, 2_000))
        randnla.svd(np.ones((50, 40)), 2, rng=0)
        def anonymous():
            return int(next(l for l in open("/proc/self/status") if l.startswith("RssAnon")).split()[1])
        peak, start, done = 0, anonymous(), threading.Event()
        def watch():
            global peak
            while not done.wait(0.001):
                peak = max(peak, anonymous())
        watcher = threading.Thread(target=watch)
        watcher.start()
        result = randnla.svd(A, 5, rng=0, method="subspace", max_memory=16 << 20)
        done.set(); watcher.join()
        assert result.info.error_relative < 1e-4
        print((peak - start) >> 10, result.info.memory >> 20)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    grown, workspace = map(int, run.stdout.split())
    assert grown <= 16 + workspace + SCRATCH
