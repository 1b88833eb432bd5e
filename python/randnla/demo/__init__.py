# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The main job on real data: compress images, analyze digits, time against other libraries."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from randnla.datasets import load_digits, load_image, need
from randnla.demo.report import Report, conditions, make_report


@dataclass(frozen=True)
class Settings:
    """Sizes of the demo.

    Attributes
    ----------
    ranks : tuple of int
        Ranks at which the image is compressed; four of them are shown.
    tolerances : tuple of float
        Relative errors to which the second image is compressed.
    components : int
        Rank of PCA on the digits.
    nystrom_rank : int
        Rank of the kernel matrix of the digits.
    patch, step : int
        Side and distance of the image patches whose SVD is timed.
    points : int
        How many digits the kernel matrix has.
    timing_rank : int
        Rank of the timed decompositions.
    rounds : int
        Interleaved repetitions, of which the best counts.
    budget : float
        Seconds for the timing of one problem: no round is begun that would probably exceed them.
    """

    ranks: tuple[int, ...] = (5, 10, 20, 40, 80, 160)
    tolerances: tuple[float, ...] = (0.2, 0.1, 0.05)
    components: int = 16
    nystrom_rank: int = 100
    patch: int = 16
    step: int = 6
    points: int = 1797
    timing_rank: int = 50
    rounds: int = 3
    budget: float = 25.0


QUICK = Settings((5, 20), (0.2,), 4, 20, 8, 16, 300, 10, 1)


def run(out: Path, *, size: Literal["full", "quick"] = "full", report: Report | None = None) -> list[Path]:
    """Run the demo: print results, write figures.

    Parameters
    ----------
    out : Path
        Existing folder for the figures.
    size : {"full", "quick"}
        ``quick`` takes small problems, for tests of the demo itself.
    report : Report, optional
        Where the words go; by default the terminal.

    Returns
    -------
    list of Path
        The figures.

    Raises
    ------
    ImportError
        If scikit-learn, matplotlib or Pillow is missing; the message says how to get them.

    Notes
    -----
    *Cost*: under two minutes on two cores for ``full``, less than 1 GB.

    Examples
    --------
    >>> from pathlib import Path
    >>> from randnla import demo
    >>> figures = demo.run(Path("demo-output"))  # doctest: +SKIP
    """
    for module, distribution in (
        ("sklearn", "scikit-learn"),
        ("matplotlib", "matplotlib"),
        ("PIL", "Pillow"),
    ):
        need(module, distribution)
    from randnla.demo import compression, digits, figures, timing

    settings = Settings() if size == "full" else QUICK
    report = report or make_report()
    begin = time.perf_counter()
    written: list[Path] = []

    def keep(figure: figures.Figure, name: str) -> None:
        figures.save(figure, out / name)
        written.append(out / name)

    report.line(conditions())
    with report.progress(
        timing.count(settings) + len(settings.ranks) + len(settings.tolerances) + 3
    ) as progress:
        china, flower = load_image("china"), load_image("flower")
        compressed = compression.run(china, settings, progress)
        report.line(compression.describe("china.jpg", compressed))
        keep(figures.compression(china, compressed), "compression.png")

        report.line(compression.describe("flower.jpg", compression.to_tolerance(flower, settings, progress)))

        images, labels = load_digits()
        found = digits.run(images, labels, settings, progress)
        report.line(digits.describe(found))
        keep(figures.digits(found), "digits.png")

        timed = timing.run(china, images, settings, progress)
        keep(figures.timing(timed), "timing.png")
    report.table(timing.table(timed, settings))
    report.line(f"{time.perf_counter() - begin:.0f} s; figures: " + ", ".join(str(path) for path in written))
    return written
