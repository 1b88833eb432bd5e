# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Runs hostile cases in a process of its own: a case that hangs or crashes takes only this one with it.

Reads one JSON request a line from stdin, writes one JSON outcome a line to the file descriptor given.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import warnings
from typing import Any

import hostile_arguments
import numpy as np
import scipy.sparse as sp
from hostile_inputs import LAYOUTS, MATRICES, dense_truth
from hostile_products import TARGETS
from hostile_targets import Target, precision


def fingerprint(A: Any) -> str:
    """Of all bytes of an input that a call might write to."""
    if sp.issparse(A):
        parts = [A.data, *(A.coords if A.format == "coo" else (A.indices, A.indptr))]
        return "".join(fingerprint(part) for part in parts)
    if isinstance(A, np.ndarray) and A.dtype != object:
        return hashlib.sha256(np.ascontiguousarray(A).tobytes()).hexdigest()
    return repr(A) if isinstance(A, list) else ""


def attempt(target: Target, A: Any, keywords: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The outcome of one call, and its result."""
    before = fingerprint(A)
    result = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = target.call(A, **keywords)
            outcome: dict[str, Any] = {"kind": "value", "problem": None}
        except Exception as error:  # every outcome is judged by the test
            classes = [cls.__name__ for cls in type(error).__mro__]
            outcome = {"kind": "error", "classes": classes, "message": str(error)}
    outcome["modified"] = fingerprint(A) != before
    return outcome, result


def run_matrix(target: Target, name: str) -> dict[str, Any]:
    case = MATRICES[name]
    base = target.base()
    A = case.make(base)
    outcome, result = attempt(target, A, {})
    if outcome["kind"] == "value":
        truth = dense_truth(case.truth(base) if case.truth else A)
        outcome["problem"] = target.check(result, truth, precision(A))
    return outcome


def run_unscreened(target: Target, name: str) -> dict[str, Any]:
    """check_finite=False: any value, but no hang, no crash."""
    return attempt(target, MATRICES[name].make(target.base()), {"check_finite": False})[0]


def run_layout(target: Target, name: str) -> dict[str, Any]:
    """The largest difference of any factor from that of the C-ordered input, relative to the factor.

    A memmap may go by a randomized route where the array goes by LAPACK. Four power iterations bring
    both to rounding: what the sketch misses falls like (1.5^-10)^(2q+1).
    """
    base = target.base()
    keywords = {"power_iters": 4} if "power_iters" in target.parameters else {}
    outcome, result = attempt(target, LAYOUTS[name](base), keywords)
    reference = target.call(base.copy(), **keywords)
    factors = (
        [reference, result] if isinstance(reference, np.ndarray) else [*zip(reference, result, strict=True)]
    )
    pairs = [tuple(factors)] if isinstance(reference, np.ndarray) else factors
    outcome["same_bits"] = all(np.array_equal(x, y) for x, y in pairs)
    outcome["difference"] = max(float(np.abs(x - y).max() / np.abs(x).max()) for x, y in pairs)
    return outcome


def run_argument(target: Target, name: str) -> dict[str, Any]:
    keywords = {
        key: value.make() if isinstance(value, hostile_arguments.Map) else value
        for key, value in hostile_arguments.ARGUMENTS[name].keywords.items()
    }
    return attempt(target, target.base(), keywords)[0]


RUNS = {"matrix": run_matrix, "unscreened": run_unscreened, "layout": run_layout, "argument": run_argument}


def main() -> None:
    with os.fdopen(int(sys.argv[1]), "w") as out:
        for line in sys.stdin:
            request = json.loads(line)
            outcome = RUNS[request["run"]](TARGETS[request["target"]], request["case"])
            out.write(json.dumps(outcome) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
