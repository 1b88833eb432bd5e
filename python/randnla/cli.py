# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The command ``randnla``: info, demo, svd, pca, cur, lstsq.

Exit status: 0 done; 1 a computation failed; 2 bad usage or bad input; 130 interrupted. What went wrong
is one line on standard error. An output file is whole or not written at all.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from randnla._backend.system import SystemInfo

BAD_INPUT = 2
FAILED = 1
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message} (try {self.prog} --help)\n")


def build_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(prog="randnla", description="Randomized linear algebra with certified results.")
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    info = commands.add_parser(
        "info", help="tell versions, BLAS, threads, instruction set, optional packages"
    )
    info.add_argument("--json", action="store_true", help="print one JSON object")

    demo = commands.add_parser("demo", help="compress images, analyze digits, time against other libraries")
    demo.add_argument(
        "--out", type=Path, default=Path("demo-output"), metavar="DIR", help="folder of the figures"
    )
    demo.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)  # small sizes, for the tests

    formats = "INPUT is a matrix in a .npy, .npz (scipy.sparse.save_npz), .mtx or .csv file."
    svd = commands.add_parser(
        "svd", help="truncated singular value decomposition of a file", description=formats
    )
    add_decomposition_arguments(svd)
    svd.add_argument("--tol", type=float, help="relative Frobenius error to certify; then --rank is a cap")
    cur = commands.add_parser("cur", help="columns, rows and core of a file", description=formats)
    add_decomposition_arguments(cur)
    cur.add_argument("--tol", type=float, help="relative Frobenius error to certify; then --rank is a cap")
    pca = commands.add_parser(
        "pca", help="principal components of a file, rows are samples", description=formats
    )
    add_decomposition_arguments(pca)
    pca.add_argument("--tol", type=float, help="relative Frobenius error to certify; then --rank is a cap")
    pca.add_argument("--whiten", action="store_true", help="scale the scores to unit variance")
    add_lstsq(commands.add_parser("lstsq", help="least squares of two files", description=formats))
    return parser


