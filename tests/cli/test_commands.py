# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The commands end to end: each file format, the output, the figure, interruption, the demo."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

import randnla
from randnla import cli, demo
from randnla.demo.report import PlainReport, RichReport, Table, plain_table

Shell = Callable[..., Any]
RANK = 3


@pytest.fixture(scope="module")
def matrix() -> np.ndarray:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((40, 6)) * np.geomspace(1.0, 1e-3, 6) @ rng.standard_normal((6, 25))
    A[np.abs(A) < 0.3] = 0.0
    return A


def write(A: np.ndarray, name: str) -> None:
    """Write the matrix in the format of the name."""
    if name.endswith(".npy"):
        np.save(name, A)
    elif name.endswith(".npz"):
        sp.save_npz(name, sp.csr_array(A))
    elif name.endswith(".mtx"):
        scipy.io.mmwrite(name, sp.coo_array(A), precision=17)
    else:
        np.savetxt(name, A, delimiter=",", fmt="%.17g")


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.mtx", "a.csv"])
def test_svd_of_each_format(shell: Shell, matrix: np.ndarray, name: str) -> None:
    write(matrix, name)
    outcome = shell("svd", name, "--rank", str(RANK), "--out", "out.npz", "--seed", "5")
    assert (outcome.status, outcome.err) == (0, "")
    assert "40 x 25 float64" in outcome.out
    with np.load("out.npz", allow_pickle=False) as saved:
        U, s, Vh = saved["U"], saved["s"], saved["Vh"]
        info = json.loads(str(saved["info"]))
    assert (U.shape, s.shape, Vh.shape) == ((40, RANK), (RANK,), (RANK, 25))
    assert info["seed"] == 5
    assert info["rank"] == RANK
    exact = np.linalg.svd(matrix, compute_uv=False)
    best = np.linalg.norm(exact[RANK:])
    # A sketch of 13 columns with power iterations on a matrix of 25: within 2 % of the best.
    assert np.linalg.norm(matrix - (U * s) @ Vh) <= 1.02 * best
    assert sorted(path.name for path in Path.cwd().iterdir()) == sorted([name, "out.npz"])


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.mtx", "a.csv"])
def test_cur_of_each_format(shell: Shell, matrix: np.ndarray, name: str) -> None:
    write(matrix, name)
    outcome = shell("cur", name, "--rank", str(RANK), "--out", "out.npz", "--seed", "5")
    assert (outcome.status, outcome.err) == (0, "")
    with np.load("out.npz", allow_pickle=False) as saved:
        C, U, R, rows, columns = (saved[name] for name in ("C", "U", "R", "rows", "columns"))
    np.testing.assert_array_equal(C, matrix[:, columns])
    np.testing.assert_array_equal(R, matrix[rows])
    best = np.linalg.norm(np.linalg.svd(matrix, compute_uv=False)[RANK:])
    assert best <= np.linalg.norm(matrix - C @ U @ R) <= 4 * best


def test_cur_to_tolerance_and_without_a_figure(shell: Shell, matrix: np.ndarray) -> None:
    write(matrix, "a.npy")
    assert shell("cur", "a.npy", "--tol", "0.2", "--out", "out.npz").status == 0
    with np.load("out.npz", allow_pickle=False) as saved:
        error = np.linalg.norm(matrix - saved["C"] @ saved["U"] @ saved["R"])
    assert error <= 0.2 * np.linalg.norm(matrix)
    outcome = shell("cur", "a.npy", "--rank", "2", "--out", "out.npz", "--plot")
    assert outcome.status == 2
    assert "--plot" in outcome.err


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.mtx", "a.csv"])
def test_pca_of_each_format(shell: Shell, matrix: np.ndarray, name: str) -> None:
    write(matrix, name)
    outcome = shell("pca", name, "--rank", str(RANK), "--out", "out.npz", "--seed", "5")
    assert (outcome.status, outcome.err) == (0, "")
    with np.load("out.npz", allow_pickle=False) as saved:
        components, scores, mean = saved["components"], saved["scores"], saved["mean"]
        variance = saved["explained_variance"]
    centered = matrix - matrix.mean(axis=0)
    np.testing.assert_allclose(mean, matrix.mean(axis=0), atol=1e-14)
    exact = np.linalg.svd(centered, compute_uv=False)
    assert np.linalg.norm(centered - scores @ components) <= 1.02 * np.linalg.norm(exact[RANK:])
    # Singular values within a subspace are at most the exact ones; the captured part misses little.
    lost = np.sum(exact[:RANK] ** 2) - np.sum(variance) * 39
    assert -1e-9 <= lost <= 0.05 * np.sum(exact[RANK:] ** 2)


