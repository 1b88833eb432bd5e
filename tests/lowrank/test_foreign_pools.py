# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Drivers leave the thread pools of NumPy and SciPy alone: two hot pools on the same cores fight each other.

With a team of one all work is done by the calling thread, so that CPU time of the process beyond that of this
thread is that of a foreign pool. (One product of NumPy's inside `eigh` made it three times slower.)
"""

import os
import subprocess
import sys
from functools import cache

import pytest

CODE = """
import os
os.environ["OPENBLAS_NUM_THREADS"] = "2"
import time, numpy as np, randnla
randnla.set_num_threads(1)
rng = np.random.default_rng(0)
A = rng.standard_normal((1500, 40)) @ rng.standard_normal((40, 1200)) + rng.standard_normal((1500, 1200))
S = A.T @ A
def stream(method):
    held = randnla.StreamingSVD(A.shape, 70, method=method, rng=0)
    held.update(A)
    return held.result()
from randnla.matrix_functions import inverse_root
P = randnla.Dense(S[:500, :500] / 1e3 + np.eye(500))
D = randnla.Diagonal(np.linspace(1, 50, 3000))
z = rng.standard_normal((3000, 2))
from randnla.curvature import BrandFactor, GradientWindow, KroneckerFactor, LowRankInverse
factor, brand, inverse = KroneckerFactor(1200), BrandFactor(1200, 60), LowRankInverse(100, rng=0)
factor.update(A)
inverse.refresh(factor, 1.0)
window = GradientWindow(1200, 64, 0.1)
for row in A[:64]:
    window.add(row)
damped = randnla.DampedKronecker(S[:400, :400], S[:300, :300], 1.0, form="exact")
time.sleep(0.2)  # NumPy's workers spin for a while after their last product
calls = {
    "svd": lambda: randnla.svd(A, 70, method="subspace", rng=0),
    "svd_loo": lambda: randnla.svd(A, 70, method="subspace", certificate="leave_one_out", rng=0),
    "svd_gram": lambda: randnla.svd(A, 70, method="gram", rng=0),
    "svd_tol": lambda: randnla.svd(A, 200, tol=0.5, rng=0),
    "svd_single_pass": lambda: randnla.svd(A, 70, method="single_pass", rng=0),
    "range_finder": lambda: randnla.range_finder(A, 70, rng=0),
    "eigh": lambda: randnla.eigh(S, 70, rng=0),
    "eigh_one_pass": lambda: randnla.eigh(S, 70, method="one_pass", rng=0),
    "eigh_nystrom": lambda: randnla.eigh(S, 70, method="nystrom", rng=0),
    "nystrom": lambda: randnla.nystrom(S, 70, rng=0),
    "pca": lambda: randnla.pca(A, 70, rng=0),
    "qr": lambda: randnla.qr(A[:, :200]),
    "interpolative": lambda: randnla.interpolative(A, 70, rng=0),
    "interpolative_tol": lambda: randnla.interpolative(A, tol=0.5, rng=0),
    "interpolative_spectral": lambda: randnla.interpolative(
        A, 70, coefficients="projection", norm="spectral", rng=0
    ),
    "interpolative_rpqr": lambda: randnla.interpolative(A, 70, method="rpqr", rng=0),
    "interpolative_leverage": lambda: randnla.interpolative(A, 70, method="leverage", rng=0),
    "cur": lambda: randnla.cur(A, 70, rng=0),
    "cur_tol": lambda: randnla.cur(A, tol=0.5, rng=0),
    "cur_intersection": lambda: randnla.cur(A, 70, method="intersection", rng=0),
    "row_extraction": lambda: randnla.svd(A, 70, method="row_extraction", rng=0),
    "eigh_row_extraction": lambda: randnla.eigh(S, 70, method="row_extraction", rng=0),
    "rpcholesky": lambda: randnla.rpcholesky(S, 70, rng=0),
    "single_pass": lambda: stream("tyuc17"),
    "single_pass_sketchy": lambda: stream("sketchy"),
    "single_pass_nystrom": lambda: stream("generalized_nystrom"),
    "qb": lambda: randnla.qb(A, tol=0.5, rng=0),
    "qb_pass_efficient": lambda: randnla.qb(A, tol=0.5, method="pass_efficient", rng=0),
    "qb_farpca": lambda: randnla.qb(A, tol=0.5, method="farpca", rng=0),
    "krylov": lambda: randnla.svd(A, 70, method="krylov", power_iters=2, rng=0),
    "apply_function": lambda: randnla.apply_function("exp", S / 1e4, A.T[:, :2], tol=1e-6),
    "sqrt_update": lambda: randnla.sqrt_update(P, z[:500]),
    "sqrt_downdate": lambda: randnla.sqrt_update(P, 0.01 * z[:500], sign=-1),
    "sqrt_update_chain": lambda: randnla.sqrt_update(randnla.sqrt_update(D, z), z),
    "sqrt_update_riemannian": lambda: randnla.sqrt_update(D, z, method="riemannian", tol=1e-3),
    "inverse_root": lambda: inverse_root(S[:400, :400], 4, damping=1.0),
    "inverse_root_newton": lambda: inverse_root(S[:400, :400], 4, damping=1.0, method="newton"),
    "factor_update": lambda: factor.update(A),
    "factor_refresh": lambda: inverse.refresh(factor),
    "factor_refresh_cold": lambda: LowRankInverse(100, rng=0).refresh(factor, 1.0),
    "factor_apply": lambda: inverse.apply(A.T),
    "brand_update": lambda: brand.update(A[:200]),
    "window_add": lambda: [window.add(row) for row in A[:64]],
    "window_solve": lambda: window.solve(A.T),
    "damped_kronecker": lambda: damped.with_damping(2.0).solve_matrix(S[:400, :300]),
    "numpy": lambda: A @ S,
}
for name, call in calls.items():
    call()
    time.sleep(0.15)
    process, thread = time.process_time(), time.thread_time()
    for _ in range(2):
        call()
    print(name, (time.process_time() - process) / (time.thread_time() - thread))
"""


@cache
def cpu_ratios():
    """Of every call, from one process: that of NumPy's comes last."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=True
    )
    return {name: float(ratio) for name, ratio in map(str.split, done.stdout.splitlines())}


@pytest.mark.parametrize(
    "name",
    [
        "svd",
        "svd_loo",
        "svd_gram",
        "svd_tol",
        "svd_single_pass",
        "range_finder",
        "eigh",
        "eigh_one_pass",
        "eigh_nystrom",
        "nystrom",
        "pca",
        "qr",
        "interpolative",
        "interpolative_tol",
        "interpolative_spectral",
        "interpolative_rpqr",
        "interpolative_leverage",
        "cur",
        "cur_tol",
        "cur_intersection",
        "row_extraction",
        "eigh_row_extraction",
        "rpcholesky",
        "single_pass",
        "single_pass_sketchy",
        "single_pass_nystrom",
        "qb",
        "qb_pass_efficient",
        "qb_farpca",
        "krylov",
        "apply_function",
        "sqrt_update",
        "sqrt_downdate",
        "sqrt_update_chain",
        "sqrt_update_riemannian",
        "inverse_root",
        "inverse_root_newton",
        "factor_update",
        "factor_refresh",
        "factor_refresh_cold",
        "factor_apply",
        "brand_update",
        "window_add",
        "window_solve",
        "damped_kronecker",
    ],
)
def test_one_thread_does_all_the_work(name):
    assert cpu_ratios()[name] < 1.1


def test_the_measure_sees_a_foreign_pool():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core: no pool has two threads")
    assert cpu_ratios()["numpy"] > 1.3
