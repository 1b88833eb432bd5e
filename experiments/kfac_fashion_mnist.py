# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""K-FAC, exact and randomized, against SGD and Adam on Fashion-MNIST: time per step, time to accuracy.

    python experiments/kfac_fashion_mnist.py --small
    python experiments/kfac_fashion_mnist.py --full     # hours; stop it at any time, it goes on

Parts: "refresh" times the inverses against the width of the network, "steps" splits the time of a step
in one process, "train" tunes step sizes on one seed and a subset and trains all seeds. The setting
"bars" is that of the bars of this project: 784-2048-2048-10, batch 256.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from common import RATES, Cells, Data, arguments, best_rate, load, now
from nets import METHODS, Schedule
from torch_training import PARTS, Trainer

SCHEDULE = Schedule()
CURVED = tuple(name for name, settings in METHODS.items() if settings is not None)


@dataclass(frozen=True)
class Setting:
    """What is run.

    Attributes
    ----------
    nets : tuple of (kind, width)
        Trained to the end.
    count, tuned : int or None
        Training images, and how many of them the step size is tuned on.
    epochs, tune_epochs : int
    seeds : tuple of int
    refresh_widths : tuple of int
    step_width : int
    target : float
        Accuracy that the time is taken to.
    """

    nets: tuple[tuple[str, int], ...]
    count: int | None
    tuned: int
    epochs: int
    tune_epochs: int
    seeds: tuple[int, ...]
    refresh_widths: tuple[int, ...]
    step_width: int
    target: float = 0.8
    batch: int = 256
    rates: tuple[float, ...] = RATES
    methods: tuple[str, ...] = tuple(METHODS)
    schedule: Schedule = field(default=SCHEDULE)


SETTINGS = {
    "small": Setting(
        nets=(("mlp", 512), ("vgg", 4)),
        count=5120,
        tuned=2560,
        epochs=3,
        tune_epochs=1,
        seeds=(0, 1),
        refresh_widths=(256, 512, 1024),
        step_width=512,
        rates=(0.003, 0.03, 0.3),
        schedule=replace(SCHEDULE, rank=64),
    ),
    "full": Setting(
        nets=(("mlp", 512), ("mlp", 1024), ("mlp", 2048), ("mlp", 4096), ("vgg", 16)),
        count=None,
        tuned=15360,
        epochs=10,
        tune_epochs=1,
        seeds=(0, 1, 2, 3, 4),
        refresh_widths=(512, 1024, 2048, 4096),
        step_width=2048,
        target=0.87,
    ),
    "bars": Setting(
        nets=(("mlp", 2048),),
        count=3840,
        tuned=2560,
        epochs=3,
        tune_epochs=2,
        seeds=(0, 1, 2),
        refresh_widths=(512, 1024, 2048, 4096),
        step_width=2048,
        rates=(0.003, 0.01, 0.03, 0.1),
        methods=("K-FAC, eigen", "K-FAC, Cholesky", "RS-KFAC", "SRE-KFAC", "B-KFAC"),
    ),
    "tiny": Setting(
        nets=(("mlp", 64),),
        count=512,
        tuned=256,
        epochs=1,
        tune_epochs=1,
        seeds=(0,),
        refresh_widths=(48, 64),
        step_width=64,
        batch=64,
        rates=(0.03,),
        methods=("K-FAC, eigen", "RS-KFAC", "B-KFAC", "Adam"),
        schedule=replace(SCHEDULE, rank=8, stats_every=2, inv_every=4),
    ),
}


def refresh_cell(setting: Setting, data: Data, method: str, width: int) -> dict[str, Any]:
    """Median seconds of a refresh whose factors have seen a few batches; the first one apart, it is cold."""
    trainer = Trainer(
        "mlp",
        width,
        method,
        0.01,
        schedule=replace(setting.schedule, stats_every=1, inv_every=10**6),
        data=data.first(setting.batch * 4),
        batch=setting.batch,
        seed=0,
    )
    trainer.epoch()
    assert trainer.pre is not None
    engine, seconds = trainer.pre.engine, []
    for _ in range(4 if width <= 2048 else 2):
        begin = now()
        engine.refresh()
        seconds.append(now() - begin)
    return {"seconds": float(np.median(seconds[1:])), "first": seconds[0], "width": width, "method": method}


def exponent(widths: list[int], seconds: list[float]) -> float:
    """Slope of the logarithm of the seconds over that of the widths."""
    return float(np.polyfit(np.log(widths), np.log(seconds), 1)[0])


def refresh(cells: Cells, setting: Setting, data: Data) -> None:
    """The refresh at every width, for every method that has one."""
    print("seconds of a refresh by width of the network, and the exponent of the width over the upper half")
    for method in (name for name in CURVED if name in setting.methods and name != "B-KFAC"):
        found = [
            cells.run(
                f"refresh {method} {width}", lambda w=width, m=method: refresh_cell(setting, data, m, w)
            )
            for width in setting.refresh_widths
        ]
        seconds, widths = [cell["seconds"] for cell in found], list(setting.refresh_widths)
        half = len(widths) // 2 if len(widths) > 2 else 0
        text = "  ".join(f"{w}: {s * 1e3:.1f} ms" for w, s in zip(widths, seconds, strict=True))
        slope = exponent(widths[half:], seconds[half:])
        print(f"{method:16} {text}   exponent {slope:.2f}, over all {exponent(widths, seconds):.2f}")


