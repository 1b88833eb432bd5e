# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The asv suite, one file a room. Offline: asv run --python=same --set-commit-hash $(git rev-parse HEAD)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works, peers and the harness
