# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Operators and equations on manifolds known by points."""

from works import ROOMS

from .common import suites

Calls, Ratios = suites(ROOMS["manifold"])
