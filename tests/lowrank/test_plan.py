# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What method="auto" stands for: a pure function of the input, recorded in tests/golden/plan.json."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import randnla
from randnla.lowrank import definite, plan

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "golden"))
import plan_table


def test_the_choices_are_those_of_the_table():
    # A change of the cost model shows as a difference of this file: python tests/golden/plan_table.py
    assert plan_table.table() == json.loads(plan_table.PATH.read_text(encoding="utf-8"))


def test_every_choice_is_a_method_and_every_rule_is_used():
    table = plan_table.table()
    chosen = {name: set(" ".join(rows.values()).split()) for name, rows in table.items()}
    assert chosen["svd"] == {"subspace", "gram", "full"} <= set(plan.SVD_METHODS)
    assert chosen["pca"] == {"subspace", "gram", "full"}
    assert chosen["eigh"] == {"subspace", "full"} <= set(plan.EIGH_METHODS)
    assert chosen["qb"] == {"ei", "pass_efficient"} <= set(plan.QB_METHODS)
    assert chosen["tolerance"] == {"full", "adaptive"}


def test_the_rules_know_nothing_else():
    # No thread count, instruction set, clock or data: arguments and constants alone.
    known = {"shape", "dtype", "rank", "size", "power_iters", "kind", "tol", "centered", "oversample"}
    for name, rule in inspect.getmembers(plan, inspect.isfunction):
        assert set(inspect.signature(rule).parameters) <= known, name
    source = inspect.getsource(plan)
    assert not any(word in source for word in ("num_threads", "perf_counter", "os.", "cpu", "_core"))


FORMS = {
    "dense": np.asarray,
    "sparse": scipy.sparse.csr_array,
    "stream": randnla.RowStream,
    "operator": scipy.sparse.linalg.aslinearoperator,
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("kind", FORMS)
def test_the_drivers_follow_the_table(kind, dtype):
    rng = np.random.default_rng(0)
    for m, n, k in ((60, 40, 5), (300, 20, 10), (150, 150, 3), (90, 90, 80)):
        A = rng.standard_normal((m, n)).astype(dtype)
        size = plan.sketch_size(k, 10, (m, n))
        expected = plan.choose_svd((m, n), dtype, k, size, plan.SVD_POWER_ITERS, kind)
        info = randnla.svd(FORMS[kind](A), k, rng=0).info
        assert info.method == expected or "no gram matrix" in info.path
        assert randnla.qb(FORMS[kind](A), k, rng=0).info.method == plan.choose_qb(dtype, None, kind)
        if m == n:
            H = FORMS[kind](A + A.conj().T)
            expected = plan.choose_eigh((n, n), dtype, definite.sketch_size(k, 10, n), None, kind)
            assert randnla.eigh(H, k, rng=0).info.method == expected


METHODS = {
    "svd": plan.SVD_METHODS,
    "pca": plan.PCA_METHODS,
    "eigh": plan.EIGH_METHODS,
    "qb": plan.QB_METHODS,
    "range_finder": plan.RANGE_METHODS,
}


@pytest.mark.parametrize(
    ("driver", "method"), [(d, m) for d, ms in METHODS.items() for m in ms if m != "auto"]
)
def test_every_method_is_reached_and_named(driver, method):
    X = np.random.default_rng(0).standard_normal((60, 12))
    A = X @ X.T
    call = {"tol": 0.1} if method == "adaptive" else {"rank": 4}
    info = getattr(randnla, driver)(A, method=method, rng=0, **call).info
    assert info.method == method
