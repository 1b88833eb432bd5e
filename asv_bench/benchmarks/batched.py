# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Many small matrices at a time."""

from works import ROOMS

from .common import suites

Calls, Ratios = suites(ROOMS["batched"])
