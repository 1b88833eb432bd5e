# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Randomized numerical linear algebra with certified results."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from randnla._backend.system import info as info

# Public name -> module that defines it; loaded at first use, so that `import randnla` stays fast.
_EXPORTS = {
    "info": "randnla._backend.system",
}

__all__ = sorted([*_EXPORTS, "__version__"])


def __getattr__(name: str) -> object:
    if name == "__version__":
        return importlib.import_module("randnla._backend.system").version()
    if name not in _EXPORTS:
        raise AttributeError(f"module 'randnla' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
