# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Values that hardly decay: no certificate says more than what holds of any approximation of the kind."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import randnla

N = 200
A = np.diag(0.99 ** np.arange(N))
FORMS = {
    "array": np.asarray,
    "sparse": scipy.sparse.csr_array,
    "stream": lambda A: randnla.RowStream(A, max_memory=1 << 14),
    "operator": scipy.sparse.linalg.aslinearoperator,
}
LEAVE_LESS = {  # ||A - A_k|| <= ||A||
    "projection": (randnla.svd, {"method": "subspace", "certificate": "probe"}),
    "projection to tol": (randnla.svd, {"tol": 0.1, "method": "subspace", "certificate": "probe"}),
    "basis": (randnla.range_finder, {"certificate": "probe"}),
    "basis without core": (randnla.range_finder, {"certificate": "probe", "oversample": 0}),
    "basis to tol": (randnla.range_finder, {"tol": 0.1, "certificate": "probe"}),
    "blocks": (randnla.qb, {"certificate": "probe", "method": "ei"}),
    "nystrom": (randnla.nystrom, {}),
    "nystrom to tol": (randnla.nystrom, {"tol": 0.1}),
}
LEAVE_BOTH = {  # ||A - A_k|| <= ||A|| + ||A_k||
    "definite core": (randnla.eigh, {}),
    "ritz": (randnla.eigh, {"method": "subspace"}),
    "one pass": (randnla.eigh, {"method": "one_pass"}),
    "row extraction": (randnla.svd, {"method": "row_extraction"}),
    "single pass": (randnla.svd, {"method": "single_pass"}),
}


def decomposed(function, form, norm, options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", randnla.ConvergenceWarning)
        found = function(FORMS[form](A), 5, norm=norm, rng=0, **options)
    order = 2 if norm == "spectral" else None
    if hasattr(found, "to_dense"):
        held = found.to_dense()
    else:
        held = found.Q @ (found.Q.T @ A)
    return found.info, *(float(np.linalg.norm(X, order)) for X in (A - held, A, held))


@pytest.mark.parametrize("norm", ["fro", "spectral"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LEAVE_LESS)
def test_what_leaves_less_than_the_matrix(name, form, norm):
    function, options = LEAVE_LESS[name]
    info, error, size, _ = decomposed(function, form, norm, options)
    assert error / size <= info.error_relative <= 1 + 1e-13
    assert error <= info.error_estimate
    if form != "operator":  # whose norm is not known
        assert info.error_estimate <= np.linalg.norm(A) * (1 + 1e-13)


@pytest.mark.parametrize("norm", ["fro", "spectral"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LEAVE_BOTH)
def test_what_leaves_less_than_matrix_and_approximation(name, form, norm):
    function, options = LEAVE_BOTH[name]
    info, error, size, held = decomposed(function, form, norm, options)
    assert error / size <= info.error_relative
    assert error <= info.error_estimate
    # The norm of A is known from below only, to a factor of sqrt(n) in the spectral norm.
    slack = np.sqrt(N) if norm == "spectral" else 2.5
    assert info.error_relative <= 1 + slack * held / size
    if form != "operator" and name != "single pass":
        assert info.error_estimate <= np.linalg.norm(A) + held * (1 + 1e-12)


@pytest.mark.parametrize("norm", ["fro", "spectral"])
def test_an_indefinite_matrix_is_not_taken_for_contained(norm):
    """Of an approximation that is larger than A, errors above ||A|| are told."""
    signs = np.where(np.random.default_rng(1).random(N) > 0.5, 1.0, -1.0)
    for method in ("one_pass", "row_extraction", "subspace"):
        B = A * signs
        found = randnla.eigh(B, 20, norm=norm, method=method, certificate="probe", rng=0)
        order = 2 if norm == "spectral" else None
        error, size = (np.linalg.norm(X, order) for X in (B - found.to_dense(), B))
        assert error <= found.info.error_estimate
        assert error / size <= found.info.error_relative


def test_zero_is_as_good_as_its_norm():
    info = randnla.nystrom(np.zeros((30, 30)), 3, rng=0).info
    assert info.error_estimate == info.error_relative == 0.0