def add_lstsq(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``randnla lstsq``."""
    parser.add_argument("input", type=Path, metavar="INPUT", help="file of the matrix")
    parser.add_argument("right", type=Path, metavar="B", help="file of the right-hand sides, as columns")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.npz", help="file of the solution")
    parser.add_argument("--method", default="auto", help="route to take (default: auto)")
    parser.add_argument("--damp", type=float, default=0.0, help="weight of the norm of the solution")
    parser.add_argument("--tol", type=float, help="relative backward error to certify")
    parser.add_argument("--seed", type=int, help="replay a run: the seed it reported")
    parser.set_defaults(plot=False)


def add_decomposition_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that the decompositions share."""
    parser.add_argument("input", type=Path, metavar="INPUT", help="file of the matrix")
    parser.add_argument("--rank", type=int, metavar="K", help="number of components")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.npz", help="file of the factors")
    parser.add_argument("--method", default="auto", help="route to take (default: auto)")
    parser.add_argument("--seed", type=int, help="replay a run: the seed it reported")
    parser.add_argument("--plot", action="store_true", help="write a figure beside OUT, OUT.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    try:
        return run(arguments)
    except KeyboardInterrupt:
        print("randnla: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away: there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def run(arguments: Sequence[str] | None) -> int:
    """Parse, dispatch and turn exceptions into one line and a status."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.version:
        import randnla

        print(randnla.__version__)
        return 0
    if options.command is None:
        parser.error("a command is needed: info, demo, svd, pca, cur or lstsq")
    commands = {
        "info": run_info,
        "demo": run_demo,
        "svd": run_svd,
        "pca": run_pca,
        "cur": run_cur,
        "lstsq": run_lstsq,
    }
    name = f"randnla {options.command}"
    try:
        commands[options.command](options)
    except BrokenPipeError:
        raise
    except OSError as error:
        return complain(name, f"{error.filename or options.command}: {error.strerror or error}", BAD_INPUT)
    except (ValueError, ImportError) as error:
        # InputError is a ValueError, but so are LAPACK's failures.
        import numpy as np

        from randnla._backend.errors import InputError

        failed = isinstance(error, np.linalg.LinAlgError) and not isinstance(error, InputError)
        return complain(name, str(error), FAILED if failed else BAD_INPUT)
    except MemoryError as error:
        return complain(name, f"not enough memory: {error}", FAILED)
    sys.stdout.flush()
    return 0


def complain(name: str, message: str, status: int) -> int:
    """Say what went wrong on one line."""
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    return status


def run_info(options: argparse.Namespace) -> None:
    """``randnla info``."""
    import randnla

    info: SystemInfo = randnla.info()
    print(json.dumps(info.to_dict(), indent=2) if options.json else info)


def run_demo(options: argparse.Namespace) -> None:
    """``randnla demo``."""
    from randnla import demo

    options.out.mkdir(parents=True, exist_ok=True)
    demo.run(options.out, size="quick" if options.quick else "full")


def run_svd(options: argparse.Namespace) -> None:
    """``randnla svd``."""
    import randnla

    matrix = open_job(options)
    result, seconds = timed(
        randnla.svd, matrix, options.rank, tol=options.tol, method=options.method, rng=options.seed
    )
    finish(options, matrix, result, seconds, ("U", "s", "Vh"), ("s", "Singular values"))


def run_pca(options: argparse.Namespace) -> None:
    """``randnla pca``."""
    import randnla

    matrix = open_job(options)
    choices = {"tol": options.tol, "method": options.method, "rng": options.seed, "whiten": options.whiten}
    result, seconds = timed(randnla.pca, matrix, options.rank, **choices)
    fields = ("components", "explained_variance", "explained_variance_ratio", "mean", "scores")
    finish(options, matrix, result, seconds, fields, ("explained_variance", "Explained variance"))


def run_cur(options: argparse.Namespace) -> None:
    """``randnla cur``."""
    import randnla
    from randnla._backend.errors import InputError

    if options.plot:
        raise InputError("--plot: a CUR decomposition has no spectrum to draw")
    matrix = open_job(options)
    result, seconds = timed(
        randnla.cur, matrix, options.rank, tol=options.tol, method=options.method, rng=options.seed
    )
    finish(options, matrix, result, seconds, ("C", "U", "R", "rows", "columns"), ("U", "Core"))


def run_lstsq(options: argparse.Namespace) -> None:
    """``randnla lstsq``."""
    import randnla

    matrix = open_job(options)
    result, seconds = timed(
        randnla.lstsq,
        matrix,
        load_right_side(options.right),
        method=options.method,
        damp=options.damp,
        tol=options.tol,
        rng=options.seed,
    )
    finish(options, matrix, result, seconds, ("x",), ("x", "Solution"))


def load_right_side(path: Path) -> Any:
    """A vector in a .npy file, or a matrix of columns in any file."""
    import numpy as np

    from randnla import datasets

    if path.suffix == ".npy" and path.is_file():
        try:
            vector = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError):
            vector = None  # the reader of matrices says what is wrong
        if vector is not None and vector.ndim == 1:
            return vector
    return datasets.load_matrix(path)


def finish(
    options: argparse.Namespace,
    matrix: Any,
    result: Any,
    seconds: float,
    fields: Sequence[str],
    plotted: tuple[str, str],
) -> None:
    """Draw, write and report a result; nothing is written before the figure has been drawn."""
    drawn = b""
    if options.plot:
        from randnla.demo import figures

        field, title = plotted
        drawn = figures.render(figures.spectrum(getattr(result, field), title, options.input.name))
    save_result(options.out, result, fields)
    if drawn:
        from randnla._backend.files import atomic_file

        with atomic_file(plot_path(options)) as stream:
            stream.write(drawn)
    report(options, matrix, result, seconds)


def open_job(options: argparse.Namespace) -> Any:
    """Refuse what cannot succeed before any work is done, then read the matrix."""
    from randnla import datasets
    from randnla._backend.errors import InputError

    out: Path = options.out
    if out.suffix != ".npz":
        raise InputError(f"--out must end in .npz, got {out}")
    if out.is_dir():
        raise InputError(f"--out is a directory: {out}")
    if not out.parent.is_dir():
        raise InputError(f"--out lies in a directory that does not exist: {out.parent}")
    if not os.access(out.parent, os.W_OK):
        raise InputError(f"--out lies in a directory that cannot be written: {out.parent}")
    for given in (options.input, getattr(options, "right", options.input)):
        if out.exists() and given.exists() and out.samefile(given):
            raise InputError(f"--out would replace the input: {out}")
    if options.command != "lstsq" and options.rank is None and getattr(options, "tol", None) is None:
        raise InputError("--rank or --tol is needed")
    if options.plot:
        if plot_path(options).is_dir():
            raise InputError(f"--plot would write to a directory: {plot_path(options)}")
        datasets.need("matplotlib", "matplotlib")
    return datasets.load_matrix(options.input)


def plot_path(options: argparse.Namespace) -> Path:
    """Where ``--plot`` writes."""
    out: Path = options.out
    return out.with_suffix(".png")


def timed(function: Any, *arguments: Any, **keywords: Any) -> tuple[Any, float]:
    """Call the function, print its warnings as plain lines, return its result and the seconds it took."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begin = time.perf_counter()
        result = function(*arguments, **keywords)
        seconds = time.perf_counter() - begin
    for warning in caught:
        print(f"warning: {' '.join(str(warning.message).split())}", file=sys.stderr)
    return result, seconds


def save_result(path: Path, result: Any, fields: Sequence[str]) -> None:
    """Write the factors and the info (as JSON text) to an npz file, whole or not at all."""
    import numpy as np

    from randnla._backend.files import atomic_file

    values = {name: getattr(result, name) for name in fields}
    # k rows or columns of a sparse matrix are written as an array.
    arrays = {
        name: value.toarray() if hasattr(value, "toarray") else np.asarray(value)
        for name, value in values.items()
        if value is not None
    }
    with atomic_file(path) as stream:
        np.savez(stream, **arrays, info=np.array(json.dumps(result.info.to_dict())))  # type: ignore[arg-type]


def report(options: argparse.Namespace, matrix: Any, result: Any, seconds: float) -> None:
    """Print what was computed, how well, and under which conditions."""
    import randnla

    info, system = result.info, randnla.info()
    rows = [
        ("input", f"{options.input}: {matrix.shape[0]} x {matrix.shape[1]} {matrix.dtype}"),
        ("rank", f"{info.rank}, method {info.method}, seed {info.seed}"),
        ("error", describe_certificate(info)),
        ("time", f"{seconds:.3g} s on {system.threads} threads, {system.blas.split(',')[0]}"),
        ("output", str(options.out) + (f", {plot_path(options)}" if options.plot else "")),
    ]
    for name, value in rows:
        print(f"{name:<7} {value}")


def describe_certificate(info: Any) -> str:
    """The certificate of a result in words."""
    if info.error_relative is None:
        return "no certificate"
    kind = "backward error" if info.error_kind == "backward" else f"{info.error_kind} norm"
    text = f"{info.error_relative:.3g} of the norm of the input, {kind}"
    if info.failure_probability:
        text += f", exceeded with probability at most {info.failure_probability:.0e}"
    return text + ("" if info.converged is not False else " (the tolerance was not reached)")


if __name__ == "__main__":
    sys.exit(main())
