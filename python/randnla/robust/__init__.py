# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A low-rank matrix and sparse gross errors from their sum."""

from __future__ import annotations

import importlib
from typing import Any

# Public name -> module that defines it; loaded at first use.
_EXPORTS = {
    "RPCAResult": "randnla.robust.results",
    "rpca": "randnla.robust.separate",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'randnla.robust' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
