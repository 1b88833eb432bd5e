# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The singular value decomposition of a matrix that passes by once."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.results import Estimate, ScreeResult, SVDResult
from randnla._backend.rng import seed_from

from . import error
from .blocks import stream_dtype
from .linear_sketch import KINDS, LinearSketch
from .reconstruct import (
    METHODS,
    account,
    certify,
    default_oversample,
    error_with_spread,
    reconstruct,
    sizes_for,
)
from .scaling import fix_signs, real_dtype, restore
from .sketched_matrix import SketchedMatrix


class StreamingSVD(SketchedMatrix):
    """Truncated SVD of a matrix that is given as a sum of pieces, each of which is seen once.

    Parameters
    ----------
    shape : (int, int)
        m and n of the matrix A, which is zero at first.
    rank : int
        Number of triplets k, 0 <= k <= min(m, n).
    method : {"tyuc17", "sketchy", "generalized_nystrom", "nystrom", "hmt"}
        The sketches that are kept and how factors are made of them. "nystrom" is for symmetric
        (Hermitian) positive semidefinite matrices. "hmt" is there for comparison: on a low-rank matrix
        in noise it is several times off the best error where the others stay below twice.
    oversample : int or "auto"
        Columns of the range sketch beyond the rank; "auto" makes three times the rank (plus 10 at least).
    sketch : {"auto", "gaussian", "sign", "sparse_sign", "countsketch"}
        Random maps; "auto" is "gaussian". Sparse ones cost less for sparse blocks.
    probes : int, default 10
        Rows of the error sketch.
    dtype : float32, float64, complex64 or complex128
        Of the sketches and factors. Blocks of other precision are converted.
    rng : int, SeedSequence, Generator or None
        Workers whose sketches are to be merged need one seed: pass the same integer.

    Attributes
    ----------
    shape, rank, method, dtype, seed, sizes

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    Every update is made whole or not at all: a block that does not fit, or holds NaN or Inf, leaves all
    bits as they were. Blocks are arrays of any kind on the host, sparse matrices, operators or row streams.

    *Algorithm*: "tyuc17": Tropp, Yurtsever, Udell and Cevher (2017), Algorithm 7. "sketchy": the same (2019),
    Algorithm 4. "generalized_nystrom": Nakatsukasa (2020). "nystrom": Tropp et al. (2017b), Algorithm 3.
    "hmt": Halko, Martinsson and Tropp (2011), section 5.5. The error sketch is that of Tropp et al. (2019),
    section 6, with its exact law.

    *Cost*: with l = rank + oversample columns, 2 (l + l') flops and 2 l s more for a core sketch, for each
    entry of a block (stored entry, if sparse): l' = 2 l + 1, l, 1.5 l, 0, l and s = 2 l + 1 ("sketchy").
    The maps are made anew for every block, (l + l') numbers a row and column of it: give blocks of some
    hundred rows rather than single ones. `result` costs O((m + n) l^2). Memory: l m + (l' + probes) n + s^2
    numbers, and once more the part that a block touches during its update.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> A = np.random.default_rng(0).standard_normal((300, 5)) @ np.ones((5, 200))
    >>> stream = randnla.StreamingSVD(A.shape, 3, rng=0)
    >>> for start in range(0, 300, 50):
    ...     stream.update(A[start : start + 50], rows=slice(start, start + 50))
    >>> U, s, Vh = stream.result()
    >>> bool(np.allclose((U * s) @ Vh, A))
    True
    """

    _KIND = "StreamingSVD"
    _TYPES: ClassVar[dict[str, type]] = {
        "method": str,
        "sketch": str,
        "dtype": str,
        "m": int,
        "n": int,
        "rank": int,
        "oversample": int,
        "probes": int,
        "seed": int,
        "shift": int,
        "empty": bool,
        "range": np.ndarray,
        "corange": np.ndarray,
        "core": np.ndarray,
        "error": np.ndarray,
    }

    def __init__(
        self,
        shape: tuple[int, int],
        rank: int,
        *,
        method: str = "tyuc17",
        oversample: int | str = "auto",
        sketch: str = "auto",
        probes: int = 10,
        dtype: Any = np.float64,
        rng: Any = None,
    ) -> None:
        if not isinstance(shape, (tuple, list)) or len(shape) != 2:
            raise InputError(f"shape: expected two integers, got {validate.shown(shape)}")
        m, n = (validate.integer(size, name=f"shape[{i}]", low=1) for i, size in enumerate(shape))
        self.method = validate.choice(method, tuple(METHODS), name="method")
        if self.method == "nystrom" and m != n:
            raise InputError(f"shape: method='nystrom' needs a square matrix, got {(m, n)}")
        self.rank = validate.rank(rank, min(m, n))
        if isinstance(oversample, str):
            validate.choice(oversample, ("auto",), name="oversample")
            oversample = default_oversample(self.rank)
        self.oversample = validate.oversample(oversample)
        validate.choice(sketch, ("auto", *KINDS), name="sketch")
        probes = validate.integer(probes, name="probes", low=1)
        sizes = sizes_for(self.method, self.rank, self.oversample, (m, n), probes)
        kind = "gaussian" if sketch == "auto" else sketch
        self._sketch = LinearSketch((m, n), stream_dtype(dtype), seed_from(rng), kind, sizes)

    def merge(self, other: StreamingSVD) -> None:
        """``A += other``: the sketch of the sum of the matrices that two workers saw.

        Raises
        ------
        InputError
            `other` has another shape, rank, method, oversample, sketch, probes, dtype or seed.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> workers = [randnla.StreamingSVD((4, 3), 1, rng=7) for _ in range(2)]
        >>> for worker, rows in zip(workers, (slice(0, 2), slice(2, 4))):
        ...     worker.update(np.ones((2, 3)), rows=rows)
        >>> workers[0].merge(workers[1])
        >>> bool(np.allclose(workers[0].result().to_dense(), 1))
        True
        """
        if not isinstance(other, StreamingSVD):
            raise InputError(f"other: expected a StreamingSVD, got {type(other).__name__}")
        for key, mine in self._parameters().items():
            theirs = other._parameters()[key]
            if mine != theirs:
                hint = "; give all workers one integer as rng" if key == "seed" else ""
                raise InputError(f"other: expected {key}={mine!r}, got {theirs!r}{hint}")
        self._sketch.merge(other._sketch)

    # -- what it knows -----------------------------------------------------------------------------------

    def result(self) -> SVDResult:
        """The rank-k SVD of the matrix so far.

        Returns
        -------
        SVDResult
            U (m, k), s (k,) descending, Vh (k, n), `info` with the certificate of the error sketch.

        Raises
        ------
        BreakdownError
            "nystrom" only: the matrix is far from positive semidefinite.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> stream = randnla.StreamingSVD((60, 40), 5, rng=0)
        >>> A = np.diag(0.5 ** np.arange(60.0))[:, :40]
        >>> stream.update(A)
        >>> found = stream.result()
        >>> bool(np.linalg.norm(A - found.to_dense()) <= found.info.error_estimate)
        True
        """
        found = reconstruct(self._sketch, self.method, self.rank)
        fix_signs(found.U, found.V)
        s = restore(found.s[: self.rank], found.exponent, real_dtype(self.dtype))
        return SVDResult(found.U, s, found.V.conj().T, info=account(self._sketch, found, self.method, None))

    def error_estimate(self, failure_probability: float | None = None) -> Estimate:
        """The Frobenius error of `result`, estimated from the error sketch.

        Parameters
        ----------
        failure_probability : float, optional
            Of the bound in ``info.error_estimate``; 1e-4 unless given.

        Returns
        -------
        Estimate
            value^2 is an unbiased estimate of the squared error; `std_error` is that of value.

        Notes
        -----
        *Algorithm*: Tropp, Yurtsever, Udell and Cevher (2019), section 6: ||Theta (A - A_k)||_F^2 / q for q
        Gaussian rows that took no part in the factors. It is a sum of chi-square variables of q degrees, from
        which the bound follows.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> stream = randnla.StreamingSVD((60, 40), 5, rng=0)
        >>> stream.update(np.diag(0.5 ** np.arange(60.0))[:, :40])
        >>> error = stream.error_estimate(failure_probability=0.01)
        >>> error.value < error.info.error_estimate, error.info.failure_probability
        (True, 0.01)
        """
        if failure_probability is not None:
            failure_probability = _failure(failure_probability)
        found = reconstruct(self._sketch, self.method, self.rank)
        value, spread = error_with_spread(found)
        return Estimate(value, spread, info=account(self._sketch, found, self.method, failure_probability))

    def scree(self, failure_probability: float | None = None) -> ScreeResult:
        """Brackets of the best error of every rank up to the size of the sketch.

        Parameters
        ----------
        failure_probability : float, optional
            That one of the brackets misses; 1e-4 unless given.

        Returns
        -------
        ScreeResult
            ``lower[r] <= (sum_{j > r} sigma_j^2)^(1/2) <= upper[r]`` for r = 0, ..., l.

        Notes
        -----
        *Algorithm*: Tropp, Yurtsever, Udell and Cevher (2019), section 6.5, with brackets that are certified:
        by Mirsky's theorem the tails of A and of its untruncated approximation differ by at most the error
        of the latter, whatever the rank.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> stream = randnla.StreamingSVD((60, 40), 5, rng=0)
        >>> stream.update(np.diag(np.arange(60.0) < 8)[:, :40].astype(float))
        >>> lower, upper = stream.scree()
        >>> bool(lower[3] <= 5**0.5 <= upper[3]), bool(upper[8] < 1e-12)
        (True, True)
        """
        if failure_probability is not None:
            failure_probability = _failure(failure_probability)
        found = reconstruct(self._sketch, self.method, None)
        bound, _, _ = certify(self._sketch, found, "frobenius", failure_probability)
        tails = error.truncation_errors(found.s, "frobenius")
        lower, upper = (np.ldexp(x, found.exponent) for x in (np.maximum(tails - bound, 0.0), tails + bound))
        return ScreeResult(lower, upper, info=account(self._sketch, found, self.method, failure_probability))

    # -- state -------------------------------------------------------------------------------------------

    def _parameters(self) -> dict[str, Any]:
        m, n = self.shape
        return {
            "m": m,
            "n": n,
            "rank": self.rank,
            "method": self.method,
            "oversample": self.oversample,
            "sketch": self._sketch.kind,
            "probes": self.sizes.probes,
            "dtype": self.dtype.name,
            "seed": self.seed,
        }

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `from_state_dict` goes on, bit for bit.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> stream = randnla.StreamingSVD((4, 3), 1, rng=0)
        >>> again = randnla.StreamingSVD.from_state_dict(stream.state_dict())
        >>> for one in (stream, again):
        ...     one.update(np.ones((4, 3)))
        >>> np.array_equal(stream.result().U, again.result().U)
        True
        """
        empty = np.zeros((0, 0), self.dtype)
        held = {"corange": empty, "core": empty, **self._sketch.arrays}
        return plain_state.seal(
            {
                "kind": self._KIND,
                **self._parameters(),
                "shift": self._sketch.shift,
                "empty": self._sketch.empty,
                **{key: array.copy() for key, array in held.items()},
            }
        )

    @classmethod
    def from_state_dict(cls, state: Any) -> Self:
        """The stream a state describes; all fields are checked before anything is made.

        Raises
        ------
        StateError
            A field is missing, unknown, of another version or altered; the message names it.

        Examples
        --------
        >>> import randnla
        >>> stream = randnla.StreamingSVD((4, 3), 1, rng=0)
        >>> randnla.StreamingSVD.from_state_dict(stream.state_dict())
        StreamingSVD((4, 3), 1, method='tyuc17', dtype=float64, rng=0)
        """
        fields = plain_state.opened(state, cls._KIND, cls._TYPES)
        try:
            made = cls(
                (fields["m"], fields["n"]),
                fields["rank"],
                rng=fields["seed"],
                **{key: fields[key] for key in ("method", "oversample", "sketch", "probes", "dtype")},
            )
        except InputError as problem:
            raise StateError(f"state: {problem}") from problem
        sketch = made._sketch
        if fields["shift"] not in sketch.shifts:
            raise StateError(f"shift: expected one of {sketch.shifts}, got {fields['shift']}")
        shapes = {"corange": (0, 0), "core": (0, 0), **sketch.sizes.arrays(sketch.shape)}
        arrays = {key: plain_state.array_of(fields, key, shapes[key], sketch.dtype) for key in shapes}
        sketch.arrays = {key: arrays[key] for key in sketch.arrays}
        sketch.shift, sketch.empty = fields["shift"], fields["empty"]
        return made

    def __reduce__(self) -> Any:
        return (type(self).from_state_dict, (self.state_dict(),))

    def __repr__(self) -> str:
        m, n = self.shape
        kind = f"method={self.method!r}, dtype={self.dtype.name}, rng={self.seed}"
        return f"StreamingSVD(({m}, {n}), {self.rank}, {kind})"


def _failure(value: Any) -> float:
    number = validate.tolerance(value, name="failure_probability")
    if number > 0.5:
        raise InputError(f"failure_probability: expected at most 0.5, got {number}")
    return number
