# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Words, progress and tables: with rich on a terminal, as plain lines anywhere else."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

import randnla


@dataclass
class Table:
    """A title, columns and groups of rows; the first two columns are words, the others numbers."""

    title: str
    columns: tuple[str, ...]
    groups: list[list[tuple[str, ...]]] = field(default_factory=list)
    caption: str = ""


class Progress(Protocol):
    """Told about each step before it begins."""

    def step(self, what: str) -> None:
        """Begin a step."""


class Report(Protocol):
    """Where the demo speaks to."""

    def line(self, text: str) -> None:
        """Print a result."""

    def table(self, table: Table) -> None:
        """Print a table."""

    @contextmanager
    def progress(self, steps: int) -> Iterator[Progress]:
        """Show progress over that many steps."""
        yield NoProgress()


class NoProgress:
    """Says nothing."""

    def step(self, what: str) -> None:
        """Begin a step."""


class PlainProgress:
    """One line a step, on standard error."""

    def __init__(self, stream: TextIO, steps: int) -> None:
        self.stream, self.steps, self.done = stream, steps, 0
        self.begin = time.perf_counter()

    def step(self, what: str) -> None:
        """Begin a step."""
        self.done += 1
        seconds = time.perf_counter() - self.begin
        print(f"[{self.done:>2}/{self.steps} {seconds:5.1f} s] {what}", file=self.stream, flush=True)


class PlainReport:
    """Plain lines: results on one stream, progress on the other."""

    def __init__(self, results: TextIO, progress: TextIO) -> None:
        self.results, self.progress_stream = results, progress

    def line(self, text: str) -> None:
        """Print a result."""
        print(text, file=self.results, flush=True)

    def table(self, table: Table) -> None:
        """Print a table."""
        self.line("\n" + "\n".join(plain_table(table)) + "\n")

    @contextmanager
    def progress(self, steps: int) -> Iterator[Progress]:
        """Show progress over that many steps."""
        yield PlainProgress(self.progress_stream, steps)


def plain_table(table: Table) -> Iterator[str]:
    """Yield the lines of a table in columns."""
    rows = [table.columns, *(row for group in table.groups for row in group)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]

    def aligned(row: tuple[str, ...]) -> str:
        cells = [f"{cell:<{width}}" for cell, width in zip(row[:2], widths[:2], strict=True)]
        cells += [f"{cell:>{width}}" for cell, width in zip(row[2:], widths[2:], strict=True)]
        return "  ".join(cells).rstrip()

    yield table.title
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    yield rule
    yield aligned(table.columns)
    for group in table.groups:
        yield rule
        yield from (aligned(row) for row in group)
    yield rule
    if table.caption:
        yield table.caption


class RichProgress:
    """A bar that rich draws."""

    def __init__(self, bar: Any, steps: int) -> None:
        self.bar, self.started = bar, False
        self.task = bar.add_task("", total=steps)

    def step(self, what: str) -> None:
        """Begin a step."""
        self.bar.update(self.task, description=what, advance=1 if self.started else 0)
        self.started = True


class RichReport:
    """Colors, a progress bar and a drawn table."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console()

    def line(self, text: str) -> None:
        """Print a result."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def table(self, table: Table) -> None:
        """Print a table."""
        from rich import box
        from rich.table import Table as Drawn

        drawn = Drawn(title=table.title, caption=table.caption, box=box.SIMPLE_HEAVY, title_justify="left",
                      caption_justify="left")  # fmt: skip
        for i, name in enumerate(table.columns):
            drawn.add_column(name, justify="left" if i < 2 else "right", no_wrap=True)
        for group in table.groups:
            for row in group:
                drawn.add_row(*row, style="bold" if row[1].startswith("randnla") else None)
            drawn.add_section()
        self.console.print(drawn)

    @contextmanager
    def progress(self, steps: int) -> Iterator[Progress]:
        """Show progress over that many steps."""
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   TextColumn("{task.description}"))  # fmt: skip
        with Bar(*columns, console=self.console, transient=True) as bar:
            yield RichProgress(bar, steps)


def make_report() -> Report:
    """Choose rich on a terminal where it is installed, plain lines otherwise."""
    if sys.stdout.isatty():
        try:
            return RichReport()
        except ImportError:
            pass
    return PlainReport(sys.stdout, sys.stderr)


def conditions() -> str:
    """The machine and the libraries, without which a time means nothing."""
    import numpy as np
    import scipy
    import sklearn

    info = randnla.info()
    peer = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return (
        f"randnla {info.version} on {platform.machine()}, {info.threads} threads, "
        f"instruction set {info.instruction_set}, {' '.join(info.blas.split()[:2])}\n"
        f"against NumPy {np.__version__} ({peer['name']} {peer['version']}), SciPy {scipy.__version__}, "
        f"scikit-learn {sklearn.__version__}, with their own threads"
    )
