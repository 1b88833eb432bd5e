# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Golden digests of the dense maps. ``python tests/streams/stream_digests.py --rewrite`` writes them anew.

The digests freeze version 1 of the streams: a change of any is a change of the contract and needs a new
`STREAM_VERSION`, so the script refuses to overwrite those of the same version.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

PATH = Path(__file__).parents[1] / "golden" / "streams.json"

# name: (rows, columns, first row, first column, seed, stream)
BLOCKS = {
    "corner": (8, 4096, 0, 0, 0, 0),
    "seeded": (8, 4096, 0, 0, 2**64 - 1, 2**64 - 1),
    "cut": (5, 3001, 3, 61, 12345, 1),
    "counter_crosses_2_32": (3, 6000, 2**32 - 1, 2**34 - 3000, 1, 0),
    "above_2_40": (2, 5000, 2**40 + 1, 2**41 + 7, 1, 2**33),
    "last": (2, 5000, 2**63 - 3, 2**63 - 5001, 7, 7),
}


def cases() -> list[str]:
    """Names of all digests."""
    dense = [f"{k}/{t}/{b}" for k in ("gaussian", "sign") for t in ("float32", "float64") for b in BLOCKS]
    return dense + [f"{kind}/uint32/{b}" for kind in ("bits", "pivots") for b in BLOCKS]


def digest(name: str, streams: Any) -> str:
    """SHA-256 of the little-endian bytes of one block, made by `streams` (kernels or oracle)."""
    kind, dtype, block = name.split("/")
    rows, cols, row, col, seed, stream = BLOCKS[block]
    if dtype == "uint32":
        out = np.empty(cols, np.uint32)
        streams.random_words(out, kind=kind, seed=seed, stream=stream, row=row, start=col)
    else:
        out = np.empty((rows, cols), dtype)
        streams.fill_dense_map(out, kind=kind, seed=seed, stream=stream, row_start=row, col_start=col)
    return hashlib.sha256(out.astype(out.dtype.newbyteorder("<")).tobytes()).hexdigest()


def main() -> None:
    """Write the digests of the oracle, unless those of this version exist."""
    from randnla._backend.generic import streams as oracle

    if sys.argv[1:] != ["--rewrite"]:
        sys.exit("golden digests are a contract: pass --rewrite after raising the stream version")
    if PATH.exists() and json.loads(PATH.read_text())["stream_version"] == oracle.STREAM_VERSION:
        sys.exit(f"{PATH.name} already holds version {oracle.STREAM_VERSION}: raise the version first")
    digests = {name: digest(name, oracle) for name in cases()}
    PATH.write_text(
        json.dumps({"stream_version": oracle.STREAM_VERSION, "digests": digests}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
