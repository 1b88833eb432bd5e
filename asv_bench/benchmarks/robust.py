# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Robust principal components."""

from works import ROOMS

from .common import suites

Calls, Ratios = suites(ROOMS["robust"])
