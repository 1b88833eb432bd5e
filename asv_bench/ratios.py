# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The ratio table of `make bench`: every promised speed beside its peers, measured in one process.

    python asv_bench/ratios.py [--quick] [--only PATTERN] [--threads 1 2] [--all-peers] [--json OUT]

One thread is timed in CPU time, several in wall time; the best of the interleaved rounds counts.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import conditions
from verdict import Row, measure
from works import WORKS

COLUMNS = (
    "work",
    "dtype",
    "shape",
    "thr",
    "ours ms",
    "peer ms",
    "ratio",
    "bar",
    "",
    "our error",
    "its error",
    "peer",
)
WIDTHS = (26, 8, 24, 3, 9, 9, 7, 12, 8, 9, 9, 26)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _line(cells: Sequence[str]) -> str:
    right = {3, 4, 5, 6, 9, 10}
    return " ".join(
        cell[:width].rjust(width) if i in right else cell[:width].ljust(width)
        for i, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    ).rstrip()


def _row_line(row: Row) -> str:
    noisy = "~" if (row.noise or 1.0) > 1.25 else ""
    text = _line(
        (
            row.work,
            row.dtype,
            row.shape,
            str(row.threads),
            noisy + _number(row.ours_ms, ".2f"),
            _number(row.peer_ms, ".2f"),
            _number(row.ratio, ".3f"),
            row.bar,
            row.status,
            _number(row.ours_error, ".4g"),
            _number(row.peer_error, ".4g"),
            row.peer,
        )
    )
    return f"{text}\n    {row.note}" if row.note else text


def _peer_lines(row: Row) -> list[str]:
    key = f"best_{row.clock}_ms"
    lines = []
    for name, figures in row.contenders.items():
        if "failure" in figures:
            lines.append(f"    {name}: {figures['failure']}")
        else:
            lines.append(f"    {name}: {figures[key]:.2f} ms, error {_number(figures['error'], '.4g')}")
    return lines


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the main row of every kernel, fewer rounds")
    parser.add_argument("--only", metavar="PATTERN", help="rows whose title matches this regular expression")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument("--all-peers", action="store_true", help="every contender's time below each row")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write rows and machine to this file")
    parser.add_argument("--list", action="store_true", help="print the titles of the rows and stop")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)
    pattern = re.compile(options.only or "", re.IGNORECASE)
    works = [w for w in WORKS if pattern.search(w.title) and (w.quick or not options.quick)]
    if options.list:
        print("\n".join(w.title for w in works))
        return 0
    machine = conditions.machine()
    print(f"{machine['processor']}, {machine['cores']} cores; BLAS {', '.join(machine['blas'])}")
    print(f"{machine['versions']}; load {machine['load']:.2f}")
    ours = machine["randnla"]
    print(f"randnla {ours['version']}, {ours['instruction_set']} kernels, {ours['blas']}, {ours['compiler']}")
    for warning in conditions.warnings():
        print(f"WARNING {warning}", file=sys.stderr)
    print("1 thread: CPU time; more: wall time; best of interleaved rounds; ~: median 25 % above best\n")
    print(_line(COLUMNS))
    rows: list[Row] = []
    for work in works:
        for threads in [t for t in work.threads if t in options.threads]:
            row = measure(work, threads, effort=0.5 if options.quick else 1.0)
            rows.append(row)
            if row.status == "missing":
                print(f"{work.title}: missing {row.note}", flush=True)
                break
            print(_row_line(row), flush=True)
            if options.all_peers:
                print("\n".join(_peer_lines(row)), flush=True)
    counts = {s: sum(r.status == s for r in rows) for s in ("met", "missed", "unbarred", "missing", "failed")}
    print("\n" + ", ".join(f"{n} {status}" for status, n in counts.items()))
    if options.json:
        options.json.write_text(
            json.dumps({"machine": machine, "rows": [r.to_dict() for r in rows]}, indent=1, default=float)
        )
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
