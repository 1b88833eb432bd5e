# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The conditions of a measurement: thread counts of everyone, and the machine in words."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from threadpoolctl import ThreadpoolController

FORCED_BLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_DEBUG_CPU_TYPE", "RANDNLA_ISA")


class MissingError(Exception):
    """A name of ours that is measured here does not exist (yet)."""


def find(module: str, name: str) -> Any:
    """Our object `name` of `module`; MissingError where it does not exist."""
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise MissingError(f"{module}.{name}") from error


def has_tiles() -> bool:
    """Whether our kernels use AMX tiles here: some goals are of them."""
    try:
        return str(find("randnla", "info")().to_dict()["instruction_set"]) == "amx"
    except MissingError:
        return False


@contextmanager
def thread_limit(n: int) -> Iterator[None]:
    """Give our team, every BLAS and OpenMP pool of the peers, and torch if loaded, the same `n` threads."""
    torch = sys.modules.get("torch")
    set_ours: Callable[[int], None] = find("randnla", "set_num_threads")
    # Our private BLAS stays at one thread: its products are tiled over our own team.
    pools = [p for p in ThreadpoolController().lib_controllers if "randnla" not in p.filepath]
    before = [(pool, pool.num_threads) for pool in pools]
    torch_before = torch.get_num_threads() if torch else 0
    set_ours(n)
    if torch:
        torch.set_num_threads(n)
    for pool in pools:
        pool.set_num_threads(n)
    try:
        yield
    finally:
        for pool, threads in before:
            pool.set_num_threads(threads)
        if torch:
            torch.set_num_threads(torch_before)
        set_ours(0)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else platform.processor()
    except OSError:
        return platform.processor()


def _versions() -> str:
    import numpy
    import scipy
    import sklearn
    import torch

    return (
        f"numpy {numpy.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, "
        f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}, "
        f"MKL {'yes' if torch.backends.mkl.is_available() else 'no'})"
    )


def machine() -> dict[str, Any]:
    """Processor, BLAS kernels in use, versions and load, to be printed beside every figure."""
    import_module("scipy.linalg")
    build = find("randnla", "info")().to_dict()
    pools = [
        f"{p.prefix}:{getattr(p, 'architecture', None) or p.version}"
        for p in ThreadpoolController().lib_controllers
        if p.user_api == "blas"
    ]
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "blas": pools,
        "versions": _versions(),
        "randnla": build,
        "load": os.getloadavg()[0],
    }


def warnings() -> list[str]:
    """What makes figures taken now doubtful."""
    found = [
        f"{name}={os.environ[name]} is set: it changes the peers' kernels; unset it"
        for name in FORCED_BLAS
        if name in os.environ
    ]
    load = os.getloadavg()[0]
    if load > 0.5:
        found.append(f"load average {load:.1f}: others use this machine, figures of 2 threads are doubtful")
    return found
