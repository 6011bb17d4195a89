"""How good a model is on what was held out: mean IoU from clicks and from a box, each on its plane."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.evaluation.scores import plane_targets, score_planes
from napari_sam.training.planes import EncodedPair

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam.evaluation.scores import Score, Target
    from napari_sam.model.sam import Sam
    from napari_sam.training.pairs import Pair

WAYS = ("1 click", "3 clicks", "box")


def validate(
    sam: Sam, pairs: Sequence[Pair], *, cache: Path | None = None, objects: int = 60, seed: int = 0
) -> dict[str, float]:
    """Score a model as `sam-stacks evaluate` does.

    Parameters
    ----------
    sam : Sam
        The model.
    pairs : sequence of Pair
        What was held out; only their ``planes`` are looked at.
    cache : Path or None
        Folder of the embeddings. None: in memory.
    objects : int
        The most that are scored, drawn over all pairs.
    seed : int
        Of the draw.

    Returns
    -------
    dict of str to float
        Mean IoU by way of prompting: one click, three clicks, a box. Empty without pairs.
    """
    ious: dict[str, list[float]] = defaultdict(list)
    for index, targets in _draw_targets(pairs, objects, seed).items():
        for score in _score(sam, pairs[index], targets, cache):
            ious[score.way].append(score.iou)
    return {way: float(np.mean(ious[way])) for way in WAYS if way in ious}


def _draw_targets(pairs: Sequence[Pair], count: int, seed: int) -> dict[int, list[Target]]:
    """Draw objects over all pairs, as lists by the index of the pair."""
    found = [
        (index, target)
        for index, pair in enumerate(pairs)
        for target in plane_targets(pair.labels)
        if target.plane in pair.planes
    ]
    chosen = np.random.default_rng(seed).permutation(len(found))[:count]
    targets: dict[int, list[Target]] = defaultdict(list)
    for index, target in (found[i] for i in sorted(chosen)):
        targets[index].append(target)
    return targets


def _score(sam: Sam, pair: Pair, targets: Sequence[Target], cache: Path | None) -> list[Score]:
    return list(score_planes(EncodedPair.open(pair, sam, cache).cache, pair.labels, targets))
