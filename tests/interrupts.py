# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Interrupts at every line of some files."""

from __future__ import annotations

import sys
from collections.abc import Callable


def interrupt_at_line(turn: int, paths: set[str], call: Callable[[], object]) -> bool:
    """Run `call` with KeyboardInterrupt raised once, at the turn-th line of the files; False if it ended."""
    left = turn

    def trace(frame, event, arg):
        nonlocal left
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(lambda frame, event, arg: trace if frame.f_code.co_filename in paths else None)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False
