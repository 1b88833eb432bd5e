# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The state of an engine of blocks: all that its steps to come depend on."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend.errors import StateError

from ..damping import Damping
from ..factors.average import Average
from ..health import Health
from ..resumable import joined, parted
from .averaged_blocks import Held
from .partition import Partition


class Checkpoint:
    """The part of an engine that saves it and goes on from what was saved. Subclasses set the attributes."""

    _KIND: ClassVar[str]
    step_count: int
    momentum: float
    dtype: np.dtype[Any]
    _average: Average
    _damping: Damping
    _partition: dict[str, Partition]
    _held: dict[str, list[Held]]
    _steps: dict[str, int]
    _health: dict[str, Health]

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict` goes on, bit for bit at equal threads."""
        own: dict[str, Any] = {
            "kind": self._KIND,
            "names": json.dumps(list(self._partition)),
            "blocks": self._signature(),
            "step_count": self.step_count,
            "steps": json.dumps(list(self._steps.values())),
            "damping": json.dumps([type(self._damping).__name__, self._damping.value]),
            "health": json.dumps([vars(health) for health in self._health.values()]),
        }
        parts = {
            f"{i}/{k}": part.blocks.state_dict()
            for i, held in enumerate(self._held.values())
            for k, part in enumerate(held)
        }
        return plain_state.seal({**own, **joined(parts)})

    def _signature(self) -> str:
        """What a state must agree with."""
        held = [[str(b) for b in part.blocks] or str(part) for part in self._partition.values()]
        return json.dumps([held, self.dtype.name, self._average.ema, self._average.start, self.momentum])

    def load_state_dict(self, state: Any) -> None:
        """Go on from a state of an engine of the same partition and settings.

        Raises
        ------
        StateError
            A field is missing, altered, or of another partition; nothing has changed.
        """
        types: dict[str, type] = dict.fromkeys(("names", "blocks", "steps", "damping", "health"), str)
        fields = plain_state.opened(state, self._KIND, {**types, "step_count": int}, parts=True)
        with plain_state.reading():
            self._take(fields, state)

    def _take(self, fields: dict[str, Any], state: dict[str, Any]) -> None:
        """Become what the fields of a state say, checked before anything changes."""
        names = json.loads(fields["names"])
        if names != list(self._partition):
            raise StateError(f"names: expected {list(self._partition)}, got {names}")
        if fields["blocks"] != self._signature():
            raise StateError(f"blocks: expected {self._signature()}, got {fields['blocks']}")
        kind, value = json.loads(fields["damping"])
        if kind != type(self._damping).__name__:
            raise StateError(f"damping: expected {type(self._damping).__name__}, got {kind}")
        if fields["step_count"] < 0:
            raise StateError(f"step_count: expected a number >= 0, got {fields['step_count']}")
        steps = json.loads(fields["steps"])
        if len(steps) != len(names) or not all(type(n) is int and n >= 0 for n in steps):
            raise StateError(f"steps: expected {len(names)} numbers >= 0, got {fields['steps']}")
        damping = self._damping.with_value(value)
        parts = parted({key: value for key, value in state.items() if "/" in str(key)})
        restored = {}
        for i, (name, held) in enumerate(self._held.items()):
            inner = parted(parts.get(str(i), {}))
            restored[name] = [
                part._replace(blocks=part.blocks.restored(inner.get(str(k), {})))
                for k, part in enumerate(held)
            ]
        health = [Health(**item) for item in json.loads(fields["health"])]
        self._health = dict(zip(names, health, strict=True))
        self._held, self._steps, self._damping = restored, dict(zip(names, steps, strict=True)), damping
        self.step_count = fields["step_count"]
