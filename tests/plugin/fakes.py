"""A segmenter that is quick and knows no model, and a viewer without Qt that works its jobs off at once."""

from dataclasses import dataclass

import numpy as np
from napari.components import ViewerModel

from napari_sam.crops import Crop
from napari_sam.evidence import Evidence
from napari_sam.plane_mask import PlaneMask
from napari_sam.plugin.annotation import Annotation
from napari_sam.plugin.listener import Listener
from napari_sam.plugin.work import Desks

SHAPE = (6, 40, 50)
CLICK = (2, 20, 25)
RADIUS = 4


@dataclass(frozen=True)
class FakePrediction:
    masks: np.ndarray
    iou_predictions: np.ndarray
    low_res_logits: np.ndarray

    def mask_input(self, index=0):
        return self.low_res_logits[index]


def disc(centre, shape, radius=RADIUS):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def object_on(*planes, radius=RADIUS, value=1):
    """Labels of a stack, with the disc of a click on some of its planes."""
    labels = np.zeros(SHAPE, int)
    for plane in planes:
        labels[plane][disc(CLICK[1:], SHAPE[1:], radius)] = value
    return labels


class FakeSegmenter:
    """Every object is a disc around its first positive click, on every plane; a lone click has three radii."""

    def __init__(self, view, surroundings):
        self.view, self.surroundings = view, surroundings
        self.asked, self.batches, self.walks, self.embedded = [], [], [], []

    def predict(self, prompt, *, multimask_output=None, mask_input=None):
        self.asked.append((prompt, mask_input))
        radii = (RADIUS, RADIUS + 2, RADIUS - 2) if len(prompt.points) == 1 and prompt.box is None else (RADIUS,)
        masks = np.stack([self._mask(prompt, radius) for radius in radii])
        scores = np.array([0.9, 0.8, 0.7][: len(radii)], np.float32)
        return FakePrediction(
            masks, scores, np.zeros((len(radii), 4, 4), np.float32) + np.arange(len(radii))[:, None, None]
        )

    def predict_many(self, prompts, *, mask_input=None):
        self.batches.append(len(prompts))
        return [self.predict(one, mask_input=own) for one, own in zip(prompts, mask_input, strict=True)]

    def propagate(self, prompts, *, axis=0, start=None, stop=None, components="supported", neighbours=False):
        self.components, self.neighbours = components, neighbours
        self.walks.append((tuple(prompts), axis, start, stop))
        anchors = {(prompt.object_id, prompt.plane[axis]) for prompt in prompts}
        absent = [prompt for prompt in prompts if prompt.mask is not None and not prompt.mask]
        for prompt in prompts:
            for position in range(start, stop):
                way = sorted((prompt.plane[axis], position))
                if any(way[0] <= one.plane[axis] <= way[1] for one in absent):
                    continue  # the object has ended on the way
                plane = (*prompt.plane[:axis], position, *prompt.plane[axis + 1 :])
                if (prompt.object_id, position) in anchors and position != prompt.plane[axis]:
                    continue
                free = np.isin(self.surroundings[plane], [0, prompt.object_id])
                score = 1 - 0.05 * abs(position - prompt.plane[axis])
                evidence = Evidence(predicted_iou=score, overlap=score, area_ratio=1.0)
                mask = Crop.of(self._mask(prompt, RADIUS) & free)
                yield PlaneMask(prompt.object_id, plane, mask, score, evidence=evidence)

    def embed(self, planes=None):
        self.embedded.extend(planes)
        yield from planes

    def _mask(self, prompt, radius):
        if prompt.mask is not None and not prompt.points:
            return prompt.mask.full()
        centre = prompt.points[0] if prompt.points else np.mean(prompt.box, axis=0)
        return disc(centre, self.view.level_shape, radius)


class Studio:
    """An annotation in a viewer model, with desks that the test works off when it says so."""

    def __init__(self, data, *, open_segmenter=FakeSegmenter, **image):
        self.viewer = ViewerModel()
        self.image = self.viewer.add_image(data, **image)
        self.desks, self.errors = Desks(), []
        self.clicks, self.encoding, self.writing = self.desks.clicks, self.desks.encoding, self.desks.writing
        self.annotation = Annotation(
            self.viewer,
            self.image,
            open_segmenter=open_segmenter,
            desks=self.desks,
            listener=Listener(on_error=self.errors.append),
        )
        self.work()

    def work(self, steps=None):
        """Let the threads come to an end, or take so many steps."""
        for desk in (self.writing, self.clicks, self.encoding):
            for number, step in enumerate(desk.work(), start=1):
                desk.deliver(step)
                if number == steps:
                    return

    def click(self, *coordinates):
        self.annotation.stage.points.add(coordinates)
        self.work()

    def commit(self):
        self.annotation.commit()
        self.work()

    def undo(self):
        self.annotation.undo()
        self.work()

    def redo(self):
        self.annotation.redo()
        self.work()

    def press(self, key, layer):
        """Press a key of ours while a layer is active."""
        next(act for one, act in layer.keymap.items() if str(one) == key)(layer)
        self.work()

    @property
    def points(self):
        return self.annotation.stage.points

    @property
    def segmenter(self):
        return self.annotation.segmenter

    @property
    def preview(self):
        return np.asarray(self.annotation.stage.preview.data)

    @property
    def labels(self):
        return self.annotation.result.labels
