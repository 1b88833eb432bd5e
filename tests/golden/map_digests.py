# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Golden digests of whole maps. ``python tests/golden/map_digests.py --rewrite`` writes them anew.

They freeze version 1 of the streams for every kind of map and dtype and for random pivots; the script refuses
to overwrite those of the same version. Products of SRFT come from SciPy, which may differ in the last bits
between versions: its entries are frozen like those of all maps.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from randnla._backend.kernels import trig
from randnla._backend.rng import STREAM_VERSION
from randnla.lowrank import pivots
from randnla.sketching import MAPS, KhatriRaoSketch, LeverageSampling, TensorSketch

PATH = Path(__file__).with_name("maps.json")
# Maps on tensors, of 7 x 43 entries.
FACTORED = {cls.kind: cls for cls in (KhatriRaoSketch, TensorSketch)}
D, M, SEED, STREAM = 24, 301, 2**64 - 5, 3


def cases() -> list[str]:
    """Names of all digests."""
    kinds = (*MAPS, LeverageSampling.kind, *FACTORED, "srft parts")
    maps = [f"{kind}/{dtype}" for kind in kinds for dtype in ("float32", "float64")]
    return [*maps, "pivots/proposals", "pivots/chances"]


def make(kind: str, dtype: str) -> Any:
    """The map of a case."""
    options = {"rng": SEED, "dtype": dtype, "stream": STREAM}
    if kind == LeverageSampling.kind:
        return LeverageSampling(D, M, scores=1.0 + np.arange(M) % 5, **options)
    if kind in FACTORED:
        return FACTORED[kind](D, M, dims=(7, 43), **options)
    return MAPS[kind](D, M, **options)


def make_pivots(part: str) -> Any:
    """The proposals of a draw, or the chances by which they are kept."""
    if part == "proposals":
        return pivots.propose(1.0 + np.arange(M) % 5, 8 * D, seed=SEED, draw=STREAM)
    return pivots.uniforms(8 * D, seed=SEED, draw=STREAM)


def digest(name: str) -> str:
    """SHA-256 of the little-endian bytes of the map, or of the signs and coordinates of SRFT."""
    kind, dtype = name.split("/")
    if kind == "srft parts":
        signs = trig.trig_signs(M, seed=SEED, stream=STREAM, dtype=dtype)
        rows = trig.sample_coordinates(kind="trig_rows", seed=SEED, stream=STREAM, population=M, count=D)
        parts = [signs, rows]
    elif kind == "pivots":
        parts = [make_pivots(dtype)]
    else:
        parts = [make(kind, dtype).to_dense()]
    total = hashlib.sha256()
    for part in parts:
        total.update(part.astype(part.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def main() -> None:
    """Write the digests, unless those of this version exist."""
    if sys.argv[1:] != ["--rewrite"]:
        sys.exit("golden digests are a contract: pass --rewrite after raising the stream version")
    if PATH.exists() and json.loads(PATH.read_text())["stream_version"] == STREAM_VERSION:
        sys.exit(f"{PATH.name} already holds version {STREAM_VERSION}: raise the version first")
    digests = {name: digest(name) for name in cases()}
    PATH.write_text(json.dumps({"stream_version": STREAM_VERSION, "digests": digests}, indent=1) + "\n")


if __name__ == "__main__":
    main()
