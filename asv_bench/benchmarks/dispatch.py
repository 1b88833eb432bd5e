# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The dispatch of `method="auto"` against deterministic routes."""

from works import ROOMS

from .common import suites

Calls, Ratios = suites(ROOMS["dispatch"])
