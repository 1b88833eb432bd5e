# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""``python -m randnla`` is the command ``randnla``."""

import sys

from randnla.cli import main

if __name__ == "__main__":
    sys.exit(main())
