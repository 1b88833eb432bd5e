# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a damping is added to: to each factor of a Kronecker product, or to the product itself."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.state import reading


@dataclass(frozen=True)
class Moments:
    """What a damping needs of a semidefinite factor.

    Attributes
    ----------
    mean : float
        Trace over dimension.
    largest : float
        The largest eigenvalue, or 0 where the damping does not ask for it (`Damping.spectral`).
    """

    mean: float
    largest: float


@dataclass(frozen=True)
class Shifts:
    """``(left factor + left I) kron (right factor + right I) + whole I``."""

    left: float
    right: float
    whole: float = 0.0


@dataclass(frozen=True)
class Damping:
    """A nonnegative number lambda and what it is added to; the kinds below say what.

    Raises
    ------
    InputError
        `value` is no number >= 0.
    """

    value: float
    joint: ClassVar[bool] = False  # added to the product: both factors are needed in eigenvectors
    spectral: ClassVar[bool] = False  # asks for largest eigenvalues

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", validate.real(self.value, name="damping", low=0.0))

    def with_value(self, value: float) -> Self:
        """The same kind of damping with another number."""
        return replace(self, value=value)

    def shifts(self, left: Moments, right: Moments) -> Shifts:
        """What is added to each factor and to their product."""
        raise NotImplementedError


class Tikhonov(Damping):
    """``(A + pi g I) kron (G + g / pi I)``, g = sqrt(lambda), pi^2 = (mean of A) / (mean of G).

    The factored Tikhonov damping of Martens and Grosse (2015, section 6.3). Where a factor is zero pi is 1.
    An L2 penalty is to be counted in lambda by the caller.

    Parameters
    ----------
    value : float
        lambda >= 0.

    Examples
    --------
    >>> from randnla.curvature import Moments, Tikhonov
    >>> four, one = (Moments(mean, 1.0) for mean in (4.0, 1.0))
    >>> Tikhonov(0.01).shifts(four, one)
    Shifts(left=0.2, right=0.05, whole=0.0)
    """

    def shifts(self, left: Moments, right: Moments) -> Shifts:
        """pi g to the left factor and g / pi to the right one."""
        root = math.sqrt(self.value)
        if not (left.mean > 0 and right.mean > 0):
            return Shifts(root, root)
        pi = math.sqrt(left.mean) / math.sqrt(right.mean)
        return Shifts(root * pi, root / pi)


class Exact(Damping):
    """``A kron G + lambda I``: needs eigenvectors, or low rank, on both sides.

    Parameters
    ----------
    value : float
        lambda >= 0.

    Examples
    --------
    >>> from randnla.curvature import Exact, Moments
    >>> one = Moments(1.0, 1.0)
    >>> Exact(0.01).shifts(one, one)
    Shifts(left=0.0, right=0.0, whole=0.01)
    """

    joint: ClassVar[bool] = True

    def shifts(self, left: Moments, right: Moments) -> Shifts:
        """All of it to the product."""
        return Shifts(0.0, 0.0, self.value)


class Relative(Damping):
    """``(A + lambda ||A|| I) kron (G + lambda ||G|| I)``, norms spectral: free of the scales of the factors.

    What the randomized K-FAC of Puiu (2022) uses with its RSVD solver. A zero factor is damped by lambda.

    Parameters
    ----------
    value : float
        lambda >= 0.

    Examples
    --------
    >>> from randnla.curvature import Moments, Relative
    >>> three, zero = (Moments(1.0, 3.0), Moments(0.0, 0.0))
    >>> Relative(0.5).shifts(three, zero)
    Shifts(left=1.5, right=0.5, whole=0.0)
    """

    spectral: ClassVar[bool] = True

    def shifts(self, left: Moments, right: Moments) -> Shifts:
        """lambda times the largest eigenvalue of each."""
        return Shifts(self.value * (left.largest or 1.0), self.value * (right.largest or 1.0))


class Absolute(Damping):
    """``(A + lambda I) kron (G + lambda I)``, as the SRE-KFAC of Puiu (2022) has it.

    Parameters
    ----------
    value : float
        lambda >= 0.

    Examples
    --------
    >>> from randnla.curvature import Absolute, Moments
    >>> one = Moments(1.0, 1.0)
    >>> Absolute(0.25).shifts(one, one)
    Shifts(left=0.25, right=0.25, whole=0.0)
    """

    def shifts(self, left: Moments, right: Moments) -> Shifts:
        """lambda to either factor."""
        return Shifts(self.value, self.value)


def damping_of(value: Damping | float) -> Damping:
    """A damping as it is; a number becomes `Relative`.

    Raises
    ------
    InputError
    """
    if isinstance(value, Damping):
        if type(value) is Damping:
            raise InputError("damping: expected Tikhonov, Exact, Relative or Absolute, got the base Damping")
        return value
    return Relative(value)


def written(damping: Damping) -> str:
    """A damping as text."""
    return json.dumps([type(damping).__name__, damping.value])


def read(text: str, like: Damping) -> Damping:
    """The damping of a text: of the kind of another, or of one of the kinds here.

    Raises
    ------
    StateError
    """
    with reading("damping"):
        name, value = json.loads(text)
        kinds = {kind.__name__: kind for kind in (Tikhonov, Exact, Relative, Absolute)}
        if name != type(like).__name__:
            like = kinds[name](0.0)
        return like.with_value(value)
