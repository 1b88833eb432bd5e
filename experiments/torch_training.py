# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The training loop of the PyTorch experiments, timed part by part, going on from checkpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Data, batches, now
from nets import Schedule, network, trained_by
from torch.nn.functional import cross_entropy

PARTS = ("forward and backward", "statistics", "refresh", "apply", "update")


class Clock:
    """Seconds by part of a step.

    On steps with statistics the forward and backward passes take longer, for labels are sampled and gone
    through once more: what they take beyond the median of the other steps counts as statistics.
    """

    def __init__(self) -> None:
        self.inner: dict[str, float] = defaultdict(float)
        self.steps: list[dict[str, Any]] = []

    def watch(self, pre: Any) -> None:
        """Time the calls of an engine from here on."""
        engine = pre.engine
        engine.accumulate = self._timed(engine.accumulate, "statistics")
        engine.refresh = self._timed(engine.refresh, "refresh")

    def _timed(self, call: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = now()
            made = call(*args, **kwargs)
            self.inner[part] += now() - begin
            return made

        return timed

    def step(self, passes: float, preconditioned: float, update: float, *, statistics: bool) -> None:
        """Note one step."""
        inside = {part: self.inner.pop(part, 0.0) for part in ("statistics", "refresh")}
        rest = preconditioned - sum(inside.values())
        self.steps.append({"due": statistics, PARTS[0]: passes, **inside, "apply": rest, "update": update})

    def split(self, skip: int = 0) -> dict[str, float]:
        """Mean seconds a step by part, and their "total"."""
        steps = self.steps[skip:]
        plain = [step[PARTS[0]] for step in steps if not step["due"]] or [step[PARTS[0]] for step in steps]
        usual = float(np.median(plain))
        mean = {part: float(np.mean([step[part] for step in steps])) for part in PARTS}
        extra = float(np.mean([step[PARTS[0]] - usual if step["due"] else 0.0 for step in steps]))
        mean[PARTS[0]] -= extra
        mean["statistics"] += extra
        return {**mean, "total": sum(mean[part] for part in PARTS)}


class Trainer:
    """One network under one method.

    Parameters
    ----------
    kind : {"mlp", "vgg"}
    width : int
    method : str
        Of `nets.METHODS`.
    rate : float
    schedule : Schedule
    data : Data
    batch : int
    seed : int
        Of the weights, of the order of the batches and of what the method draws.
    """

    def __init__(
        self,
        kind: str,
        width: int,
        method: str,
        rate: float,
        *,
        schedule: Schedule,
        data: Data,
        batch: int,
        seed: int,
    ) -> None:
        self.data, self.batch, self.seed, self.rate = data, batch, seed, rate
        self.model = network(kind, data.side, width, seed)
        self.optimizer, self.pre = trained_by(method, self.model, rate, schedule, seed)
        self.x, self.y = torch.from_numpy(data.x), torch.from_numpy(data.y)
        self.x_test, self.y_test = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)
        self.clock = Clock()
        if self.pre is not None:
            self.clock.watch(self.pre)
        self.history: list[dict[str, float]] = []

    def step(self, rows: np.ndarray) -> float:
        """One step on some rows; the loss before it."""
        index = torch.from_numpy(rows)
        x, y = self.x[index], self.y[index]
        due = self.pre is not None and self.pre.engine.statistics_due
        begin = now()
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(x), y)
        loss.backward()
        passed = now()
        if self.pre is not None:
            self.pre.step(lr=self.rate)
        made = now()
        self.optimizer.step()
        self.clock.step(passed - begin, made - passed, now() - made, statistics=due)
        return float(loss.detach())

    def epoch(self) -> dict[str, float]:
        """One pass over the data, and what it led to."""
        number = len(self.history)
        begin = now()
        for rows in batches(len(self.x), self.batch, np.random.default_rng([self.seed, number])):
            self.step(rows)
        seconds = now() - begin
        loss, _ = self.judged(self.x, self.y)
        test_loss, accuracy = self.judged(self.x_test, self.y_test)
        self.history.append({"seconds": seconds, "loss": loss, "test loss": test_loss, "accuracy": accuracy})
        return self.history[-1]

    @torch.no_grad()
    def judged(self, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
        """Mean loss and accuracy."""
        self.model.eval()
        outputs = torch.cat([self.model(part) for part in x.split(1000)])
        self.model.train()
        return float(cross_entropy(outputs, y)), float((outputs.argmax(1) == y).float().mean())

    def train(self, epochs: int, checkpoint: Path | None = None) -> list[dict[str, float]]:
        """Epochs up to a number of them, on from the checkpoint where there is one."""
        if checkpoint is not None and checkpoint.is_file():
            self.load(checkpoint)
        while len(self.history) < epochs:
            seen = self.epoch()
            if not np.isfinite(seen["loss"]):
                break
            if checkpoint is not None:
                self.save(checkpoint)
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
        return self.history

    def save(self, path: Path) -> None:
        """Everything that the epochs to come depend on."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "pre": None if self.pre is None else self.pre.state_dict(),
            "history": self.history,
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote."""
        state = torch.load(path, weights_only=False)  # written by these experiments themselves
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.pre is not None:
            self.pre.load_state_dict(state["pre"])
        self.history = state["history"]
