# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The device kernels: whether they were built and whether there is a device to run them."""

from __future__ import annotations

import importlib
import importlib.util


def state() -> str:
    """Return "not built", "no driver" (none, or one too old), "no device" or "ready".

    The extension is imported to ask it, which needs no driver; nothing is allocated on a device.
    """
    if importlib.util.find_spec("randnla._cuda") is None:
        return "not built"
    return str(importlib.import_module("randnla._cuda").device_state())
