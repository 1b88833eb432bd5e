# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Print requirements of pyproject.toml: of one extra, of `run` (the package) or of `build`.

Installing these leaves the package itself alone, so an extra never rebuilds the core.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

# scikit-build-core asks for these by itself where the system has none.
BUILD_TOOLS = ["cmake>=3.25", "ninja>=1.10"]


def requirements(name: str, pyproject: Path) -> list[str]:
    """Return the requirement strings of the named group."""
    tables = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    extras = tables["project"]["optional-dependencies"]
    if name == "run":
        return list(tables["project"]["dependencies"])
    if name == "build":
        return [*tables["build-system"]["requires"], *BUILD_TOOLS]
    if name not in extras:
        raise SystemExit(f"requirements: no extra {name!r}; there are run, build, {', '.join(extras)}")
    return list(extras[name])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: requirements.py NAME")
    print("\n".join(requirements(sys.argv[1], Path(__file__).parents[1] / "pyproject.toml")))
