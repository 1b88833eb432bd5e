# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A room's rows as asv benchmarks: time, peak memory, error, and the ratio to each peer in one process."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

from conditions import MissingError, thread_limit
from works import Work


class _Rows:
    """Base of the suites below: parameters are the title of a row and the number of threads."""

    works: ClassVar[dict[str, Work]]
    params: ClassVar[tuple[list[str], list[int]]]
    param_names = ("work", "threads")
    timeout = 300.0


def suites(works: Sequence[Work]) -> tuple[type[_Rows], type[_Rows]]:
    """(calls, ratios): the classes of a room; asv finds their time_, peakmem_ and track_ methods."""
    shared: dict[str, Any] = {
        "works": {work.title: work for work in works},
        "params": ([work.title for work in works], [1, 2]),
    }

    class Calls(_Rows):
        def setup(self, title: str, threads: int) -> None:
            self.stack = ExitStack()
            try:
                self.stack.enter_context(thread_limit(threads))
                self.call = self.works[title].build(threads).ours
            except MissingError as missing:
                raise NotImplementedError(str(missing)) from missing  # asv: not applicable here
            self.call()

        def teardown(self, title: str, threads: int) -> None:
            self.stack.close()

        def time_ours(self, title: str, threads: int) -> None:
            self.call()

        def peakmem_ours(self, title: str, threads: int) -> None:
            self.call()

    class Ratios(_Rows):
        def track_ratio(self, title: str, threads: int) -> float:
            """Our time over the peer's, their speed share or 10^9 units/s, as the bar of the row says."""
            from verdict import measure

            return measure(self.works[title], threads, effort=0.5).ratio or float("nan")

        def track_error(self, title: str, threads: int) -> float:
            from verdict import measure

            error = measure(self.works[title], threads, effort=0.1).ours_error
            return float("nan") if error is None else error

    return type("Calls", (Calls,), shared), type("Ratios", (Ratios,), shared)
