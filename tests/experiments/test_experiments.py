# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The experiments run, store what they say, and go on from what is stored."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "experiments"
CONDITIONS = {"randnla", "python", "numpy", "torch", "cpu", "cores", "threads", "load"}
# Experiment -> what the names of its cells start with.
CELLS = {
    "kfac_fashion_mnist": {"refresh", "steps", "tune", "train"},
    "kld_wrm": {"tune", "train"},
    "spectrum_decay": {"spectra"},
    "autoencoder_lm": {"tune", "train"},
    "mini_blocks": {"tune", "train"},
    "mfac_optimizer": {"tune", "train"},
    "pruning": {"train", "prune"},
    "sketchy_sgd": {"minimum", "excess"},
    "manifold": {"error", "ghosts", "off"},
    "tensor": {"coherence", "gap", "signal", "dimension"},
    "sampling_algebra": {"draws", "slopes", "sublinear", "study", "crossover"},
    "sampling_applications": {"application"},
    "recovery": {"phase", "tail", "time", "graphs", "adaptive"},
    "robust": {"phase", "corruption", "time", "video"},
}
WITHOUT_DATA = {"manifold", "recovery", "robust", "sampling_algebra", "sampling_applications", "tensor"}
TORCH = {"kfac_fashion_mnist", "mfac_optimizer", "mini_blocks", "pruning"}


def run(name: str, out: Path) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, f"{name}.py", "--tiny", "--threads", "1", "--out", str(out)]
    done = subprocess.run(
        command, cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(value: object) -> list[float]:
    """All numbers within."""
    if isinstance(value, dict):
        return [n for part in value.values() for n in numbers(part)]
    if isinstance(value, list):
        return [n for part in value for n in numbers(part)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CELLS))
def test_an_experiment_stores_its_cells_and_does_not_run_them_again(name: str, tmp_path: Path) -> None:
    if name in TORCH:
        pytest.importorskip("torch")
    first = run(name, tmp_path)
    stored = json.loads((tmp_path / f"{name}-tiny.json").read_text(encoding="utf-8"))
    assert stored["experiment"] == f"{name}-tiny"
    assert stored["data"] in ({None} if name in WITHOUT_DATA else {"Fashion-MNIST", "digits"})
    assert {key.split()[0] for key in stored["cells"]} == CELLS[name]
    for key, cell in stored["cells"].items():
        assert set(cell["conditions"]) == CONDITIONS, key
        if key.startswith("train"):
            assert {"seed", "rate", "history"} <= set(cell), key
            losses = [epoch["loss"] for epoch in cell["history"]]
            assert all(math.isfinite(loss) and loss > 0 for loss in losses), key
    assert (tmp_path / f"{name}-tiny.png").stat().st_size > 10_000
    assert first.count("  ran    ") == len(stored["cells"])
    again = run(name, tmp_path)
    assert "  ran    " not in again
    assert json.loads((tmp_path / f"{name}-tiny.json").read_text(encoding="utf-8")) == stored


def test_the_bound_on_large_eigenvalues_holds_for_an_average_of_batches() -> None:
    sys.path.insert(0, str(FOLDER))
    try:
        module = importlib.import_module("spectrum_decay")
    finally:
        sys.path.remove(str(FOLDER))
    rng, rows, dim, ema = np.random.default_rng(0), 2, 60, 0.5
    average, top = np.zeros((dim, dim)), 0.0
    for _ in range(40):
        batch = rng.standard_normal((rows, dim))
        average = ema * average + (1 - ema) * batch.T @ batch / rows
        top = max(top, module.largest(batch))
    values = np.linalg.eigvalsh(average)[::-1]
    alpha = values[0] / top
    for eps in (0.3, 0.1, 0.01):
        assert np.sum(values >= eps * values[0]) <= module.bound(rows, ema, alpha, eps)
        assert module.bound(rows, ema, alpha, eps) < dim


def test_training_in_numpy_goes_on_from_a_checkpoint_bit_for_bit(tmp_path: Path) -> None:
    sys.path.insert(0, str(FOLDER))
    try:
        module = importlib.import_module("kld_wrm")
        training = importlib.import_module("numpy_training")
    finally:
        sys.path.remove(str(FOLDER))
    rng = np.random.default_rng(0)
    x, y = rng.random((64, 1, 8, 8), dtype=np.float32), rng.integers(0, 10, 64)
    path = tmp_path / "half.npz"

    def made() -> object:
        return module.optimizer_of("QE", 0.01, module.SETTINGS["tiny"], 8, seed=0)

    def trained(optimizer: object, epochs: int, checkpoint: Path | None) -> list[dict[str, float]]:
        return training.train(
            optimizer, (x, y), (x, y), epochs=epochs, batch=16, seed=0, checkpoint=checkpoint
        )

    whole = trained(made(), 3, None)
    half = made()
    history = trained(half, 2, None)
    training.save_arrays(path, training.parts_of(half, history))
    resumed = trained(made(), 3, path)
    assert [epoch["loss"] for epoch in resumed] == [epoch["loss"] for epoch in whole]
    assert not path.exists()
