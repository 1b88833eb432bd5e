# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Least squares."""

from works import ROOMS

from .common import suites

Calls, Ratios = suites(ROOMS["solvers"])
