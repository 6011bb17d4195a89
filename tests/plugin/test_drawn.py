"""What was drawn is copied, taken out and put back as it was."""

import numpy as np
from napari.layers import Image

from napari_sam.plugin import drawn, layers
from napari_sam.plugin.view import view_image

SHAPE = (4, 20, 30)


def _image_and_view():
    image = Image(np.zeros(SHAPE))
    return image, view_image(image, (0, 1, 2))


def _square(plane, low, high):
    return np.array([[plane, low, low], [plane, low, high], [plane, high, high], [plane, high, low]])


def test_taking_an_object_out_leaves_the_prompts_of_others():
    image, view = _image_and_view()
    points, shapes = layers.new_points(image, view), layers.new_shapes(image, view)
    points.add([0, 1, 1])
    layers.aim(points, object_id=2, positive=True)
    points.add([0, 2, 2])
    for layer in (points, shapes):
        drawn.take_objects(layer, [1])
    assert points.features["object"].tolist() == [2]


def test_what_was_taken_out_comes_back_as_it_was():
    image, view = _image_and_view()
    points, shapes = layers.new_points(image, view), layers.new_shapes(image, view)
    points.add([[0, 1, 1], [2, 5, 5]])
    shapes.add(_square(1, 2, 9), shape_type="ellipse")
    shapes.add(np.array([[0, 2, 2], [0, 2, 10]]), shape_type="line")
    before = layers.read_prompts([points, shapes], image, view).prompts
    taken = [drawn.take_objects(layer, [1]) for layer in (points, shapes)]
    assert not layers.read_prompts([points, shapes], image, view).prompts
    for layer, own in zip((points, shapes), taken, strict=True):
        drawn.put_back(layer, own)
    assert layers.read_prompts([points, shapes], image, view).prompts == before
