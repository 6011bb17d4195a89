"""Objects above each other: light that has fallen and rises again is that of the next one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan
from statistics import fmean

# Shares of the most that was seen. On the nuclei of one training volume and two of dev, falls of .15 to .25 and rises
# of .1 to .2 did alike; without the mean over three planes noise ended walks through noisy nuclei (.65 became .60).
_FALL, _RISE = 0.15, 0.1


@dataclass(frozen=True, slots=True)
class Light:
    """How much of an object's contrast a walk has seen since its anchor, as shares of what its brightest anchor shows.

    Attributes
    ----------
    lately : tuple of float
        On the last two planes.
    peak, dip : float
        The most before it fell, and the least since; both are means over three planes.
    is_anothers : bool
        Whether it has risen again: the walk is in another object since the dip.
    """

    lately: tuple[float, float] = (1.0, 1.0)
    peak: float = 1.0
    dip: float = 1.0
    is_anothers: bool = False

    @classmethod
    def of_anchor(cls, share: float) -> Light:
        """Begin on an anchor that shows this share."""
        return cls((share, share), max(1.0, share), share)

    def after(self, contrast: float) -> Light:
        """Take one more step; then the mean around the last plane is known. NaN changes nothing."""
        if isnan(contrast):
            return self
        mean, lately = fmean((*self.lately, contrast)), (self.lately[1], contrast)
        has_fallen = self.dip < (1 - _FALL) * self.peak
        if mean > self.peak and not has_fallen:
            return Light(lately, mean, mean)
        is_anothers = has_fallen and mean > self.dip + _RISE * self.peak
        return replace(self, lately=lately, dip=min(self.dip, mean), is_anothers=is_anothers)
