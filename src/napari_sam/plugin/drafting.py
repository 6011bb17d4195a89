"""One image being drafted on: its layers and its session, kept in step with what the threads answer. No Qt.

Everything here happens in the GUI thread and takes no time; what takes time is put on a desk as a job.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.plugin import layers, walk
from napari_sam.plugin import session as sessions
from napari_sam.plugin.ahead import Ahead
from napari_sam.plugin.drafts import DraftLabels
from napari_sam.plugin.drawn import is_same
from napari_sam.plugin.history import History, Moment
from napari_sam.plugin.jobs import Jobs
from napari_sam.plugin.numbering import renumbered
from napari_sam.plugin.results import Result, fits, lie_beside
from napari_sam.plugin.sides import Sides
from napari_sam.plugin.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

    from napari_sam.plugin.bench import Answer, OpenSegmenter, SegmenterLike
    from napari_sam.plugin.drafts import LabelPlane
    from napari_sam.plugin.listener import Listener
    from napari_sam.plugin.results import Entry, Stroke
    from napari_sam.plugin.session import Ask, Session
    from napari_sam.plugin.stage import Name
    from napari_sam.plugin.view import ImageView
    from napari_sam.plugin.work import Desks
    from napari_sam.stack import Plane


class Drafting:
    """Draft objects of one image layer of a viewer: prompts go out, answers come in, and the layers show both.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or its proxy; gets the layers that prompts and previews need.
    image : Image
        What is segmented.
    open_segmenter : callable
        Opens the segmenter in a thread.
    desks : Desks
        Where the threads find what takes time.
    listener : Listener
        Whom to tell.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        *,
        open_segmenter: OpenSegmenter,
        desks: Desks,
        listener: Listener,
    ) -> None:
        self.viewer, self.image = viewer, image
        self.object_id, self.positive, self.one_object_each = 1, True, False
        self.outside, self._is_resting = 0, False
        self.walking: tuple[int, int] | None = None  # planes done, planes in all
        self.fetching: tuple[int, int] | None = None  # bytes of the weights that are here, bytes in all
        self._work_for(desks, listener)
        self.result, self.history = Result(self._on_stroke), History()
        self._sides = Sides(image, open_segmenter)
        self.bench, self.session = self._sides.first(viewer.dims.order)
        self.axis = walk.likely_axis(self.view.stack_shape)
        self.stage = Stage(viewer, image, self.view, self._draft_labels(), self._on_prompts, self._keys)
        self._drawn = self.stage.copy()
        self._stroke: object = None  # the latest that is a step already
        viewer.dims.events.order.connect(self._on_roll)
        image.events.data.connect(self._on_roll)
        self.resume()

    @property
    def view(self) -> ImageView:
        """The image as planes of the displayed axes."""
        return self.bench.view

    @property
    def plane(self) -> Plane:
        """The plane that is shown."""
        return layers.current_plane(self.image, self.view, self.viewer.dims.point)

    @property
    def segmenter(self) -> SegmenterLike | None:
        """What decodes, for scripts; None until it is open. Its masks are those of `view.array`."""
        return self.bench.segmenter

    @property
    def is_opening(self) -> bool:
        """Whether that is under way."""
        return self._jobs.is_opening

    @property
    def open_segmenter(self) -> OpenSegmenter:
        """What opens the model."""
        return self._sides.open_segmenter

    @property
    def encoded(self) -> set[Plane]:
        """The planes that are encoded."""
        return self._ahead.encoded

    @property
    def ahead(self) -> tuple[int, int]:
        """Planes that are encoded, and planes in all, along the axis of the walk through the one that is shown."""
        return self._ahead.count(self._nearest_first)

    def encode_ahead(self, wanted: bool) -> None:
        """Encode planes in the background, from the current one outward, or pause that."""
        self._ahead.is_wanted = wanted
        self._ahead.encode(self.bench, self._nearest_first)
        self._on_change()

    def follow(self) -> None:
        """Encode ahead from the plane that is shown now, if that is wanted and something is missing there."""
        done, total = self.ahead
        if self._ahead.is_wanted and done < total:
            self.encode_ahead(True)

    def suspend(self) -> None:
        """Let all work rest; requests that were not answered are remembered."""
        self._jobs.clear()
        self.walking = self.fetching = None
        self._is_resting = True
        self._share_keys(with_result=False)

    def resume(self) -> None:
        """Take the work up again, with the axes that are displayed now."""
        self._is_resting = False
        try:
            self._turn()
        except ValueError as error:
            self._on_error(error)
            return
        self._ahead.encoded = set()
        self._make_missing()
        self._share_keys(with_result=True)
        self._jobs.open(self.bench, self._on_fetched, self._on_opened)
        self.session, asks = sessions.asking(self.session, tuple(self.session.asked))
        self._submit(asks)
        self._on_change()

    def _work_for(self, desks: Desks, listener: Listener) -> None:
        self._on_change, self._on_open, self._on_error = listener.on_change, listener.on_open, listener.on_error
        self._jobs = Jobs(desks, self._on_end)
        self._ahead = Ahead(self._jobs, self._on_change)

    def _make_missing(self) -> None:
        """Make layers that are not there, at first or because somebody removed them, one after the other."""
        if self.stage.missing:
            self._jobs.in_turns(self.stage.missing, self._ensure)

    def _ensure(self, name: Name) -> None:
        """Make one of our layers: napari takes a tenth of a second for each."""
        self.stage.ensure(name)
        self.stage.aim(object_id=self.object_id, positive=self.positive)
        self._drawn = self.stage.copy()

    def forget(self, layer: Layer) -> None:
        """Let go of a layer that was removed from the viewer: prompts go with it, drafts that were walked stay."""
        if layer == self.result.labels:  # either may come wrapped in napari's proxy
            self.set_result(None)
        if self.stage.forget(layer):
            self._on_prompts(False)

    def close(self) -> None:
        """End quietly: no more jobs, no more listening; all layers stay."""
        self.suspend()
        self.stage.close()
        self.viewer.dims.events.order.disconnect(self._on_roll)
        self.image.events.data.disconnect(self._on_roll)
        self.result.choose(None)

    def set_result(self, labels: Labels | None, *, is_empty: bool = False) -> None:
        """Choose the Labels layer that commits go to, of which may be known that it is empty; None: a new one."""
        if self.result.labels != labels:
            if self.result.entries:
                self.history.forget()
            self._share_keys(with_result=False)
            if labels is not None:
                lie_beside(labels, self.image, self.view)
            self.result.choose(labels, is_empty=is_empty)
            self._share_keys(with_result=True)
            self.search()
            self._on_change()

    def search(self) -> None:
        """Look for the ids in the result, again if somebody else may have written there meanwhile."""
        self._jobs.search(partial(self.result.search, self.view, lambda: self.session.crops), self._on_searched)

    def aim(self, *, object_id: int | None = None, positive: bool | None = None) -> None:
        """Choose the object and the polarity of the next prompt."""
        self.object_id = self.object_id if object_id is None else object_id
        self.positive = self.positive if positive is None else positive
        self._make_room()
        self.stage.aim(object_id=self.object_id, positive=self.positive)
        self._on_change()

    def new_object(self) -> None:
        """Go on with an object that has an id of its own, starting with a positive click."""
        self.aim(object_id=sessions.next_object_id(self.session, self.result.largest_id), positive=True)

    def paint(self, plane: Plane, labels: LabelPlane, corner: tuple[int, int] = (0, 0)) -> None:
        """Take a plane of the preview, or a window with its corner, as painted; a stroke of the brush is one step."""
        if self.stage.stroke is None or self.stage.stroke is not self._stroke:
            self._remember()
        self._stroke = self.stage.stroke
        self._become(sessions.painted(self.session, plane, labels, corner=corner, shape=self.view.plane_shape))

    def _become(self, session: Session, *, redraw: bool = True) -> None:
        """Replace the session, show it and tell."""
        redraw = redraw and session.drafts is not self.session.drafts
        self.session = session
        self._make_room()
        if redraw:
            self.stage.refresh()
        self._on_change()

    def _share_keys(self, *, with_result: bool) -> None:
        """Let our keys work in the result, too, as long as this image is at hand."""
        if self.result.labels is not None and with_result:
            self.stage.bind(self.result.labels)
        elif self.result.labels is not None:
            self.stage.unbind(self.result.labels)

    def _on_stroke(self, stroke: Stroke) -> None:
        if not self._is_resting:
            self._remember(stroke)
            self._on_largest_id(self.result.largest_id)
            self._on_change()

    def _remember(self, wrote: Entry | Stroke | None = None) -> None:
        """Begin a step that can be taken back; wrote: into the labels."""
        self.history.remember(replace(self._now, wrote=wrote))

    @property
    def _now(self) -> Moment:
        return Moment(self.session, self._drawn, self.stage.adopted, self.object_id)

    def _return_to(self, moment: Moment) -> None:
        """Go on from another moment; what was asked then and not answered is asked again."""
        self._jobs.cancel_walk()
        self.walking = None
        self.stage.redraw(moment.drawn, moment.adopted)
        self._drawn = self.stage.copy()
        session = replace(moment.session, number=self.session.number)
        reading = self.stage.read(taken=self.result.largest_id)  # layers of the user may say something else by now
        session, asks = sessions.with_prompts(session, reading.prompts)
        pending = moment.session.asked.keys() & session.prompts.keys() - {ask.key for ask in asks}
        session, again = sessions.asking(session, tuple(pending))
        self._submit((*asks, *again))
        self._become(session)
        self.aim(object_id=moment.object_id)

    def _on_prompts(self, added: bool) -> None:
        drawn = self.stage.copy()
        if not is_same(drawn, self._drawn):
            self._remember()
        self._drawn = drawn
        reading = self.stage.read(taken=self.result.largest_id)
        session, asks = sessions.with_prompts(self.session, reading.prompts)
        self._submit(asks)
        self.outside = reading.outside
        if added and self.one_object_each:
            self.object_id = sessions.next_object_id(session, self.result.largest_id)
        with self.stage.held():
            self.stage.aim(object_id=self.object_id, positive=self.positive)
        self._become(session)

    def _submit(self, asks: Sequence[Ask]) -> None:
        if asks:
            self._jobs.decode(self.bench, asks, self._on_answers, partial(self._on_decoded, asks))

    def _on_answers(self, answers: Sequence[Answer]) -> None:
        session = self.session
        for ask, choices in answers:
            self.encoded.add(ask.key[1])
            session = sessions.answered(session, ask, choices)
        self._become(session)

    def _on_decoded(self, asks: Sequence[Ask], error: Exception | None) -> None:
        for ask in asks:
            self.session = sessions.failed(self.session, ask)
        self._on_end(error)

    def _on_end(self, error: Exception | None) -> None:
        if error is not None:
            self._on_error(error)
        self._on_change()

    def _on_largest_id(self, largest: int) -> None:
        self.result.largest_id = max(largest, self.result.largest_id)
        if self.object_id <= largest and self.object_id not in self.session.object_ids | self.result.meant:
            self.new_object()

    def _on_searched(self, found: tuple[int, frozenset[int]]) -> None:
        largest, taken = found
        self._on_largest_id(largest)
        self._renumber(taken)

    def _renumber(self, object_ids: Collection[int]) -> None:
        """Give objects free numbers: theirs are those of others in the labels."""
        free = sessions.next_object_id(self.session, self.result.largest_id)
        numbers = dict(zip(sorted(self.session.object_ids.intersection(object_ids)), count(free), strict=False))
        if numbers:
            self.history.forget()  # steps back would give the numbers back
            self.stage.renumber(numbers)
            self._drawn = self.stage.copy()
            self.object_id = numbers.get(self.object_id, self.object_id)
            session, asks = renumbered(self.session, numbers)
            self._submit(asks)
            self._become(session)
            self._on_prompts(False)

    def _on_roll(self, event: Any) -> None:
        del event
        if not self._is_resting and self.viewer.dims.ndim >= self.image.ndim:  # else the image is being removed
            self.suspend()
            self.resume()

    def _turn(self) -> None:
        """Turn to what is displayed and chosen; the session of other axes or channels waits for them to come back."""
        bench, session = self._sides.turn(self.viewer.dims.order, self.bench, self.session)
        if bench is not self.bench:
            self.bench, self.session = bench, session
            self.axis = walk.likely_axis(self.view.stack_shape)
            self.stage.show(self.view, self._draft_labels())
            if self.result.labels is not None and not fits(self.result.labels, self.view):
                self.set_result(None)
            self._drawn = self.stage.copy()
            self._on_prompts(False)
            self.history.forget()

    def _on_fetched(self, fetched: tuple[int, int] | None) -> None:
        self.fetching = fetched
        self._on_change()

    def _on_opened(self, error: Exception | None) -> None:
        self.fetching = None
        if error is not None:
            self._jobs.clear()
        else:
            self._on_open()
        self._on_end(error)
        self.encode_ahead(self._ahead.is_wanted)

    @property
    def _nearest_first(self) -> list[Plane]:
        return walk.outward(self.plane, self.view.stack_shape, axis=self.axis)

    @property
    def _keys(self) -> dict[str, Callable[[], None]]:
        """What keys do while one of our layers is active."""
        return {}

    def _draft_labels(self) -> DraftLabels:
        dtype = np.promote_types(np.uint16, np.min_scalar_type(self._largest_drawn))
        return DraftLabels(self.view, lambda: self.session.crops, self.paint, dtype=dtype)

    @property
    def _largest_drawn(self) -> int:
        return max({*self.session.object_ids, self.object_id})

    def _make_room(self) -> None:
        """Let the preview hold larger ids than it was made for."""
        preview = self.stage.preview
        if preview is not None and self._largest_drawn > np.iinfo(preview.data.dtype).max:
            self.stage.show(self.view, self._draft_labels())
