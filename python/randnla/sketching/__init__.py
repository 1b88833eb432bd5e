# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Random maps: matrices that exist as a seed and a rule, applied without being stored."""

from randnla.sketching.base import RandomMap
from randnla.sketching.choose import MAPS, choose_map, make_map, sketch, source_of
from randnla.sketching.gaussian import Gaussian
from randnla.sketching.sign import Sign

__all__ = [
    "MAPS",
    "Gaussian",
    "RandomMap",
    "Sign",
    "choose_map",
    "make_map",
    "sketch",
    "source_of",
]
