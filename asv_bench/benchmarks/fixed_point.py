# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Exact fixed point beside float32."""

from works import ROOMS

from .common import suites

Calls, Ratios = suites(ROOMS["fixed_point"])
