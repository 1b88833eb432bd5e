# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Random maps: matrices that exist as a seed and a rule, applied without being stored."""

from randnla.sketching.base import RandomMap
from randnla.sketching.choose import MAPS, choose_map, make_map, sketch, source_of
from randnla.sketching.countsketch import CountSketch
from randnla.sketching.gaussian import Gaussian
from randnla.sketching.khatri_rao import KhatriRaoSketch
from randnla.sketching.leverage import leverage_scores
from randnla.sketching.sampling import LeverageSampling, RowSampling
from randnla.sketching.sign import Sign
from randnla.sketching.sparse_sign import SparseSign
from randnla.sketching.srft import SRFT
from randnla.sketching.srht import SRHT
from randnla.sketching.tensor_sketch import TensorSketch

__all__ = [
    "MAPS",
    "SRFT",
    "SRHT",
    "CountSketch",
    "Gaussian",
    "KhatriRaoSketch",
    "LeverageSampling",
    "RandomMap",
    "RowSampling",
    "Sign",
    "SparseSign",
    "TensorSketch",
    "choose_map",
    "leverage_scores",
    "make_map",
    "sketch",
    "source_of",
]
