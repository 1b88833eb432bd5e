# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The figure of `kfac_fashion_mnist`, from the cells that are stored."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from common import Cells
from nets import COLORS
from torch_training import PARTS

mpl.use("Agg")
import matplotlib.pyplot as plt

SHADES = ("#d8dce1", "#5aa9e6", "#d9680f", "#1f5fa8", "#8a929b")


def draw(cells: Cells, setting: Any) -> None:
    """Refresh against width, parts of a step, loss against time: what of it there is."""
    stored = cells.stored["cells"]
    drawn = [
        (panel, [key for key in stored if key.startswith(start)])
        for panel, start in ((widths, "refresh "), (parts, "steps "), (curves, "train "))
    ]
    drawn = [(panel, keys) for panel, keys in drawn if keys]
    figure, axes = plt.subplots(
        1, len(drawn), figsize=(4.6 * len(drawn), 3.8), layout="constrained", squeeze=False
    )
    for axis, (panel, keys) in zip(axes[0], drawn, strict=True):
        panel(axis, stored, keys, setting)
        axis.spines[["top", "right"]].set_visible(False)
    cells.figure(figure)
    plt.close(figure)


def widths(axis: Any, stored: dict[str, Any], keys: list[str], setting: Any) -> None:
    """Seconds of a refresh over the width."""
    for method in dict.fromkeys(stored[key]["method"] for key in keys):
        found = sorted(
            (stored[k]["width"], stored[k]["seconds"]) for k in keys if stored[k]["method"] == method
        )
        axis.loglog(*zip(*found, strict=True), "o-", ms=4, color=COLORS[method], label=method)
    ticks = sorted({stored[key]["width"] for key in keys})
    axis.set_xticks(ticks, ticks)
    axis.xaxis.set_minor_locator(plt.NullLocator())
    axis.set(xlabel="width of the network", ylabel="seconds of a refresh", title="refresh")
    axis.legend(frameon=False)


def parts(axis: Any, stored: dict[str, Any], keys: list[str], setting: Any) -> None:
    """A bar a method, split by part."""
    split = stored[keys[-1]]["split"]
    left = np.zeros(len(split))
    for part, shade in zip(PARTS, SHADES, strict=True):
        spent = np.array([1e3 * one[part] for one in split.values()])
        axis.barh(list(split), spent, left=left, color=shade, label=part)
        left += spent
    axis.invert_yaxis()
    axis.set(xlabel="milliseconds of a step", title=f"width {stored[keys[-1]]['width']}")
    axis.legend(frameon=False)


def curves(axis: Any, stored: dict[str, Any], keys: list[str], setting: Any) -> None:
    """Training loss over seconds of training, a line a seed, for the first network."""
    kind, width = setting.nets[0]
    for method in setting.methods:
        mine = [key for key in keys if key.startswith(f"train {kind} {width} {method} seed=")]
        for number, key in enumerate(mine):
            history = stored[key]["history"]
            spent = np.cumsum([epoch["seconds"] for epoch in history])
            label = method if number == 0 else None
            losses = [epoch["loss"] for epoch in history]
            axis.plot(spent, losses, ".-", color=COLORS[method], lw=1, label=label)
    axis.set(xlabel="seconds of training", ylabel="training loss", xscale="log", yscale="log")
    axis.set_title(f"{kind}, width {width}")
    for one in (axis.xaxis, axis.yaxis):
        one.set_minor_formatter(plt.NullFormatter())
    axis.legend(frameon=False)
