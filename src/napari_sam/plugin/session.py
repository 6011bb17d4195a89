"""The state of an annotation as one frozen value, and what each event makes of it. No Qt, no napari.

A session holds the prompts as the layers show them, a draft for each object on each plane, and which requests are
under way. Every function takes a session and returns the next one, so that any moment can be kept and gone back to.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_sam.crops import Crop
from napari_sam.evidence import Evidence
from napari_sam.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from napari_sam.low_res import MaskInput
    from napari_sam.plane_mask import PlaneMask
    from napari_sam.predictor import MaskPrediction
    from napari_sam.stack import Plane

Key = tuple[int, "Plane"]  # an object on a plane


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One of the masks that an ambiguous prompt has."""

    mask: Crop
    score: float
    mask_input: MaskInput


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """What is known of one object on one plane.

    Attributes
    ----------
    mask : Crop
        What the preview shows.
    evidence : Evidence
        What speaks for it: the predicted IoU, 1 for what the user drew or confirmed, and of a walk how it came here.
    origin : {"prompted", "painted", "confirmed", "walked"}
        Drafts of all kinds but the last are anchors: the user vouches for them, and no walk changes them.
    said : Prompt or None
        What gives this very mask again; None if only the mask itself does.
    choices : tuple of Choice
        The masks that the user may choose from, best first.
    under : Draft or None
        What was here before the prompts, and will be again when they go.
    """

    mask: Crop
    evidence: Evidence
    origin: Literal["prompted", "painted", "confirmed", "walked"]
    said: Prompt | None = None
    choices: tuple[Choice, ...] = ()
    under: Draft | None = None

    @property
    def score(self) -> float:
        """Predicted IoU."""
        return self.evidence.predicted_iou

    @property
    def is_anchor(self) -> bool:
        """Whether the user vouches for it."""
        return self.origin != "walked"

    @property
    def chosen(self) -> int:
        """Which of the choices is shown."""
        return next((i for i, choice in enumerate(self.choices) if choice.mask is self.mask), 0)


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A request to decode; its answer counts only while no later one was made for its key."""

    number: int
    key: Key
    prompt: Prompt
    mask_input: MaskInput | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Commit:
    """What was written into the labels at once, to be taken up again when that is undone."""

    prompts: Mapping[Key, Prompt]
    drafts: Mapping[Key, Draft]

    @property
    def object_ids(self) -> set[int]:
        """The objects that were written."""
        return {object_id for object_id, _ in self.drafts}


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """One moment of an annotation.

    Attributes
    ----------
    prompts : mapping
        (object id, plane) to the prompt that the layers hold.
    drafts : mapping
        (object id, plane) to its draft.
    asked : mapping
        Key to the number of the request that has not been answered.
    number : int
        Of the latest request.
    changed : frozenset
        Anchors that changed since the last walk.
    commits : tuple of Commit
        In their order; see `napari_sam.plugin.commits`.
    """

    prompts: Mapping[Key, Prompt] = field(default_factory=dict)
    drafts: Mapping[Key, Draft] = field(default_factory=dict)
    asked: Mapping[Key, int] = field(default_factory=dict)
    number: int = 0
    changed: frozenset[Key] = frozenset()
    commits: tuple[Commit, ...] = ()

    @property
    def crops(self) -> dict[Key, Crop]:
        """The masks of all drafts."""
        return {key: draft.mask for key, draft in self.drafts.items()}

    @property
    def object_ids(self) -> set[int]:
        """Objects that have prompts or drafts."""
        return {object_id for object_id, _ in (*self.prompts, *self.drafts)}


def with_prompts(session: Session, prompts: Mapping[Key, Prompt]) -> tuple[Session, tuple[Ask, ...]]:
    """Take the prompts as they are now; what changed is to be decoded, what is gone gives back what it covered."""
    gone = session.prompts.keys() - prompts.keys()
    drafts = {key: draft for key, draft in session.drafts.items() if key not in gone or draft.origin != "prompted"}
    uncovered = {key: session.drafts[key].under for key in gone if key in session.drafts}
    drafts.update({key: draft for key, draft in uncovered.items() if draft is not None and key not in drafts})
    changed = [key for key, prompt in prompts.items() if session.prompts.get(key) != prompt]
    session = replace(
        session,
        prompts=dict(prompts),
        drafts=drafts,
        asked={key: number for key, number in session.asked.items() if key not in gone},
        changed=session.changed | gone | set(changed),
    )
    return asking(session, changed)


def asking(session: Session, keys: Collection[Key]) -> tuple[Session, tuple[Ask, ...]]:
    """Ask for the prompts of some keys anew."""
    asks = tuple(_ask(session, key, session.number + i) for i, key in enumerate(keys, start=1))
    numbers = {ask.key: ask.number for ask in asks}
    return replace(session, asked={**session.asked, **numbers}, number=session.number + len(asks)), asks


def choices_of(prediction: MaskPrediction) -> tuple[Choice, ...]:
    """Crop the masks of a prediction; on a large plane this takes time, and is done in the thread."""
    masks = enumerate(zip(prediction.masks, prediction.iou_predictions, strict=True))
    return tuple(Choice(Crop.of(mask), float(score), prediction.mask_input(i)) for i, (mask, score) in masks)


def answered(session: Session, ask: Ask, choices: tuple[Choice, ...]) -> Session:
    """Take an answer, unless it was overtaken."""
    if session.asked.get(ask.key) != ask.number:
        return session
    draft = Draft(
        choices[0].mask,
        Evidence(predicted_iou=choices[0].score),
        "prompted",
        said=ask.prompt if ask.mask_input is None else None,
        choices=choices,
        under=_under(session, ask.key),
    )
    return replace(_without_request(session, ask), drafts={**session.drafts, ask.key: draft})


def failed(session: Session, ask: Ask) -> Session:
    """Give a request up; the draft stays as it was."""
    return _without_request(session, ask) if session.asked.get(ask.key) == ask.number else session


def next_choice(session: Session, key: Key) -> Session:
    """Show the next of the masks of an ambiguous prompt; after the last comes the first."""
    draft = session.drafts.get(key)
    if draft is None or len(draft.choices) < 2:
        return session
    index = (draft.chosen + 1) % len(draft.choices)
    choice = draft.choices[index]
    said = session.prompts.get(key) if index == 0 else None
    chosen = replace(draft, mask=choice.mask, evidence=Evidence(predicted_iou=choice.score), said=said)
    return replace(session, drafts={**session.drafts, key: chosen}, changed=session.changed | {key})


def painted(
    session: Session,
    plane: Plane,
    labels: NDArray[np.integer],
    *,
    corner: tuple[int, int] = (0, 0),
    shape: tuple[int, int] | None = None,
) -> Session:
    """Take what somebody painted over the drafts of a plane; every object that changed there is an anchor now.

    Parameters
    ----------
    session : Session
        The moment before.
    plane : tuple of int
        Where it was painted.
    labels : ndarray of int
        What the plane, or a window of it, holds now.
    corner : (int, int)
        First row and column of the window.
    shape : (int, int), optional
        ``(h, w)`` of the plane. None: `labels` are all of it.
    """
    height, width = labels.shape
    shape = (height, width) if shape is None else shape
    window = slice(corner[0], corner[0] + height), slice(corner[1], corner[1] + width)
    present = {int(one) for one in np.unique(labels[labels > 0])}
    drafts, changed = dict(session.drafts), set()
    for object_id in present | {one for one, where in session.drafts if where == plane}:
        key, mask = (object_id, plane), labels == object_id
        before = session.drafts.get(key)
        if before is not None and np.array_equal(before.mask.within(window), mask):
            continue
        crop = Crop.of(mask).placed(corner, shape)
        changed.add(key)
        whole = crop if before is None else before.mask.with_window(window, mask)
        drafts[key] = Draft(whole, Evidence(predicted_iou=1.0), "painted")
    unanswered = {key: number for key, number in session.asked.items() if key not in changed}
    return replace(session, drafts=drafts, asked=unanswered, changed=session.changed | changed)


def confirmed(session: Session, key: Key) -> Session:
    """Say that what a walk found is right: the same mask as an anchor; nothing else is changed by that."""
    draft = session.drafts.get(key)
    if draft is None or draft.is_anchor:
        return session
    anchor = Draft(draft.mask, Evidence(predicted_iou=1.0), "confirmed")
    return replace(session, drafts={**session.drafts, key: anchor}, changed=session.changed | {key})


def ended(session: Session, key: Key, *, axis: int, shape: tuple[int, int]) -> Session:
    """Say that an object is not on a plane: an empty anchor, and no more of the walks that went on behind it.

    Behind is the side where the user vouches for nothing of the object; with anchors on both sides there is none.
    """
    object_id, plane = key
    own = {where for one, where in session.drafts if one == object_id and _is_along(where, plane, axis)}
    shown = [where[axis] for where in own if (d := session.drafts[object_id, where]).is_anchor and d.mask]
    is_below, is_above = (any(sign * (at - plane[axis]) > 0 for at in shown) for sign in (-1, 1))
    side = int(is_below) - int(is_above)  # 1: what comes after the plane is behind
    behind = {(object_id, where) for where in own if side * (where[axis] - plane[axis]) > 0}
    drafts = {one: draft for one, draft in session.drafts.items() if one not in behind or draft.is_anchor}
    drafts[key] = Draft(Crop.of(np.zeros(shape, bool)), Evidence(predicted_iou=1.0), "painted")
    unanswered = {one: number for one, number in session.asked.items() if one != key}
    return replace(session, drafts=drafts, asked=unanswered, changed=session.changed | {key})


def _is_along(one: Plane, other: Plane, axis: int) -> bool:
    return (*one[:axis], *one[axis + 1 :]) == (*other[:axis], *other[axis + 1 :])


def walked(session: Session, found: PlaneMask, mask: Crop) -> Session:
    """Take what a walk found of an object on a plane, unless the user vouches for something else there."""
    key = (found.object_id, found.plane)
    draft = session.drafts.get(key)
    if key in session.prompts or (draft is not None and draft.is_anchor):
        return session
    return replace(session, drafts={**session.drafts, key: Draft(mask, found.evidence, "walked")})


def after_walk(session: Session, object_ids: Collection[int], lost: Collection[Key]) -> Session:
    """End a walk that was not cancelled: what it went over and did not find again is gone."""
    drafts = {key: draft for key, draft in session.drafts.items() if key not in lost or draft.is_anchor}
    return replace(
        session, drafts=drafts, changed=frozenset(key for key in session.changed if key[0] not in object_ids)
    )


def anchors(session: Session, object_ids: Collection[int]) -> tuple[Prompt, ...]:
    """Say what the user vouches for, as prompts that give the same masks again: to walk from, and to save.

    An empty mask says that the object is not there.
    """
    found: dict[Key, Prompt] = {key: prompt for key, prompt in session.prompts.items() if key[0] in object_ids}
    for key, draft in session.drafts.items():
        if key[0] in object_ids and draft.is_anchor:
            found.pop(key, None)
            if draft.said is not None:
                found[key] = draft.said
            else:
                found[key] = Prompt(key[1], mask=draft.mask, object_id=key[0])
    return tuple(found[key] for key in sorted(found))


def next_object_id(session: Session, taken: int = 0) -> int:
    """Smallest id above all that are in use, in the session, its commits and the labels (up to ``taken``)."""
    done = {object_id for commit in session.commits for object_id in commit.object_ids}
    return max(session.object_ids | done | {taken}) + 1


def _ask(session: Session, key: Key, number: int) -> Ask:
    """Ask for the prompt of a key, with what the user has accepted so far as the mask to refine."""
    prompt, draft = session.prompts[key], session.drafts.get(key)
    if draft is not None and draft.origin == "prompted" and draft.chosen > 0:
        return Ask(number, key, prompt, draft.choices[draft.chosen].mask_input)
    under = _under(session, key)
    if under is not None and under.mask and prompt.mask is None:
        prompt = replace(prompt, mask=under.mask)
    return Ask(number, key, prompt)


def _under(session: Session, key: Key) -> Draft | None:
    draft = session.drafts.get(key)
    return draft.under if draft is not None and draft.origin == "prompted" else draft


def _without_request(session: Session, ask: Ask) -> Session:
    return replace(session, asked={key: number for key, number in session.asked.items() if key != ask.key})
