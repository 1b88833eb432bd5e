# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Filling arrays with the entries of maps."""

from works import ROOMS

from .common import suites

Calls, Ratios = suites(ROOMS["generator"])
