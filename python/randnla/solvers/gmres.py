# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""General square systems by GMRES in a sketched space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import BreakdownError
from randnla._backend.results import SolveResult
from randnla.lowrank.error import column_norms, frobenius
from randnla.lowrank.scaling import Array, in_units, real_dtype
from randnla.operators import as_operator
from randnla.sketching import SparseSign

from .guess import checked_guess, in_system
from .krylov.arnoldi import Product, SketchedArnoldi
from .preconditioners.choose import given_operator
from .system import System, backward_error, begin, warn_unless_converged

METHODS = ("rgs", "truncated")
DISTORTION = 4
"""Rows of the sketch over the dimension of the space: lengths are kept within a half."""

LAST = 4
"""Vectors that "truncated" orthogonalizes to."""

CHECK = 4
STALLED = 0.98
"""A cycle that leaves more than this of the residual made no progress."""


def gmres(
    A: Any,
    b: Any,
    *,
    method: str = "rgs",
    preconditioner: Any = None,
    restart: int = 100,
    tol: float | None = None,
    maxiter: int | None = None,
    x0: Any = None,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> SolveResult:
    """Solve ``A x = b`` for a square matrix of any kind known by its products.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (n, n)
        Real or complex, neither symmetric nor definite.
    b : array of shape (n,) or (n, k)
        Columns are solved for one after the other.
    method : {"rgs", "truncated"}
        How the basis of the Krylov space is kept independent. "rgs" makes the sketches of all vectors
        orthonormal, at half the work of Gram-Schmidt on the vectors. "truncated" orthogonalizes to the last
        four vectors alone, O(n) work a step; its basis decays, and the cycle ends when it does.
    preconditioner : operator, array or callable, optional
        M near the inverse of A, applied from the right to blocks (n, 1).
    restart : int, default 100
        The largest dimension of the space; memory is n times that, and 96 bytes n for the map.
    tol : float, optional
        Of ``|b_j - A x_j| / |b_j|``, every column; 1e-8, or 1e-4 of float32 input.
    maxiter : int, optional
        Steps a column, each one product; min(10 n, 10000) by default.
    x0 : array of the shape of b, optional
        First guess.
    rng : None, int, SeedSequence or Generator
        Of the sketches, one a cycle.
    check_finite : bool, default True
    max_memory : int, optional
        Bytes that blocks of a mapped A may take.
    callback : callable, optional
        Called with a dict of `iteration`, `residual` (relative, as the sketch sees it), `column` and `cycle`
        after each step.

    Returns
    -------
    SolveResult
        `x` of the shape of b, `info`: `residual` is the largest relative residual, computed anew from x;
        `error_estimate` the largest ``|r_j| / |x_j|``, the size of the least change of A that makes x_j
        exact; `condition` the largest condition of a basis, as its sketch has it, or a bound of that.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        A or b holds NaN or Inf.
    BreakdownError
        A product is not finite.

    Warns
    -----
    ConvergenceWarning
        A residual exceeds `tol`: two cycles made no progress, or `maxiter` was reached.

    Notes
    -----
    *Algorithm*: sketched GMRES, Nakatsukasa and Tropp (2024): y minimizes ``|S (r - A B y)|`` over the basis
    B of the Krylov space, for a sparse sign map S of four rows a dimension. Where S keeps lengths within a
    factor 1 -+ eps, the residual is at most ((1 + eps) / (1 - eps)) times that of GMRES, 3 for eps = 1/2.
    "rgs" builds B by randomized Gram-Schmidt, Balabanov and Grigori (2022). Residuals are computed
    anew before a column is called done; a cycle goes on while its basis has room, and ends early where
    its condition would cost the digits that `tol` asks for.

    *Cost*: a product, 2 n j flops ("truncated": 16 n) and two sketches of 8 n in step j; classical
    Gram-Schmidt done twice takes 8 n j.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> A = np.diag(np.linspace(1, 2, 500)) + np.diag(np.full(499, 0.3), 1)
    >>> found = randnla.gmres(A, np.ones(500), rng=0)
    >>> bool(np.linalg.norm(A @ found.x - 1) < 1e-8 * 500**0.5)
    True
    """
    validate.choice(method, METHODS, name="method")
    system = begin(
        A,
        b,
        tol=tol,
        maxiter=maxiter,
        rng=rng,
        check_finite=check_finite,
        max_memory=max_memory,
        callback=callback,
    )
    size = validate.integer(restart, name="restart", low=1)
    guess = checked_guess(system, x0)
    M = None if preconditioner is None else given_operator(system, preconditioner)
    n, k = system.B.shape
    size = min(size, n)
    if not _find_unit(system):
        raise BreakdownError("A: expected a regular matrix; it is zero as far as products tell")
    X = in_system(system, guess)
    solver = _Solver(system, M, size, None if method == "rgs" else LAST)
    for j in range(k):
        X[:, j : j + 1] = solver.column(j, X[:, j : j + 1])
    R = system.B - system.forward(X) if k and n else system.B
    return _finish(system, solver, X, R, method)


def _find_unit(system: System) -> bool:
    if not system.B.any():
        return True
    return bool(np.any(system.forward(np.ones((system.B.shape[0], 1), system.dtype)))) or bool(
        np.any(system.forward(system.B))
    )


@dataclass
class _Solver:
    """Cycles of a space of at most `size` dimensions."""

    system: System
    M: Any
    size: int
    truncate: int | None
    condition: float = 1.0
    cycles: int = 0
    most: int = 0  # steps of a column
    held: int = 0  # bytes of a map
    why: str = ""

    def _right(self, X: Array) -> Array:
        return X if self.M is None else np.array(self.M.matmat(X), self.system.dtype, order="F")

    def _product(self, X: Array) -> Array:
        return self.system.forward(self._right(X))

    def _sketch(self) -> Product:
        """A new map; none where it would not be shorter than the vectors."""
        system, n = self.system, self.system.B.shape[0]
        rows = DISTORTION * (self.size + 1)
        if rows >= n:
            return lambda X: X.copy()
        system.problem.sketch = "sparse_sign"
        S = SparseSign(rows, n, rng=system.problem.seed, stream=self.cycles, dtype=real_dtype(system.dtype))
        # Applied twice a step: its entries are held, not made anew, which takes a quarter of the time.
        entries = S.to_sparse().tocsr()
        self.held = entries.data.nbytes + entries.indices.nbytes
        map_ = as_operator(entries)
        return lambda X: np.asarray(map_.matmat(X))

    def column(self, j: int, x: Array) -> Array:
        """x with a residual below the tolerance, or the last one that was reached."""
        system = self.system
        b = system.B[:, j : j + 1]
        norm, steps, idle = frobenius(b), 0, 0
        r = b - system.forward(x) if x.any() else b.copy()
        left = frobenius(r)
        while norm > 0 and left > system.tol * norm and steps < system.maxiter and idle < 2:
            before = left
            x, r, taken = self._cycle(j, x, r, norm, system.maxiter - steps)
            left = frobenius(r)
            steps += taken
            idle = idle + 1 if left > STALLED * before else 0
        self.most = max(self.most, steps)
        if norm > 0 and left > system.tol * norm:
            self.why = "stagnation" if idle >= 2 else "more steps are needed (maxiter)"
        return x

    def _cycle(self, j: int, x: Array, r: Array, norm: float, steps: int) -> tuple[Array, Array, int]:
        system = self.system
        space = SketchedArnoldi(self._product, self._sketch(), r, self.size, self.truncate)
        self.cycles += 1
        # Rounding of u cond(B) is to stay below what the tolerance asks of this cycle.
        limit = max(1e3, 0.1 * system.tol * norm / (system.roundoff * frobenius(r)))
        target = 0.7 * system.tol * norm
        best = x, r
        while True:
            space.step()
            system.steps += 1
            system.report(residual=space.residual / norm, column=j, cycle=self.cycles)
            worn = space.columns % CHECK == 0 and self._worn(space, limit)
            full = space.columns >= min(self.size, steps)
            if not (space.residual <= target or worn or full or space.closed):
                continue
            new = x + self._right(space.solution())
            rest = system.B[:, j : j + 1] - system.forward(new)
            found = frobenius(rest)
            if found < frobenius(best[1]):
                best = new, rest
            if found <= system.tol * norm or worn or full or space.closed:
                self._worn(space, limit)
                return *best, space.columns
            target = 0.5 * min(target, space.residual * system.tol * norm / found)

    def _worn(self, space: SketchedArnoldi, limit: float) -> bool:
        found = space.condition()
        self.condition = max(self.condition, found)
        return found > limit


def _finish(system: System, solver: _Solver, X: Array, R: Array, method: str) -> SolveResult:
    norms, left = column_norms(system.B), column_norms(R)
    lengths = column_norms(X)
    relative = float(np.max(np.where(left > 0, left / np.where(norms > 0, norms, 1.0), 0.0), initial=0.0))
    error = backward_error(left, lengths)
    # |A| is at least |A x| / |x|.
    images = column_norms(system.B - R)
    size = float(np.max(images / np.where(lengths > 0, lengths, np.inf), initial=0.0))
    if solver.cycles:
        system.notes.append(f"{solver.cycles} cycle{'s' if solver.cycles > 1 else ''}")
    system.steps = solver.most
    n, real = X.shape[0], system.dtype.itemsize
    system.problem.hold(n * (solver.size + 6) * real + solver.held)
    info = system.account(
        method=method,
        error_estimate=in_units(error, system.exponent or 0),
        error_kind="backward",
        error_relative=error / size if size > 0 else float(error > 0),
        certificate="exact",
        converged=bool(relative <= system.tol),
        residual=relative,
        condition=solver.condition,
    )
    warn_unless_converged(system, info, "gmres", solver.why)
    return SolveResult(system.answer(X), info=info)
