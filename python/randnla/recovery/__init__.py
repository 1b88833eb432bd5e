# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Matrices of low rank, and operators whose powers are seen, from a few of their entries."""

from __future__ import annotations

import importlib
from typing import Any

# Public name -> module that defines it; loaded at first use.
_EXPORTS = {
    "TransitionResult": "randnla.recovery.results",
    "complete": "randnla.recovery.learn",
    "draw_places": "randnla.recovery.places",
    "learn_transition": "randnla.recovery.learn",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'randnla.recovery' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
