# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The figures of the demo and of ``--plot``: matplotlib without pyplot, so no global state is touched."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter

from randnla._backend.files import atomic_file

if TYPE_CHECKING:
    from randnla.demo.compression import Compressed
    from randnla.demo.digits import Digits
    from randnla.demo.timing import Timed

BLUE, ORANGE, GRAY, INK, PALE = "#1f5fa8", "#d9680f", "#8c939c", "#22262b", "#d8dce1"
# Ten colors that stay apart in print and for color-blind readers.
CLASSES = ("#1f5fa8", "#d9680f", "#2f8f5b", "#b3353b", "#7b5ea7", "#8a5a3c", "#cf6fa6", "#6b7178", "#a8a12a",
           "#2a9fb5")  # fmt: skip
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.edgecolor": GRAY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
Array = np.ndarray[Any, np.dtype[Any]]


def new_figure(width: float, height: float) -> Figure:
    """A figure with a canvas of its own."""
    spacing = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.02)
    figure = Figure(figsize=(width, height), dpi=120, layout=spacing, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def render(figure: Figure) -> bytes:
    """The figure as the content of a PNG file."""
    content = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(content, format="png")
    return content.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, whole or not at all."""
    content = render(figure)
    with atomic_file(path) as stream:
        stream.write(content)


def compression(image: Array, compressed: Sequence[Compressed]) -> Figure:
    """The image, four compressions of it, and the errors over the rank."""
    with mpl.rc_context(STYLE):
        figure = new_figure(12.6, 6.2)
        cells = figure.subplots(2, 3).ravel()
        shown = [compressed[i] for i in np.unique(np.linspace(0, len(compressed) - 1, 4).round().astype(int))]
        cells[0].imshow(image)
        cells[0].set_title("Original", fontweight="bold")
        for axes, item in zip(cells[1:5], shown, strict=False):
            axes.imshow(item.image)
            axes.set_title(f"Rank {item.rank}", fontweight="bold")
            axes.set_title(f"{item.storage:.0%} of the numbers", loc="right", color=GRAY, fontsize=10)
            axes.set_xlabel(f"error {item.error:.1%}, certified {item.certified:.1%}", labelpad=5)
        for axes in cells[:5]:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        error_over_rank(cells[5], compressed)
    return figure


def error_over_rank(axes: Any, compressed: Sequence[Compressed]) -> None:
    """True, certified and optimal error over the rank."""
    ranks = [item.rank for item in compressed]
    axes.plot(ranks, [item.optimal for item in compressed], color=PALE, lw=7, solid_capstyle="round",
              label="best possible")  # fmt: skip
    axes.plot(ranks, [item.error for item in compressed], color=BLUE, marker="o", ms=5, label="true error")
    axes.plot(ranks, [item.certified for item in compressed], color=ORANGE, ls="none", marker="D", ms=7,
              mfc="none", mew=1.6, label="certified, without the truth")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(ranks, [str(rank) for rank in ranks])
    axes.minorticks_off()
    values = [item.error for item in compressed] + [item.certified for item in compressed]
    ticks = [
        t
        for t in (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
        if 0.8 * min(values) < t < 1.25 * max(values)
    ]
    axes.set_yticks(ticks)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_title("Relative error", fontweight="bold")
    axes.set_xlabel("rank")
    axes.legend(loc="lower left")


def digits(found: Digits) -> Figure:
    """Scores of the digits, the leading components, and the spectrum by Nystrom."""
    with mpl.rc_context(STYLE):
        figure = new_figure(12.6, 4.9)
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.1, 1.0, 1.05))
        scatter(left, found)
        component_grid(middle, found)
        spectrum_beside_exact(right, found)
    return figure


def scatter(axes: Any, found: Digits) -> None:
    """The first two scores, one color a digit, the digit written at its center."""
    for digit, color in enumerate(CLASSES):
        points = found.scores[found.labels == digit, :2]
        axes.scatter(points[:, 0], points[:, 1], s=7, color=color, alpha=0.45, lw=0)
    for digit, color in enumerate(CLASSES):
        center = np.median(found.scores[found.labels == digit, :2], axis=0)
        disk = {"boxstyle": "circle,pad=0.25", "fc": color, "ec": "white", "lw": 1.2}
        axes.text(*center, str(digit), color="white", fontweight="bold", ha="center", va="center", bbox=disk)
    axes.set_title("Digits in two principal components", fontweight="bold")
    axes.set_xlabel(f"first component ({found.explained[0]:.0%} of the variance)")
    axes.set_ylabel(f"second component ({found.explained[1]:.0%})")


def component_grid(axes: Any, found: Digits) -> None:
    """The leading components as images, blue for negative and orange for positive, on one scale each."""
    side = min(4, int(np.sqrt(len(found.components))))
    mosaic = np.full((9 * side + 1, 9 * side + 1), np.nan)  # 8 x 8 tiles and gaps of one pixel
    for index, component in enumerate(found.components[: side * side]):
        row, column = divmod(index, side)
        tile = component.reshape(8, 8) / np.abs(component).max()
        mosaic[9 * row + 1 : 9 * row + 9, 9 * column + 1 : 9 * column + 9] = tile
    colors = LinearSegmentedColormap.from_list("", [BLUE, "white", ORANGE]).with_extremes(bad=PALE)
    axes.imshow(mosaic, cmap=colors, vmin=-1.0, vmax=1.0)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(f"The {side * side} leading components", fontweight="bold")


def spectrum_beside_exact(axes: Any, found: Digits) -> None:
    """Eigenvalues of the kernel matrix by Nystrom over the exact ones."""
    k = found.eigenvalues.size
    shown = found.exact[: int(1.5 * k)]
    axes.semilogy(
        np.arange(1, shown.size + 1), shown, color=PALE, lw=7, solid_capstyle="round", label="exact"
    )
    axes.semilogy(np.arange(1, k + 1), found.eigenvalues, color=BLUE, label=f"Nyström, rank {k}")
    axes.set_title("Eigenvalues of the kernel matrix", fontweight="bold")
    axes.set_xlabel("index")
    axes.legend(loc="upper right")
    axes.text(
        0.03, 0.05, f"error {found.error:.2%}\ncertified {found.certified:.2%}", transform=axes.transAxes
    )


def timing(timed: Sequence[Timed]) -> Figure:
    """Times as bars, the error over the optimum beside each."""
    problems = list(dict.fromkeys(item.problem for item in timed))
    with mpl.rc_context(STYLE):
        figure = new_figure(12.6, 4.2)
        for axes, problem in zip(figure.subplots(1, len(problems)), problems, strict=True):
            timing_bars(axes, problem, [item for item in timed if item.problem == problem])
    return figure


def timing_bars(axes: Any, problem: str, timed: Sequence[Timed]) -> None:
    """The bars of one problem."""
    rows = np.arange(len(timed))[::-1]
    colors = [ORANGE if item.contender.startswith("randnla") else GRAY for item in timed]
    seconds = np.array([item.seconds for item in timed])
    axes.barh(rows, seconds, color=colors, height=0.62)
    for row, item in zip(rows, timed, strict=True):
        label = f"{item.seconds:.3f} s, error {item.error / item.optimal:.3f} x best"
        axes.text(item.seconds + 0.015 * seconds.max(), row, label, va="center", fontsize=9)
    axes.set_xlim(0, 1.8 * seconds.max())
    axes.set_yticks(rows, [item.contender for item in timed])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_title(problem, fontweight="bold")
    axes.set_xlabel("seconds")


def spectrum(values: Array, title: str, source: str) -> Figure:
    """Values over their index, for ``--plot``."""
    values = np.asarray(values)
    with mpl.rc_context(STYLE):
        figure = new_figure(6.4, 4.2)
        axes = figure.subplots()
        axes.plot(np.arange(1, values.size + 1), values, color=BLUE, marker="o", ms=3.5)
        if values.size and values.min() > 0 and values.max() > 30 * values.min():
            axes.set_yscale("log")
        axes.set_title(f"{title} of {source}", fontweight="bold")
        axes.set_xlabel("index")
    return figure
