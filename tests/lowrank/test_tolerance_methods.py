# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Every method of every driver with a tolerance: met, or refused with the names of those that take it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from lowrank_cases import hermitian, matrix

import randnla
from randnla.lowrank import cur, plan, qb, range_finder, rpcholesky, skeleton, svd

SVD = {"auto", "subspace", "power", "proto", "farpca", "full"}
EVERY = None
TABLE = {
    "svd": (plan.SVD_METHODS, SVD),
    "pca": (plan.PCA_METHODS, SVD),
    "eigh": (plan.EIGH_METHODS, {"auto", "subspace", "full"}),
    "range_finder": (plan.RANGE_METHODS, {"auto", "adaptive", "subspace", "power", "proto"}),
    "qb": (plan.QB_METHODS, EVERY),
    "cur": (cur.METHODS, {"auto", "projection"}),
    "interpolative": (skeleton.METHODS, EVERY),
    "rpcholesky": (rpcholesky.METHODS, EVERY),
    "nystrom": ((None,), EVERY),
}
PAIRS = [(driver, method) for driver, (methods, _) in TABLE.items() for method in methods]
TOL = 0.02


def data(driver):
    if driver in ("eigh", "nystrom", "rpcholesky"):
        return hermitian(60, "geometric", signs=driver == "eigh")[0]
    return matrix(70, 60, "geometric")[0]


def measured(A, driver, result):
    """Error over the norm of what was approximated: Frobenius, or trace for Cholesky factors."""
    if driver == "rpcholesky":
        return np.trace(A - result.to_dense()) / np.trace(A)
    if driver == "pca":
        A = A - A.mean(axis=0)
        found = result.scores @ result.components
    elif driver == "range_finder":
        found = result.Q @ (result.Q.T @ A)
    else:
        found = result.to_dense(A) if driver == "interpolative" else result.to_dense()
    return np.linalg.norm(A - found) / np.linalg.norm(A)


@pytest.mark.parametrize(("driver", "method"), PAIRS)
def test_a_tolerance_is_met_or_refused(driver, method):
    A, solve = data(driver), getattr(randnla, driver)
    options = {} if method is None else {"method": method}
    takes = TABLE[driver][1]
    if takes is not EVERY and method not in takes:
        with pytest.raises(randnla.InputError, match=r"^method: with tol, expected ") as told:
            solve(A, tol=TOL, rng=0, **options)
        offered = re.findall(r"'(\w+)'", str(told.value).partition(", got ")[0])
        assert set(offered) == takes
        return
    result = solve(A, tol=TOL, rng=0, **options)
    info = result.info
    assert info.converged
    assert measured(A, driver, result) <= TOL
    assert info.error_relative <= TOL
    assert 5 <= info.rank < 60  # the rank was chosen: sixteen values are needed (a trace needs eighteen)
    if method not in (None, "auto") and driver != "cur":
        assert info.method == method


@pytest.mark.parametrize("driver", ["svd", "range_finder", "cur"])
def test_docstrings_name_the_methods_that_take_it(driver):
    text = " ".join(getattr(randnla, driver).__doc__.split())
    sentence = re.search(r"`tol` is taken by ([^;.]*)", text)
    assert sentence is not None
    assert set(re.findall(r'"(\w+)"', sentence[1])) == TABLE[driver][1]


def test_the_offer_is_what_the_methods_are():
    assert set(svd.TOL_METHODS) == SVD <= set(plan.SVD_METHODS)
    assert set(range_finder.TOL_METHODS) == TABLE["range_finder"][1]
    assert set(qb.GROW) | {"auto"} == set(plan.QB_METHODS)


@pytest.mark.parametrize("method", ["power", "subspace"])
def test_power_iterations_of_blocks_pay(method):
    """On a slowly decaying spectrum fewer columns meet the tolerance than without iterations."""
    A, _ = matrix(300, 280, "harmonic")
    plain = randnla.range_finder(A, tol=0.2, method="proto", rng=0)
    found = randnla.range_finder(A, tol=0.2, method=method, power_iters=2, rng=0)
    assert (plain.info.method, found.info.method) == ("proto", method)
    assert found.info.rank <= plain.info.rank
    assert np.linalg.norm(A - found.Q @ (found.Q.T @ A)) <= 0.2 * np.linalg.norm(A)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("norm", ["fro", "spectral"])
def test_a_tolerance_equal_to_an_error_is_not_missed_by_rounding(norm, dtype):
    """tol ||A|| is the exact error of rank 3: whichever rank is taken, its error is no larger."""
    s = np.array([8.0, 6.0, 5.0, 4.0, 2.0, 1.0, 0.5, 0.25])
    tol = 4 / 8 if norm == "spectral" else np.linalg.norm(s[3:]) / np.linalg.norm(s)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        U, V = (np.linalg.qr(rng.standard_normal((n, 8)))[0] for n in (20, 12))
        A = ((U * s) @ V.T).astype(dtype)
        result = randnla.svd(A, tol=tol, norm=norm, method="full", rng=0)
        wide = A.astype(np.float64)
        order = 2 if norm == "spectral" else "fro"
        rest = np.linalg.norm(wide - (result.U.astype(np.float64) * result.s) @ result.Vh, order)
        assert rest <= tol * np.linalg.norm(wide, order)
        assert result.info.error_relative <= tol
        assert result.info.rank == 4
        above = randnla.svd(A, tol=tol * (1 + 1e-4), norm=norm, method="full", rng=0)
        assert above.info.rank == 3  # no more is asked for than rounding takes
