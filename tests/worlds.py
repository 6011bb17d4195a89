"""Made-up worlds in which the model sees the truth, or a known error, so that only a walk can be wrong."""

from dataclasses import replace

import numpy as np

from napari_sam.crops import Crop
from napari_sam.image import Frame
from napari_sam.labels import write_masks
from napari_sam.propagation import propagate
from napari_sam.step import PlaneState
from napari_sam.views import Decoded

SIDE = 16
FRAME = Frame((SIDE, SIDE), (SIDE, SIDE), (SIDE, SIDE))


def as_logits(mask):
    return np.where(mask, 8, -8).astype(np.float32)


def state(mask, plane, object_id, score=0.9):
    logits = Crop.around(as_logits(mask), mask, outside=-8)
    return PlaneState(object_id, plane, Crop.of(mask), score, logits, FRAME)


def anchor(truth, plane, object_id):
    return state(truth[plane] == object_id, plane, object_id)


class World:
    """Truth, labels and a model that segments what lies under the first point of a prompt."""

    def __init__(self, truth):
        self.truth = truth
        self.labels = np.zeros_like(truth)
        self.encoded = []
        self.batches = []

    def decode(self, plane, prompts, mask_input):
        self.encoded.append(plane)
        self.batches.append((plane, len(prompts)))
        told = [None if given is None else given.low_res_logits for given in mask_input]
        return [Decoded(*self.see(plane, *each), FRAME) for each in zip(prompts, told, strict=True)]

    def see(self, plane, prompt, logits):
        row, column = (int(x) for x in prompt.points[0])
        under = self.truth[plane][row, column]
        return as_logits((self.truth[plane] == under) & (under != 0)), 0.9 if under else 0.1

    def click(self, plane, prompts):
        return self.decode(plane, prompts, [None] * len(prompts))

    def follow(self, plane, states):
        """Nothing moves."""
        return [replace(each, plane=plane) for each in states]

    def contrast(self, plane, mask, *, least=0.0):
        """Objects are as bright as the part of them that is there."""
        return np.array([(self.truth[plane][mask.full()] > 0).mean()])

    def stands_apart(self, plane, mask):
        return False

    def resemblance(self, plane, other):
        return 1.0 if self.truth[plane].any() == self.truth[other].any() else 0.0

    def walk(self, anchors, *, axis=0, start=0, stop=None, **options):
        positions = range(start, self.truth.shape[axis] if stop is None else stop)
        get_labels = self.labels.__getitem__
        ids = {each.object_id for each in anchors}
        for found in propagate(anchors, self, axis=axis, positions=positions, get_labels=get_labels, **options):
            write_masks(self.labels, found[0].plane, {each.object_id: each.crop for each in found}, outdated=ids)
            yield from found


class Remembering(World):
    """A model that sees on every plane what it was told."""

    def see(self, plane, prompt, logits):
        return logits, 0.9


class Hourglass(Remembering):
    """One object passes into the next: the model is less sure on the planes between them, and sure again behind."""

    def __init__(self, truth, scores=(0.9, 0.9, 0.9, 0.9, 0.75, 0.65, 0.7, 0.85, 0.9)):
        super().__init__(truth)
        self.scores = scores

    def see(self, plane, prompt, logits):
        return logits, self.scores[plane[0]]


def tubes(planes=8, ends=(0, 8)):
    """Object 1 runs through the planes from ``ends[0]`` to ``ends[1]``, object 2 beside it through all."""
    truth = np.zeros((planes, SIDE, SIDE), np.uint8)
    truth[ends[0] : ends[1], 4:9, 3:8] = 1
    truth[:, 4:9, 8:13] = 2
    return truth


def story(walked):
    return [(each.plane[0], each.reason) for each in walked]
