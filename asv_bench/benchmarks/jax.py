# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The JAX face of curvature."""

from works import ROOMS

from .common import suites

Calls, Ratios = suites(ROOMS["jax"])