def test_tolerance_plot_and_overwriting(shell: Shell, matrix: np.ndarray) -> None:
    write(matrix, "a.npy")
    Path("out.npz").write_bytes(b"old")
    outcome = shell("svd", "a.npy", "--tol", "0.05", "--out", "out.npz", "--plot")
    assert (outcome.status, outcome.err) == (0, "")
    with np.load("out.npz") as saved:
        error = np.linalg.norm(matrix - (saved["U"] * saved["s"]) @ saved["Vh"])
    assert error <= 0.05 * np.linalg.norm(matrix)
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")
    assert "out.png" in outcome.out
    assert shell("pca", "a.npy", "--rank", "2", "--out", "out.npz", "--plot").status == 0


def test_a_tolerance_out_of_reach_warns_and_still_writes(shell: Shell, matrix: np.ndarray) -> None:
    write(matrix, "a.npy")
    outcome = shell("svd", "a.npy", "--rank", "1", "--tol", "1e-6", "--out", "out.npz")
    assert outcome.status == 0
    assert outcome.err.startswith("warning: ")
    assert "not reached" in outcome.out
    assert Path("out.npz").is_file()


BAD_VALUES = {
    "nan": (lambda A: A.__setitem__((3, 4), np.nan), "--rank 2", "non-finite|NaN|finite"),
    "inf": (lambda A: A.__setitem__((39, 24), np.inf), "--rank 2", "non-finite|Inf|finite"),
    "rank too large": (lambda A: None, "--rank 26", "rank"),
    "negative rank": (lambda A: None, "--rank -1", "rank"),
    "unknown method": (lambda A: None, "--rank 2 --method wishful", "method.*wishful"),
    "negative seed": (lambda A: None, "--rank 2 --seed -1", "rng|seed"),
}


def test_pca_to_a_tolerance(shell: Shell, matrix: np.ndarray) -> None:
    write(matrix, "a.npy")
    assert shell("pca", "a.npy", "--tol", "0.5", "--out", "out.npz", "--seed", "5").status == 0
    expected = randnla.pca(matrix, tol=0.5, rng=5)
    with np.load("out.npz") as written:
        np.testing.assert_allclose(written["components"], expected.components, atol=1e-10)


@pytest.mark.parametrize("command", ["svd", "pca"])
@pytest.mark.parametrize("case", BAD_VALUES)
def test_bad_values(shell: Shell, matrix: np.ndarray, command: str, case: str) -> None:
    change, options, message = BAD_VALUES[case]
    A = matrix.copy()
    change(A)
    write(A, "a.npy")
    outcome = shell(command, "a.npy", "--out", "out.npz", *options.split())
    assert outcome.status == 2, outcome
    assert outcome.err.count("\n") == 1
    assert re.search(message, outcome.err), outcome.err
    assert [path.name for path in Path.cwd().iterdir()] == ["a.npy"]


@pytest.mark.parametrize("tol", ["-1", "nan", "inf"])
def test_bad_tolerances(shell: Shell, matrix: np.ndarray, tol: str) -> None:
    write(matrix, "a.npy")
    outcome = shell("svd", "a.npy", f"--tol={tol}", "--out", "out.npz")
    assert outcome.status == 2, outcome
    assert "tol" in outcome.err
    assert not Path("out.npz").exists()


