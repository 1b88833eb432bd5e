# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products with tensors and their decompositions."""

from works import ROOMS

from .common import suites

Calls, Ratios = suites(ROOMS["tensor"])