def steps_cell(setting: Setting, data: Data) -> dict[str, Any]:
    """Seconds of a step by part, method after method in one process; the first step, a cold start, apart.

    As many steps as from one refresh to the next come after it, so that they hold one.
    """
    common = {"data": data, "batch": setting.batch, "schedule": setting.schedule, "seed": 0}
    trainers = {name: Trainer("mlp", setting.step_width, name, 0.01, **common) for name in setting.methods}
    rng = np.random.default_rng(0)
    for count in (1, setting.schedule.inv_every):
        for trainer in trainers.values():
            for _ in range(count):
                trainer.step(rng.choice(len(data.x), setting.batch, replace=False))
    return {
        "width": setting.step_width,
        "split": {name: trainer.clock.split(skip=1) for name, trainer in trainers.items()},
        "first refresh": {name: trainers[name].clock.steps[0]["refresh"] for name in trainers},
    }


def steps(cells: Cells, setting: Setting, data: Data, threads: int | None) -> None:
    """The table of parts, and the ratios that the bars are about."""
    found = cells.run(f"steps threads={threads or 'all'}", lambda: steps_cell(setting, data))["split"]
    print(f"milliseconds of a step, 784-{setting.step_width}-{setting.step_width}-10, batch {setting.batch}")
    print(f"{'':16} " + "  ".join(f"{part:>20}" for part in (*PARTS, "total")))
    for name, split in found.items():
        print(f"{name:16} " + "  ".join(f"{split[part] * 1e3:20.2f}" for part in (*PARTS, "total")))
    for name in ("RS-KFAC", "SRE-KFAC", "B-KFAC"):
        for rival in ("K-FAC, eigen", "K-FAC, Cholesky"):
            if name in found and rival in found:
                print(f"{name} / {rival}: {found[name]['total'] / found[rival]['total']:.2f}")


def train(cells: Cells, setting: Setting, data: Data) -> None:
    """Tune on the first seed and a subset, train every seed with what came out."""
    for kind, width in setting.nets:
        print(f"{kind}, width {width}")
        for method in setting.methods:

            def made(
                rate: float, seed: int, part: Data, m: str = method, k: str = kind, w: int = width
            ) -> Any:
                return Trainer(
                    k, w, m, rate, schedule=setting.schedule, data=part, batch=setting.batch, seed=seed
                )

            def tried(rate: float, make: Any = made) -> float:
                history = make(rate, 0, data.first(setting.tuned)).train(setting.tune_epochs)
                return float(history[-1]["loss"])

            rate = best_rate(cells, f"{kind} {width} {method}", setting.rates, tried)
            for seed in setting.seeds:
                key = f"train {kind} {width} {method} seed={seed}"

                def trained(r: float = rate, s: int = seed, k: str = key, make: Any = made) -> dict[str, Any]:
                    trainer = make(r, s, data)
                    history = trainer.train(setting.epochs, cells.checkpoint(k, "pt"))
                    return {"rate": r, "seed": s, "history": history}

                cells.run(key, trained)
        report(cells, setting, kind, width)


def report(cells: Cells, setting: Setting, kind: str, width: int) -> None:
    """Final losses with their spread over seeds, seconds an epoch, seconds to the target."""
    goal = f"s to {setting.target}"
    print(f"{'':16} {'rate':>6} {'loss':>8} {'spread':>8} {'accuracy':>9} {'s/epoch':>8} {goal:>10}")
    for method in setting.methods:
        runs = [cells[f"train {kind} {width} {method} seed={seed}"] for seed in setting.seeds]
        last = [run["history"][-1] for run in runs]
        losses = [end["loss"] for end in last]
        spread = np.std(losses, ddof=1) if len(losses) > 1 else np.nan
        pace = np.mean([epoch["seconds"] for run in runs for epoch in run["history"]])
        reached = [to_target(run["history"], setting.target) for run in runs]
        time_to = f"{np.mean(reached):10.1f}" if all(r is not None for r in reached) else f"{'-':>10}"
        print(
            f"{method:16} {runs[0]['rate']:6} {np.mean(losses):8.4f} {spread:8.4f} "
            f"{np.mean([end['accuracy'] for end in last]):9.3f} {pace:8.2f} {time_to}"
        )


def to_target(history: list[dict[str, float]], target: float) -> float | None:
    """Seconds of training to the end of the first epoch with that test accuracy."""
    spent = 0.0
    for epoch in history:
        spent += epoch["seconds"]
        if epoch["accuracy"] >= target:
            return spent
    return None


def main() -> None:
    """Run what the command line asks for."""
    options = arguments(__doc__, SETTINGS, ("refresh", "steps", "train"))
    setting = SETTINGS[options.setting]
    data = load(setting.count)
    cells = Cells(options.out, f"kfac_fashion_mnist-{options.setting}", data)
    if "refresh" in options.part:
        refresh(cells, setting, data)
    if "steps" in options.part:
        steps(cells, setting, data, options.threads)
    if "train" in options.part:
        train(cells, setting, data)
    import kfac_figures

    kfac_figures.draw(cells, setting)


if __name__ == "__main__":
    main()