def test_an_absent_extra_is_one_line(
    shell: Shell, matrix: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(matrix, "a.npy")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome = shell("svd", "a.npy", "--rank", "2", "--out", "out.npz", "--plot")
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert "matplotlib is needed here and not installed: pip install 'randnla[demo]'" in outcome.err
    assert not Path("out.npz").exists()


def test_a_failed_write_leaves_nothing(
    shell: Shell, matrix: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(matrix, "a.npy")

    def full(*arguments: object, **keywords: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    outcome = shell("svd", "a.npy", "--rank", "2", "--out", "out.npz")
    assert outcome.status == 2
    assert "No space left on device" in outcome.err
    assert [path.name for path in Path.cwd().iterdir()] == ["a.npy"]


def test_info(shell: Shell) -> None:
    assert shell("info").out == f"{randnla.info()}\n"
    assert json.loads(shell("info", "--json").out) == randnla.info().to_dict()
    assert shell("--version").out == f"{randnla.__version__}\n"
    for arguments in (("--help",), ("svd", "--help"), ("demo", "--help")):
        assert shell(*arguments).status == 0


def test_interrupt_is_status_130(shell: Shell, matrix: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    write(matrix, "a.npy")

    def interrupted(*arguments: object, **keywords: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "timed", interrupted)
    outcome = shell("svd", "a.npy", "--rank", "2", "--out", "out.npz")
    assert (outcome.status, outcome.err) == (130, "randnla: interrupted\n")
    assert not Path("out.npz").exists()


@pytest.mark.slow
def test_ctrl_c_in_the_shell(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "randnla.cli", "demo", "--out", str(tmp_path / "out")]
    # The package under test, wherever this process found it.
    environment = os.environ | {"PYTHONPATH": str(Path(randnla.__file__).parents[1])}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    )
    assert process.stderr is not None
    process.stderr.readline()  # the first step has begun
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "randnla: interrupted"
    assert "Traceback" not in err
    assert not list((tmp_path / "out").glob("*.part"))


def test_demo_writes_figures_and_one_table(shell: Shell) -> None:
    outcome = shell("demo", "--quick", "--out", "figures")
    assert outcome.status == 0, outcome
    written = sorted(path.name for path in Path("figures").iterdir())
    assert written == ["compression.png", "digits.png", "timing.png"]
    assert all(Path("figures", name).read_bytes().startswith(b"\x89PNG") for name in written)
    for word in (
        "rank   20",
        "certified",
        "principal components",
        "randnla.svd",
        "numpy eigh (full)",
        "threads",
    ):
        assert word in outcome.out
    assert len(re.findall(r"^input +computed by", outcome.out, flags=re.MULTILINE)) == 1
    assert "compressing china.jpg at rank 5" in outcome.err


def test_the_certificates_of_the_demo_hold() -> None:
    from randnla.datasets import load_image
    from randnla.demo import compression
    from randnla.demo.report import NoProgress

    for item in compression.run(load_image("china"), demo.QUICK, NoProgress()):
        assert item.optimal <= item.error * (1 + 1e-6)
        assert item.error <= 1.02 * item.optimal
        # A bound that fails with probability 1e-4 at most, and no looser than its factor allows.
        assert item.error * (1 - 1e-6) <= item.certified <= 5.0 * item.error


def test_reports_show_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(
        "Title", ("input", "by", "time"), [[("a", "x", "1 s")], [("b", "randnla", "22 s")]], "caption"
    )
    lines = list(plain_table(table))
    assert lines[0] == "Title"
    assert lines[2] == "input  by       time"
    assert lines[4] == "a      x         1 s"
    stream = io.StringIO()
    plain = PlainReport(stream, stream)
    plain.table(table)
    with plain.progress(2) as progress:
        progress.step("first")
    assert "] first" in stream.getvalue()
    rich = RichReport()
    with rich.progress(2) as progress:
        progress.step("first")
    rich.table(table)
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("Title", "randnla", "22 s", "caption"))


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "randnla", "--version"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert randnla.__version__ in done.stdout
