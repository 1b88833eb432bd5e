# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Draws by weights, and queries of a recommender."""

from works import ROOMS

from .common import suites

Calls, Ratios = suites(ROOMS["sampling_algebra"])
