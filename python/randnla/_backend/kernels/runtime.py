# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the compiled core says of itself."""

from __future__ import annotations

from pathlib import Path

from randnla import _core


def build_info() -> dict[str, str]:
    """Version, compiler, BLAS, instruction set and threading of the core."""
    return dict(_core.build_info())


def core_path() -> Path:
    """The file the core was loaded from."""
    return Path(str(_core.__file__))


def team_size() -> int:
    """Members of the next thread team."""
    return int(_core.num_threads())


def set_team_size(n: int) -> None:
    """Fix the team size; 0 returns the choice to OpenMP."""
    _core.set_num_threads(n)
