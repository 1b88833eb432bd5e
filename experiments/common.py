# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the experiments share: data, settings, stored cells, the conditions they ran in, checkpoints."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import randnla
from randnla._backend.errors import StateError
from randnla.datasets import load_fashion_mnist

HERE = Path(__file__).parent
_BEYOND = 4  # step sizes tried beyond the end of a grid
# The same step sizes for everyone, from which one seed chooses on a subset.
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


@dataclass(frozen=True)
class Data:
    """Images in [0, 1] as rows, and their labels.

    Attributes
    ----------
    name : str
    x, x_test : (n, side * side) array of float32
    y, y_test : (n,) array of int64
    side : int
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    side: int

    def first(self, count: int) -> Data:
        """The same with fewer training images."""
        return Data(self.name, self.x[:count], self.y[:count], self.x_test, self.y_test, self.side)


def load(count: int | None = None, test: int | None = 2000) -> Data:
    """Fashion-MNIST in a fixed random order; without it the digits of scikit-learn, and a line saying so."""
    try:
        (x, y), (x_test, y_test) = load_fashion_mnist("train"), load_fashion_mnist("test")
        name, side = "Fashion-MNIST", 28
    except FileNotFoundError as problem:
        print(f"{problem}\nthe digits of scikit-learn stand in: figures differ from those of the notes")
        from sklearn.datasets import load_digits

        images = load_digits()
        x, y = images.data.astype(np.float32) / 16, images.target.astype(np.int64)
        order = np.random.default_rng(1).permutation(len(x))
        x, y, x_test, y_test = x[order[:1437]], y[order[:1437]], x[order[1437:]], y[order[1437:]]
        name, side = "digits", 8
    order = np.random.default_rng(0).permutation(len(x))[:count]
    return Data(name, x[order], y[order], x_test[:test], y_test[:test], side)


def batches(n: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Rows of the full batches of one epoch, in random order."""
    order = rng.permutation(n)
    for start in range(0, n - n % size or n, size):
        yield order[start : start + size]


def arguments(
    description: str | None, settings: Mapping[str, Any], parts: tuple[str, ...]
) -> argparse.Namespace:
    """Options of an experiment: which setting, which parts, where results go, threads."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--setting", choices=tuple(settings), default="small")
    for name in settings:
        parser.add_argument(
            f"--{name}", dest="setting", action="store_const", const=name, help=f"--setting {name}"
        )
    parser.add_argument("--part", choices=parts, nargs="+", default=list(parts), help="default: all")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="default: experiments/results")
    parser.add_argument("--threads", type=int, help="default: all")
    options = parser.parse_args()
    if options.threads:
        set_threads(options.threads)
    return options


def set_threads(count: int) -> None:
    """Of this library, and of PyTorch where it is in use."""
    randnla.set_num_threads(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


def now() -> float:
    """Seconds: of the processor where one thread works, as others lengthen these little; else real ones."""
    return time.process_time() if randnla.num_threads() == 1 else time.perf_counter()


def conditions() -> dict[str, Any]:
    """Versions, device and load, as they are now."""
    versions = {}
    for name in ("numpy", "torch"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "randnla": randnla.__version__,
        "python": platform.python_version(),
        **versions,
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": randnla.num_threads(),
        "load": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


class Cells:
    """Results by name in a JSON file, each written when it is done: what is there is not run again.

    Parameters
    ----------
    folder : Path
    name : str
        Of the experiment and its setting.
    data : Data, optional
    """

    def __init__(self, folder: Path, name: str, data: Data | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name = folder, name
        self.path = folder / f"{name}.json"
        source = None if data is None else data.name
        self.stored: dict[str, Any] = {"experiment": name, "data": source, "cells": {}}
        if self.path.is_file():
            self.stored = json.loads(self.path.read_text(encoding="utf-8"))
            if self.stored["data"] != source:
                raise SystemExit(f"{self.path} holds results on {self.stored['data']}, not {source}: move it")

    def run(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The cell `key`; `make` is called if it is not stored."""
        cells = self.stored["cells"]
        if key in cells:
            print(f"  stored {key}", flush=True)
        else:
            at = conditions()
            cells[key] = {**make(), "conditions": at}
            self._write()
            print(f"  ran    {key}", flush=True)
        return self[key]

    def _write(self) -> None:
        """Add to what is on disk by now: another part of the experiment may be running."""
        if self.path.is_file():
            others = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
            self.stored["cells"] = {**others, **self.stored["cells"]}
        part = self.path.with_suffix(f".part{os.getpid()}")
        part.write_text(_lines(self.stored), encoding="utf-8")
        part.replace(self.path)

    def checkpoint(self, key: str, suffix: str) -> Path:
        """Where a cell that takes long keeps itself from epoch to epoch."""
        folder = self.folder / "checkpoints"
        folder.mkdir(exist_ok=True)
        plain = "".join(c if c.isalnum() else "-" for c in f"{self.name}-{key}")
        return folder / f"{plain}.{suffix}"

    def __getitem__(self, key: str) -> dict[str, Any]:
        """A stored cell."""
        found: dict[str, Any] = self.stored["cells"][key]
        return found

    def figure(self, figure: Any) -> None:
        """Save a figure beside the results."""
        place = self.path.with_suffix(".png")
        figure.savefig(place, dpi=120)
        print(f"figure: {place}")


def _lines(stored: Mapping[str, Any]) -> str:
    """JSON with a line for each cell."""
    head = "".join(f" {json.dumps(k)}: {json.dumps(v)},\n" for k, v in stored.items() if k != "cells")
    cells = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in stored["cells"].items())
    return f'{{\n{head} "cells": {{\n{cells}\n }}\n}}\n'


def save_arrays(path: Path, parts: Mapping[str, Mapping[str, Any]]) -> None:
    """Named groups of plain scalars and arrays as one npz file, whole or not at all."""
    flat = {f"{group}|{key}": value for group, values in parts.items() for key, value in values.items()}
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **flat)
    part.replace(path)


def load_arrays(path: Path) -> dict[str, dict[str, Any]]:
    """What `save_arrays` wrote."""
    parts: dict[str, dict[str, Any]] = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            group, key = name.split("|", 1)
            value = file[name]
            parts.setdefault(group, {})[key] = value.item() if value.ndim == 0 else value
    if not parts:
        raise StateError(f"{path}: expected arrays, got an empty file")
    return parts


def best_rate(cells: Cells, label: str, rates: tuple[float, ...], loss_at: Callable[[float], float]) -> float:
    """The step size with the least loss, each tried in a cell of its own; one that diverges has no loss.

    A grid whose winner is at an end goes on there by its last ratio, up to `_BEYOND` times.
    """

    def tried(rate: float) -> dict[str, Any]:
        value = loss_at(rate)
        return {"loss": value if np.isfinite(value) else None}

    def loss_of(rate: float) -> float:
        found = cells.run(f"tune {label} lr={rate}", lambda: tried(rate))["loss"]
        return math.inf if found is None else float(found)

    losses = {rate: loss_of(rate) for rate in sorted(rates)}
    for _ in range(_BEYOND if len(losses) > 1 else 0):
        best, grid = min(losses, key=losses.__getitem__), sorted(losses)
        if best not in (grid[0], grid[-1]) or losses[best] == math.inf:
            break
        further = float(f"{best**2 / (grid[1] if best == grid[0] else grid[-2]):.3g}")
        losses[further] = loss_of(further)
    best = min(losses, key=losses.__getitem__)
    if losses[best] == math.inf:
        raise SystemExit(f"{label}: no step size of {tuple(losses)} keeps the loss finite")
    return best
