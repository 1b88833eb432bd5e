# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What was built, what it runs on, which optional packages are there."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
import sys
from dataclasses import asdict, dataclass, field

from randnla._backend.kernels import cuda, runtime

# Optional package -> (name of the distribution, extra that installs it, what it is for).
OPTIONAL = {
    "cupy": ("cupy", "gpu", "arrays on an NVIDIA GPU"),
    "torch": ("torch", "torch", "PyTorch tensors"),
    "jax": ("jax", "jax", "JAX arrays"),
    "dask": ("dask", "dask", "dask arrays"),
    "sklearn": ("scikit-learn", "learn", "the sample data of the demo"),
    "matplotlib": ("matplotlib", "plot", "figures"),
    "rich": ("rich", "cli", "progress bars and tables in the shell"),
}
# No device kernel has been run on a GPU.
CUDA_STATES = {
    "not built": "not built: this installation has no device kernels",
    "no driver": "no driver: device kernels were built, but the CUDA driver is absent or too old",
    "no device": "no device: device kernels were built, but no GPU is visible",
    "ready": "ready: device kernels were built and a GPU is there (arrays on it need CuPy)",
}


@dataclass(frozen=True)
class SystemInfo:
    """State of this installation; ``print`` shows it line by line.

    Attributes
    ----------
    version : str
        Version of randnla.
    python, numpy, scipy : str
        Versions in use.
    blas : str
        BLAS/LAPACK of the core with its configuration.
    threads : int
        Members of the next thread team.
    threading : str
        What the team is built on: ``openmp`` or ``std::thread``.
    instruction_set, instruction_set_best : str
        Level of the kernels in use, and the highest this processor has.
    compiler : str
        Compiler of the core.
    core : str
        File of the core.
    cuda : str
        State of the CUDA kernels.
    optional : dict of str to str
        Optional package -> its version, or why it is absent.
    """

    version: str
    python: str
    numpy: str
    scipy: str
    blas: str
    threads: int
    threading: str
    instruction_set: str
    instruction_set_best: str
    compiler: str
    core: str
    cuda: str
    optional: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Return plain data that ``json`` can write.

        Returns
        -------
        dict
            One entry for each attribute.
        """
        plain: dict[str, object] = json.loads(json.dumps(asdict(self)))
        return plain

    def __str__(self) -> str:
        rows = [
            ("randnla", self.version),
            ("python", f"{self.python}, NumPy {self.numpy}, SciPy {self.scipy}"),
            ("BLAS", self.blas),
            ("threads", f"{self.threads} ({self.threading})"),
            ("instruction set", f"{self.instruction_set} (this processor has {self.instruction_set_best})"),
            ("compiler", self.compiler),
            ("core", self.core),
            ("CUDA", self.cuda),
            *self.optional.items(),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def version() -> str:
    """Version of randnla, as compiled into the core."""
    return runtime.build_info()["version"]


def info() -> SystemInfo:
    """Describe this installation: versions, BLAS, threads, instruction set, optional packages.

    Nothing optional is imported: presence is read from the installed metadata.

    Returns
    -------
    SystemInfo
        Readable when printed; ``to_dict()`` gives plain data.

    Notes
    -----
    *Cost*: a few milliseconds, no array memory.

    Examples
    --------
    >>> import randnla
    >>> randnla.info().version == randnla.__version__
    True
    """
    build = runtime.build_info()
    return SystemInfo(
        version=build["version"],
        python=f"{platform.python_version()} on {sys.platform}",
        numpy=importlib.metadata.version("numpy"),
        scipy=importlib.metadata.version("scipy"),
        blas=f"{build['blas'].strip()}, kernels for {build['blas_core']}",
        threads=runtime.team_size(),
        threading=build["threading"],
        instruction_set=build["instruction_set"],
        instruction_set_best=build["instruction_set_best"],
        compiler=build["compiler"],
        core=str(runtime.core_path()),
        cuda=CUDA_STATES[cuda.state()],
        optional={name: optional_state(name) for name in OPTIONAL},
    )


def optional_state(name: str) -> str:
    """Return the version of an optional package, or why it is absent and how to get it."""
    distribution, extra, purpose = OPTIONAL[name]
    if importlib.util.find_spec(name) is None:
        return f"absent: not installed (needed for {purpose}); pip install 'randnla[{extra}]'"
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return _version_by_other_name(name)


def _version_by_other_name(name: str) -> str:
    """The version of a package whose distribution is not named as usual, such as cupy-cuda13x."""
    for distribution in importlib.metadata.packages_distributions().get(name, ()):
        return f"{importlib.metadata.version(distribution)} ({distribution})"
    loaded = getattr(sys.modules.get(name), "__version__", None)
    return "present, of unknown version" if loaded is None else str(loaded)
