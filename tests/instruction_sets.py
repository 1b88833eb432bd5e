# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The same call on every instruction set that this machine has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from randnla import _core

LEVELS = ["v2", "v3", "v4", "amx"]


def on_every_instruction_set(test_file: str, call: str) -> dict[str, Any]:
    """What `call`, an expression in the names of a test module, gives in a process of each level."""
    best = _core.build_info()["instruction_set_best"]
    path = Path(test_file)
    code = (
        f"import sys, json; sys.path[:0] = [{str(path.parent)!r}, {str(Path(__file__).parent)!r}]\n"
        f"import {path.stem} as test\n"
        "from randnla import _core\n"
        f"print(json.dumps([_core.build_info()['instruction_set'], eval({call!r}, vars(test))]))"
    )
    found = {}
    for level in LEVELS[: LEVELS.index(best) + 1] if best in LEVELS else [best]:
        run = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"RANDNLA_ISA": level},
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        used, found[level] = json.loads(run.stdout)
        assert used == level
    return found
