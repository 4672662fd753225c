"""How many seats each priority level has for now: those that one does not need are lent to others. Pure.

A level keeps what it needs up to its nominal share, and never has less than what it does not lend; the rest
is dealt out in proportion to what each wants, up to what it may borrow. Upstream: KEP-1040, `conc_alloc.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import NamedTuple

TARGET_MIN = 0.001  # who wants nothing still has a proportion


class Claim(NamedTuple):
    """Seats of one level: its share of all, the least and the most that it may have, and what it wants."""

    nominal: int
    lower: int
    upper: int
    most: int  # that were wanted at once, lately
    smoothed: float  # that are wanted as a rule
    exempt: bool = False  # it takes what it wants

    @property
    def firm(self) -> int:
        """What it is to have, if there is enough for all."""
        return max(self.lower, self.most if self.exempt else min(self.nominal, self.most))


class Range(NamedTuple):
    """What one gets for the factor f is `f × target`, within the bounds."""

    lower: float
    upper: float
    target: float

    def at(self, factor: float) -> float:
        return max(self.lower, min(self.upper, factor * self.target))


def limits(claims: Sequence[Claim]) -> list[int]:
    """The seats of each, in the order of the claims."""
    others = [claim for claim in claims if not claim.exempt]
    total = sum(claim.nominal for claim in claims)
    left = total - sum(claim.firm for claim in claims if claim.exempt)
    least, firm = sum(claim.lower for claim in others), sum(claim.firm for claim in others)
    if left <= least:
        given = [float(claim.lower) for claim in others]
    elif left <= firm:
        part = (left - least) / (firm - least)
        given = [claim.lower + part * (claim.firm - claim.lower) for claim in others]
    else:
        given = allocate(total, [_range(claim) for claim in others])
    dealt = iter(given)
    return [claim.firm if claim.exempt else rounded(next(dealt)) for claim in claims]


def _range(claim: Claim) -> Range:
    return Range(claim.firm, claim.upper, max(claim.firm, claim.smoothed, TARGET_MIN))


def allocate(total: float, ranges: Sequence[Range]) -> list[float]:
    """Sums up to `total` with one factor for all, as far as the bounds allow."""
    # What is given in all grows with the factor, straight between each two that take some range to a bound.
    factors = sorted({bound / each.target for each in ranges for bound in (each.lower, each.upper)})
    if not factors or _sum(ranges, factors[0]) >= total:
        return [each.lower for each in ranges]
    below = factors[0]
    for above in factors[1:]:
        if (high := _sum(ranges, above)) >= total:
            low = _sum(ranges, below)
            factor = below + (above - below) * (total - low) / (high - low)
            return [each.at(factor) for each in ranges]
        below = above
    return [each.upper for each in ranges]


def _sum(ranges: Sequence[Range], factor: float) -> float:
    return sum(each.at(factor) for each in ranges)


def rounded(value: float) -> int:
    """Half goes up, as upstream's does for what is not negative."""
    return floor(value + 0.5)
