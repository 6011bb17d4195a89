"""A volume whose walks are known beforehand, for what scores and compares them."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_sam import Evidence, PlaneMask
from napari_sam.crops import Crop
from napari_sam.evaluation.walks import Volume

TRUTH = np.zeros((8, 30, 40), np.uint16)
TRUTH[1:7, 4:14, 5:15] = 1
TRUTH[2:5, 18:26, 20:36] = 2
IMAGE = np.broadcast_to(gaussian_filter(np.random.default_rng(0).random(TRUTH.shape[1:]), 2), TRUTH.shape)


class Walker:
    """A segmenter that finds the truth up to `reach` planes from a prompt, and the whole plane beyond.

    It is sure of what is true and doubts the rest; an object that is cut off by a range or a "not here" ends there.
    """

    def __init__(self, reach):
        self.labels = np.zeros_like(TRUTH)
        self.reach = reach
        self.walks = 0
        self.cache = SimpleNamespace(pixels=lambda plane, window: IMAGE[plane][window])

    def embed(self, planes=None):
        return iter(())

    def predict(self, prompt):
        return SimpleNamespace(masks=(TRUTH[prompt.plane] == prompt.object_id)[None])

    def propagate(self, prompts, *, start=None, stop=None, step=None, rules=None, neighbours=False):
        assert not self.labels.any()
        self.walks += 1
        self.labels[:] = 1
        for object_id in sorted({prompt.object_id for prompt in prompts}):
            own = [prompt for prompt in prompts if prompt.object_id == object_id]
            absent = [prompt.plane[0] for prompt in own if prompt.mask is not None and not prompt.mask]
            anchors = [prompt.plane[0] for prompt in own if prompt.plane[0] not in absent]
            first = max([start or 0, *(z + 1 for z in absent if z < min(anchors))])
            last = min([len(TRUTH) if stop is None else stop, *(z for z in absent if z > max(anchors))])
            for z in range(first, last):
                yield self._find(object_id, z, anchors)

    def _find(self, object_id, z, anchors):
        true = TRUTH[z] == object_id
        if z in anchors:
            return PlaneMask(object_id, (z,), Crop.of(true), 1.0, None, Evidence(predicted_iou=1.0))
        if min(abs(z - anchor) for anchor in anchors) <= self.reach and true.any():
            evidence = Evidence(predicted_iou=0.9, overlap=0.9, area_ratio=1.0)
            return PlaneMask(object_id, (z,), Crop.of(true), 0.9, None, evidence)
        evidence = Evidence(predicted_iou=0.5, overlap=0.2, area_ratio=3.0)
        return PlaneMask(object_id, (z,), Crop.of(np.ones_like(true)), 0.5, None, evidence)


@pytest.fixture
def volume():
    return Volume(Walker(reach=1), TRUTH)
