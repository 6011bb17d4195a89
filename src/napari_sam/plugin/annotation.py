"""What a user does to an image: every button of the widget is one method here, for scripts too. No Qt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.plugin import commits, layers, walk
from napari_sam.plugin import session as sessions
from napari_sam.plugin.bench import Bench
from napari_sam.plugin.drafting import Drafting
from napari_sam.plugin.drafts import render
from napari_sam.plugin.listener import Listener
from napari_sam.plugin.numbering import TakenError
from napari_sam.plugin.results import Stroke
from napari_sam.plugin.work import Desks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from napari_sam.components import Components
    from napari_sam.crops import Crop
    from napari_sam.plane_mask import PlaneMask
    from napari_sam.plugin.bench import OpenSegmenter
    from napari_sam.plugin.channels import Channels
    from napari_sam.plugin.drawn import Drawn
    from napari_sam.plugin.results import Entry
    from napari_sam.plugin.session import Draft
    from napari_sam.plugin.stage import Tool
    from napari_sam.plugin.walk import Direction, PlaneScore, Route
    from napari_sam.prompts import Prompt


class Annotation(Drafting):
    """Annotate one image layer of a viewer; see `Drafting` for what it is made from."""

    @property
    def draft(self) -> Draft | None:
        """What is known of the current object on the current plane."""
        return self.session.drafts.get((self.object_id, self.plane))

    @property
    def curve(self) -> tuple[PlaneScore, ...]:
        """How sure the masks of the current object are through the stack; see `napari_sam.confidence`."""
        return walk.scores(self.session, self.object_id, axis=self.axis, like=self.plane)

    def leave(self) -> None:
        """Rest without a widget until `take_up`: the model goes, and so do layers that hold nothing."""
        self.suspend()
        self._work_for(Desks(), Listener())  # nobody works there, and nobody is told
        self._sides.use_model(self.open_segmenter)
        self.bench = Bench(self.view, self.open_segmenter)
        self.stage.leave(with_preview=not self.session.drafts)
        self._drawn = self.stage.copy()

    def take_up(self, desks: Desks, listener: Listener) -> None:
        """Belong to another widget; after this it can `resume`, with what is still there of its layers."""
        for layer in (*self.stage.own_layers, *self.stage.adopted, self.result.labels):
            if layer is not None and layer not in self.viewer.layers:
                self.forget(layer)
        self._work_for(desks, listener)
        self.stage.take_up()

    def take_over(
        self,
        drawn: Mapping[str, Drawn],
        drafts: Mapping[sessions.Key, Draft],
        *,
        exact: Collection[sessions.Key],
        object_id: int,
    ) -> None:
        """Go on with the prompts and drafts of another time, in place of what is here."""
        self._remember()
        self.stage.redraw(drawn, self.stage.adopted)
        self._drawn = self.stage.copy()
        reading = self.stage.read(taken=self.result.largest_id)
        session, asks = commits.restored(self.session, reading.prompts, drafts, exact=exact)
        self._submit(asks)
        self._become(session)
        self.aim(object_id=object_id)

    def choose_object(self, object_id: int) -> None:
        """Choose the object by its number; one that is in the labels already is meant to change there."""
        if object_id not in self.session.object_ids and not self.result.is_fresh(object_id):
            self.result.meant.add(object_id)
        self.aim(object_id=object_id)

    def use(self, tool: Tool) -> None:
        """Make a tool the active one."""
        self.stage.use(tool, object_id=self.object_id, positive=self.positive)
        self._make_missing()

    def use_model(self, open_segmenter: OpenSegmenter) -> None:
        """Go on with another model; drafts stay, and what is asked from now on is answered by that one."""
        self._sides.use_model(open_segmenter)
        self.suspend()
        self.bench = Bench(self.view, open_segmenter)
        self.resume()

    def use_channels(self, channels: Channels | None) -> None:
        """Let the model see channels of a layer together; None: each is a plane of its own."""
        self._sides.channels = channels
        self.suspend()
        self.resume()

    def next_choice(self) -> None:
        """Show the next mask of an ambiguous prompt."""
        session = sessions.next_choice(self.session, (self.object_id, self.plane))
        if session is not self.session:
            self._remember()
            self._become(session)

    def walk_along(self, axis: int) -> None:
        """Choose the axis along which objects are carried and the curve is drawn."""
        self.axis = axis
        self._on_change()

    def go_to(self, position: int) -> None:
        """Show a plane, by its position along the axis of the walk."""
        plane = (*self.plane[: self.axis], position, *self.plane[self.axis + 1 :])
        self.viewer.dims.point = layers.plane_in_world(self.image, self.view, plane, self.viewer.dims.point)

    def go_to_weakest(self) -> None:
        """Show the plane where a correction of the current object would mend most."""
        position = walk.worst(self.session, self.object_id, axis=self.axis, like=self.plane)
        if position is not None:
            self.go_to(position)

    def confirm(self) -> None:
        """Say that the current object is right on this plane: it becomes an anchor as it is.

        Raises
        ------
        ValueError
            If nothing is known of the object on this plane.
        """
        if self.draft is None:
            msg = f"object {self.object_id} has no mask on this plane: click on it, or say that it ends here"
            raise ValueError(msg)
        session = sessions.confirmed(self.session, (self.object_id, self.plane))
        if session is not self.session:
            self._remember()
            self._become(session)

    def end_here(self) -> None:
        """Say that the current object is not on this plane: propagation ends before it, clicks here count no more.

        Raises
        ------
        ValueError
            If there is nothing of the object anywhere.
        """
        if self.object_id not in self.session.object_ids:
            msg = f"object {self.object_id} has not begun: click on it on another plane first"
            raise ValueError(msg)
        self._remember()
        key = (self.object_id, self.plane)
        self._become(sessions.ended(self.session, key, axis=self.axis, shape=self.view.plane_shape))

    def propagate(
        self,
        *,
        direction: Direction = "both",
        limits: tuple[int, int] | None = None,
        object_ids: Collection[int] | None = None,
        components: Components = "supported",
        neighbours: bool = False,
    ) -> None:
        """Carry objects through the stack; planes become drafts as they are decided.

        Parameters
        ----------
        direction : {"both", "forward", "back"}
            From the plane that is shown.
        limits : (int, int), optional
            Planes that may be reached, half-open. None: all.
        object_ids : collection of int, optional
            None: those whose prompts changed since their last walk, else the current one.
        components : {"supported", "largest", "all"}
            Which pieces of an object are kept on a plane: those that overlap with its mask on the plane before, the
            largest of these alone, or whatever the model gives.
        neighbours : bool
            Let what lies around the objects walk along unseen, so that none runs over into it.

        Raises
        ------
        ValueError
            If there is nowhere to go, or no prompt to start from.
        """
        changed = {one for one, _ in self.session.changed} & self.session.object_ids
        way, seeds = walk.plan(
            self.session,
            object_ids or changed or {self.object_id},
            axis=self.axis,
            stack_shape=self.view.stack_shape,
            limits=limits,
            direction=direction,
            plane=self.plane,
        )
        self._remember()
        self._walk(replace(way, components=components, neighbours=neighbours), seeds)

    def cancel(self) -> None:
        """Stop the walk at the next plane; what it found stays."""
        self._jobs.cancel_walk()
        self.walking = None
        self.stage.refresh()
        self._on_change()

    def commit(self, object_ids: Collection[int] | None = None) -> None:
        """Let objects (None: all) be written into the result, as one step, and go on with a new one.

        They are written in a thread; until then they are seen as drafts. If that fails they are drafts again.

        Raises
        ------
        ValueError
            If there is nothing to write of any of them, or the result cannot hold an id; nothing is written then.
        """
        ids = self._worth_writing({one for one, _ in self.session.drafts if object_ids is None or one in object_ids})
        if not ids:
            return
        if self.result.labels is None:
            self.set_result(result := layers.new_result(self.image, self.view, largest=max(ids)), is_empty=True)
            self.stage.slip_under(result)
        self.result.check_holds(max(ids))
        crops = {key: crop for key, crop in self.session.crops.items() if key[0] in ids}
        before, session = self._now, commits.committed(self.session, ids)
        entry = self.result.add(crops, self.view, session.commits[-1], self.stage.take(ids))
        self.history.remember(replace(before, wrote=entry))
        self._drawn = self.stage.copy()
        self._become(session, redraw=False)
        self._write(entry, entry.writing.write)
        self.new_object()
        if self.stage.tool in ("brush", "eraser"):
            self.use("point")  # it was for a correction; the next click is on another object

    def reopen(self, object_id: int) -> None:
        """Take a committed object up again; its voxels stay until it is committed anew.

        Raises
        ------
        ValueError
            If it was not committed here.
        """
        entry = self.result.entry_of(object_id)
        if entry is None:
            msg = (
                f"object {object_id} was not committed in this session; to correct it, pick it in the Labels layer and "
                "press Use label on some of its planes"
            )
            raise ValueError(msg)
        self._remember()
        self._take_up(entry)

    def discard(self) -> None:
        """Forget the prompts and drafts of the current object."""
        self._remember()
        self.stage.take([self.object_id])
        self._drawn = self.stage.copy()
        self._become(commits.without_objects(self.session, [self.object_id]))

    def split(self) -> None:
        """Make each positive point or shape of the current object an object of its own; all are decoded together."""
        free = sessions.next_object_id(self.session, self.result.largest_id)
        self.stage.split(self.object_id, free)
        self._on_prompts(False)

    def take_labels(self) -> None:
        """Make what is selected in the result, on this plane, an anchor of the current object."""
        selected = self.result.selected(self.view, self.plane)
        if not selected.any():
            msg = "the label that is selected in the Labels layer is not on this plane; pick one that is"
            raise ValueError(msg)
        labels = render(self.session.crops, self.plane, self.view.plane_shape)
        labels[labels == self.object_id] = 0
        labels[selected] = self.object_id
        self.paint(self.plane, labels)

    def undo(self) -> None:
        """Take the last step back: a prompt, a stroke, a walk, or a commit with the voxels and the prompts of it."""
        last = self.history.back(self._now)
        if last is None:
            return
        if isinstance(last.wrote, Stroke):
            last.wrote.labels.undo()
            self._on_change()
            return
        if last.wrote is not None:
            self.result.drop(last.wrote)
            self._write(last.wrote, last.wrote.writing.take_back)
        self._return_to(last)

    def redo(self) -> None:
        """Take the step again that was undone last."""
        step = self.history.forward(self._now)
        if step is None:
            return
        if isinstance(step.wrote, Stroke):
            step.wrote.labels.redo()
            self._on_change()
            return
        if step.wrote is not None:
            self.result.put_back(step.wrote)
            self._write(step.wrote, step.wrote.writing.write_again)
        self._return_to(step)

    def prompts(self) -> tuple[Prompt, ...]:
        """Everything that the user vouches for, commits included, as prompts that can be replayed."""
        everything = commits.with_commits(self.session)
        return sessions.anchors(everything, everything.object_ids)

    @property
    def _keys(self) -> dict[str, Callable[[], None]]:
        return {"Control-Z": self.undo, "Control-Shift-Z": self.redo}

    def _walk(self, way: Route, seeds: Sequence[Prompt]) -> None:
        visited: set[sessions.Key] = set()
        over = walk.expected(self.session, way, [seed.plane for seed in seeds])

        def on_found(step: tuple[PlaneMask, Crop]) -> None:
            """Draw a plane as it is decided."""
            found, crop = step
            self.encoded.add(found.plane)
            visited.add((found.object_id, found.plane))
            self.walking = len({plane for _, plane in visited}), way.stop - way.start
            is_seen = self.viewer.dims.ndisplay == 2 and found.plane == self.plane
            self._become(sessions.walked(self.session, found, crop), redraw=is_seen)

        def on_end(error: Exception | None) -> None:
            """Forget what an earlier walk had found and this one did not, unless it was broken off."""
            self.walking = None
            lost = over - visited if error is None else ()
            self._become(sessions.after_walk(self.session, way.object_ids, lost))
            self._on_end(error)

        self.walking = 0, way.stop - way.start
        others = {key: crop for key, crop in self.session.crops.items() if key[0] not in way.object_ids}
        look = self.result.around(others, self.view)
        self._jobs.walk(self.bench, seeds, way, look, on_found=on_found, on_end=on_end)
        self._on_change()

    def _worth_writing(self, object_ids: Collection[int]) -> set[int]:
        """Leave out objects without a mask, unless they have voxels that go; if that leaves none, say so."""
        masked = {one for (one, _), draft in self.session.drafts.items() if draft.mask}
        found = {one for one in object_ids if one in masked or not self.result.is_fresh(one)}
        if object_ids and not found:
            which = f"object {min(object_ids)} has" if len(object_ids) == 1 else "these objects have"
            msg = f"{which} no mask on any plane: click again, or drag a box, then commit"
            raise ValueError(msg)
        return found

    def _write(self, entry: Entry, run: Callable[[], Iterator[None]]) -> None:
        """Let a commit go into the labels or out of them, in a thread."""

        def on_end(error: Exception | None) -> None:
            """Show what was written, or take up again what could not be."""
            if error is not None and entry in self.result.entries:
                self._give_up(entry)
            if isinstance(error, TakenError):
                self._renumber(error.object_ids)
            self.result.show()
            self.stage.refresh()
            self._on_end(error)

        self._jobs.write(run, on_end)

    def _give_up(self, entry: Entry) -> None:
        """Take a commit up again that could not be written."""
        self.result.drop(entry)
        last = self.history.last
        if last is not None and last.wrote is entry:
            self.history.back(self._now)
            self._return_to(last)
        else:
            self._take_up(entry)
        self.history.forget()

    def _take_up(self, entry: Entry) -> None:
        if self.session.object_ids & entry.commit.object_ids:
            return  # it is being edited already
        session = commits.reopened(self.session, entry.commit)
        self.stage.put_back(entry.away)
        self._drawn = self.stage.copy()
        self._become(session)
        self.aim(object_id=min(entry.commit.object_ids))
