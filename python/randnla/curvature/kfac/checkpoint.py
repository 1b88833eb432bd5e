# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The state of an engine: all that its steps to come depend on."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from randnla._backend import state as plain_state
from randnla._backend.errors import StateError

from ..damping import Damping, read, written
from ..health import Health
from ..resumable import joined, parted
from .blocks import Block
from .in_flight import InFlight
from .layers import Layer


class Checkpoint:
    """The part of an engine that saves it and goes on from what was saved. Subclasses set the attributes."""

    _KIND: ClassVar[str]
    step_count: int
    seed: int
    _layers: dict[str, Layer]
    _blocks: dict[str, Block]
    _health: dict[str, Health]
    _damping: Damping
    _in_flight: InFlight

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict` goes on, bit for bit at equal thread count.

        A refresh in flight is waited for and saved as it is: it is taken when it would have been.
        """
        own: dict[str, Any] = {
            "kind": self._KIND,
            "names": json.dumps(list(self._layers)),
            "step_count": self.step_count,
            "seed": self.seed,
            "damping": written(self._damping),
            "health": json.dumps([vars(health) for health in self._health.values()]),
        }
        parts = {str(i): block.state_dict() for i, block in enumerate(self._blocks.values())}
        if self._in_flight:
            parts["in_flight"] = self._in_flight.state_dict(self._blocks)
        return plain_state.seal({**own, **self._own_state(), **joined(parts)})

    def _own_state(self) -> dict[str, Any]:
        """What a variant has beside the layers; a slash follows the name of a state within."""
        return {}

    def _refuse_others(self, fields: dict[str, Any]) -> None:
        """Raise StateError where `_own_state` is that of another variant, before anything is read."""

    def _load_own(self, fields: dict[str, Any]) -> None:
        """Take `_own_state` back, or raise and change nothing."""

    def load_state_dict(self, state: Any) -> None:
        """Go on from a state of an engine of the same layers and settings; all is checked before it is taken.

        Raises
        ------
        StateError
            A field is missing, altered, or of other layers.
        """
        types: dict[str, type] = dict.fromkeys(("names", "damping", "health"), str)
        types |= {"step_count": int, "seed": int} | {
            key: type(value) for key, value in self._own_state().items() if "/" not in key
        }
        opened = plain_state.opened(state, self._KIND, types, parts=True)
        with plain_state.reading():
            names = json.loads(opened["names"])
            if names != list(self._layers):
                raise StateError(f"names: expected the layers {list(self._layers)}, got {names}")
            self._refuse_others(opened)
            parts = parted({key: value for key, value in opened.items() if "/" in str(key)})
            blocks = {
                name: block.restored(parts.get(str(i), {}))
                for i, (name, block) in enumerate(self._blocks.items())
            }
            damping = read(opened["damping"], self._damping)
            if type(damping) is not type(self._damping):
                raise StateError(f"damping: expected {type(self._damping).__name__}, got {damping}")
            health = [Health(**item) for item in json.loads(opened["health"])]
            if len(health) != len(names) or min(opened["step_count"], opened["seed"]) < 0:
                raise StateError(f"health, step_count, seed: expected numbers >= 0 of {len(names)} layers")
            flying = InFlight(damping)
            if "in_flight" in parts:
                flying = self._in_flight.restored(parts["in_flight"], blocks)
            self._load_own(opened)
        self._blocks, self._health = blocks, dict(zip(names, health, strict=True))
        self._damping, self._in_flight = damping, flying
        self.step_count, self.seed = opened["step_count"], opened["seed"]
