# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Typed wrappers of the compiled core, one file a room; nothing else imports the core."""

from __future__ import annotations

import importlib
import os


def _load_core() -> None:
    """Load the core without letting its private OpenBLAS start workers, which it does when it is loaded.

    Products run on our own team, one BLAS thread each, so the workers would idle for ever, one a core.
    """
    importlib.import_module("numpy")  # its own OpenBLAS reads the same variable
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        importlib.import_module("randnla._core")
    finally:
        if before is None:
            del os.environ["OPENBLAS_NUM_THREADS"]
        else:
            os.environ["OPENBLAS_NUM_THREADS"] = before


_load_core()
