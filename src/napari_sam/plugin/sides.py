"""The sides from which an image is looked at: each has a bench and a session of its own. No Qt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.plugin.bench import Bench
from napari_sam.plugin.session import Session
from napari_sam.plugin.view import view_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

    from napari_sam.plugin.bench import OpenSegmenter
    from napari_sam.plugin.channels import Channels
    from napari_sam.plugin.view import ImageView

Side = tuple[tuple[int, ...], "Channels | None"]  # the order of the axes, and what is seen together


class Sides:
    """What belongs to each side of an image, kept until somebody looks from there again.

    Parameters
    ----------
    image : Image
        What is looked at.
    open_segmenter : callable
        Opens the segmenter of a side in a thread.

    Attributes
    ----------
    channels : Channels or None
        What is seen together from now on.
    """

    def __init__(self, image: Image, open_segmenter: OpenSegmenter) -> None:
        self.open_segmenter = open_segmenter
        self.channels: Channels | None = None
        self._image, self._pixels = image, image.data
        self._left: dict[Side, tuple[Bench, Session]] = {}

    def use_model(self, open_segmenter: OpenSegmenter) -> None:
        """Look with another model from every side; sessions stay."""
        self.open_segmenter = open_segmenter
        self._left = {side: (Bench(bench.view, open_segmenter), own) for side, (bench, own) in self._left.items()}

    def first(self, dims_order: Sequence[int]) -> tuple[Bench, Session]:
        """Begin with the axes that are displayed; see `view_image` for what is raised."""
        return self._fresh(view_image(self._image, dims_order, self.channels))

    def turn(self, dims_order: Sequence[int], bench: Bench, session: Session) -> tuple[Bench, Session]:
        """Turn to the axes that are displayed and the channels that are chosen; the same two if nothing changed.

        A layer that was given other pixels is looked at anew, from every side; drafts stay where they still fit.

        Parameters
        ----------
        dims_order : sequence of int
            Of the viewer.
        bench : Bench
            Of the side that is left.
        session : Session
            What was done from there.
        """
        view = view_image(self._image, dims_order, self.channels)
        if self._pixels is not self._image.data:
            bench, session = self._look_anew(bench, session)
        if _side(view) == _side(bench.view):
            return bench, session
        self._left[_side(bench.view)] = bench, session
        return self._left.get(_side(view)) or self._fresh(view)

    def _look_anew(self, bench: Bench, session: Session) -> tuple[Bench, Session]:
        self._pixels = self._image.data
        left = {**self._left, _side(bench.view): (bench, session)}
        self._left = {side: self._anew(*own) for side, own in left.items()}
        return self._left[_side(bench.view)]

    def _anew(self, bench: Bench, session: Session) -> tuple[Bench, Session]:
        """Keep the drafts that lie on planes of the image as it is now; the other prompts are new to it."""
        view = view_image(self._image, bench.view.order, bench.view.channels)
        drafts = {
            key: draft
            for key, draft in session.drafts.items()
            if view.contains(key[1]) and draft.mask.shape == view.plane_shape
        }
        prompts = {
            key: prompt for key, prompt in session.prompts.items() if key in drafts.keys() - session.asked.keys()
        }
        return Bench(view, self.open_segmenter), replace(session, drafts=drafts, prompts=prompts, asked={})

    def _fresh(self, view: ImageView) -> tuple[Bench, Session]:
        return Bench(view, self.open_segmenter), Session()


def _side(view: ImageView) -> Side:
    return view.order, view.channels
