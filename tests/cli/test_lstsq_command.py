# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""``randnla lstsq``: the solution, the account, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

Shell = Callable[..., Any]


@pytest.fixture
def files(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((60, 5)), rng.standard_normal(60)
    np.save("A.npy", A)
    np.save("b.npy", b)
    np.savetxt("b.csv", b, fmt="%.17g")
    sp.save_npz("A.npz", sp.csr_array(A))
    return A, b


@pytest.mark.parametrize(("matrix", "right"), [("A.npy", "b.npy"), ("A.npz", "b.csv")])
def test_solution_and_account(shell: Shell, files: Any, matrix: str, right: str) -> None:
    A, b = files
    outcome = shell("lstsq", matrix, right, "--out", "x.npz", "--damp", "2", "--seed", "3")
    assert (outcome.status, outcome.err) == (0, "")
    assert "backward error" in outcome.out
    with np.load("x.npz", allow_pickle=False) as saved:
        x, info = saved["x"], json.loads(str(saved["info"]))
    exact = np.linalg.solve(A.T @ A + 4 * np.eye(5), A.T @ b)
    assert np.allclose(x.ravel(), exact, rtol=1e-12)
    assert info["seed"] == 3
    assert info["backward_error"] < 1e-15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("A.npy", "nothing.npy", "--out", "x.npz"), "nothing.npy: No such file"),
        (("A.npy", "A.npz", "--out", "x.npz", "--damp", "-1"), "damp: expected a number >= 0"),
        (("A.npy", "short.npy", "--out", "x.npz"), "b: expected 60 rows"),
        (("A.npy", "torn.npy", "--out", "x.npz"), "torn.npy: not a readable .npy file"),
        (("A.npy", "b.npy", "--out", "x.csv"), "--out must end in .npz"),
        (("A.npy", "A.npz", "--out", "A.npz"), "--out would replace the input"),
        (("A.npy", "b.npy", "--out", "x.npz", "--method", "magic"), "method: expected one of"),
    ],
)
def test_bad_input_is_status_2_and_one_line(
    shell: Shell, files: Any, arguments: tuple[str, ...], message: str
) -> None:
    np.save("short.npy", np.ones(7))
    Path("torn.npy").write_bytes(b"torn")
    before = Path("A.npz").read_bytes()
    outcome = shell("lstsq", *arguments)
    assert outcome.status == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert Path("A.npz").read_bytes() == before
