# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Refreshes on a worker thread, and what they have made until a step takes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from randnla._backend.errors import StateError
from randnla._backend.state import reading

from ..damping import Damping, read, written
from ..health import Outcome
from ..resumable import joined, parted
from .blocks import Block


class InFlight:
    """Refreshes of one step, layer by layer, to be taken at another, whatever the worker's pace.

    Copies and states wait for the worker, and hold what it has made: they go on as the original does.

    Attributes
    ----------
    begun, due : int
        The step the factors were of, and the one that takes what is made of them.
    damping : Damping
        That it is made with.
    """

    def __init__(self, damping: Damping) -> None:
        self.begun, self.due, self.damping = 0, 0, damping
        self._runs: dict[str, Future[Outcome[Any]] | Outcome[Any]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def __bool__(self) -> bool:
        return bool(self._runs)

    def begin(self, name: str, run: Callable[[], Outcome[Any]]) -> None:
        """Let the worker refresh a layer."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="randnla-refresh")
        self._runs[name] = self._pool.submit(run)

    def outcomes(self) -> dict[str, Outcome[Any]]:
        """What the worker has made, once it has."""
        made = {name: run.result() if isinstance(run, Future) else run for name, run in self._runs.items()}
        self._runs = {**made}
        return made

    def clear(self) -> None:
        """Nothing is in flight any more."""
        self._runs = {}

    def __getstate__(self) -> dict[str, Any]:
        self.outcomes()
        return {**vars(self), "_pool": None}

    def state_dict(self, blocks: Mapping[str, Block]) -> dict[str, Any]:
        """A text and, behind the numbers of layers and a slash, what was made; to be held by a state."""
        made, text, number = self.outcomes(), {}, {name: str(i) for i, name in enumerate(blocks)}
        for name, outcome in made.items():
            text[number[name]] = [outcome.fallback, outcome.reason]
        parts = {
            number[name]: blocks[name].made_state(outcome.made)
            for name, outcome in made.items()
            if outcome.made is not None
        }
        return {"runs": json.dumps([self.begun, self.due, written(self.damping), text]), **joined(parts)}

    def restored(self, state: dict[str, Any], blocks: Mapping[str, Block]) -> InFlight:
        """One in the state described, with the worker of this one.

        Raises
        ------
        StateError
        """
        if "runs" not in state:
            raise StateError("in_flight: missing field")
        parts = parted({key: value for key, value in state.items() if key != "runs"})
        made = InFlight(self.damping)
        with reading("in_flight"):
            begun, due, damping, text = json.loads(str(state["runs"]))
            made.begun, made.due, made.damping = int(begun), int(due), read(damping, self.damping)
            for i, (name, block) in enumerate(blocks.items()):
                if str(i) in text:
                    fallback, reason = text[str(i)]
                    new = block.made_restored(parts[str(i)]) if str(i) in parts else None
                    made._runs[name] = Outcome(new, str(fallback), str(reason))
        made._pool = self._pool
        return made
