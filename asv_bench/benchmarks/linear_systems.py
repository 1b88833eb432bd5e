# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Linear systems and ridge paths."""

from works import ROOMS

from .common import suites

Calls, Ratios = suites(ROOMS["linear_systems"])
