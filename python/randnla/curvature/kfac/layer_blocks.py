# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Layers, the curvature of each, and how each is: what an engine averages and what its steps apply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from randnla._backend.errors import InputError, NonFiniteError
from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array

from ..health import Health
from ..report import Report, report_of
from ..workspace import Workspace
from .blocks import Block
from .layers import Layer


class LayerBlocks:
    """The part of an engine that knows its layers: statistics in, gradients as matrices and back.

    Subclasses set the attributes.
    """

    inverse: str
    dtype: Any
    _layers: dict[str, Layer]
    _blocks: dict[str, Block]
    _health: dict[str, Health]
    _workspaces: dict[str, Workspace]
    _low_rank: dict[str, Any]

    def accumulate(self, name: Any, a: Any = None, g: Any = None, *, samples: int | None = None) -> bool:
        """Average in a batch of a layer, or of several.

        Parameters
        ----------
        name : str, or mapping {name: (a, g) or (a, g, samples)}
            With a mapping all batches are checked before one of them is taken.
        a : array or list of arrays, first axis the samples
            Inputs of the layer (indices for `Embedding`, normalized inputs for `ScaleShift`). Several arrays
            are several uses of a shared layer, or parts of one batch, which may differ in their positions.
        g : array or list of arrays
            Gradients of the summed loss with respect to the outputs of the layer.
        samples : int, optional
            How many samples several arrays stand for, where that is not the sum of their first axes.

        Returns
        -------
        bool
            False where a NaN or an infinity was found: nothing of that layer has changed, and `health`
            counts it.

        Raises
        ------
        InputError
            There is no such layer, or an array does not fit it; nothing has changed.
        """
        checked = self._checked(name, a, g, samples)
        for key, prepared in checked.items():
            if prepared is not None:
                self._blocks[key].absorb(prepared)
        return all(prepared is not None for prepared in checked.values())

    def _checked(self, name: Any, a: Any, g: Any, samples: int | None) -> dict[str, Any]:
        """Batches ready to be averaged in, None in the place of one that is not finite."""
        given = name if isinstance(name, Mapping) else {name: (a, g, samples)}
        found: dict[str, Any] = {}
        reasons: dict[str, str] = {}
        for key, batch in given.items():
            layer = self._layers[self._known(key)]
            if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                raise InputError(f"name: expected (a, g) or (a, g, samples) for {key!r}, got {batch!r:.40}")
            a, g, count = (*batch, samples)[:3]
            try:
                rows = layer.rows(a, g, self._workspaces[key], dtype=self.dtype, samples=count)
                found[key] = self._blocks[key].prepare(rows)
            except NonFiniteError as problem:
                found[key], reasons[key] = None, str(problem)
        for key, reason in reasons.items():  # noted when nothing can be refused any more
            self._note(key, skipped_statistics=1, reason=reason)
        return found

    def _known(self, name: str) -> str:
        if name not in self._layers:
            raise InputError(f"name: expected one of {', '.join(self._layers)}; got {name!r}")
        return name

    def _note(self, name: str, *, reason: str, **counts: int) -> None:
        health = self._health[name]
        added = {key: getattr(health, key) + value for key, value in counts.items()}
        self._health[name] = replace(health, reason=reason, **added)

    def _packed(self, gradients: Mapping[str, Any]) -> dict[str, Array] | None:
        matrices = {
            name: self._layers[self._known(name)].pack(value, self._workspaces[name], dtype=self.dtype)
            for name, value in gradients.items()
        }
        bad = [name for name, V in matrices.items() if not dense.screen(V).finite]
        for name in bad:
            self._note(name, reason="the gradient holds NaN or Inf", skipped_gradients=1)
        return None if bad else matrices

    def _unpacked(self, directions: Mapping[str, Array], gradients: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._layers[name].unpack(D, gradients[name]) for name, D in directions.items()}

    @property
    def health(self) -> dict[str, Health]:
        """How each layer is."""
        return dict(self._health)

    @property
    def blocks(self) -> dict[str, Block]:
        """The curvature of each layer, for adapters that keep the state of an engine elsewhere."""
        return dict(self._blocks)

    def report(self) -> Report:
        """A printable table: layers, how each is inverted and why, and how they are."""
        return report_of(self._layers, self._blocks, self._health, self._low_rank, self.inverse)
