"""Numbers of objects that are those of others in the labels: found, and exchanged for free ones. No Qt, no napari."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.plugin.session import asking

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from napari_sam.plugin.drafts import Crops
    from napari_sam.plugin.session import Ask, Draft, Key, Session
    from napari_sam.plugin.view import ImageView
    from napari_sam.prompts import Prompt


class TakenError(ValueError):
    """Objects have numbers under which the labels hold other objects.

    Attributes
    ----------
    object_ids : frozenset of int
        Their numbers.
    """

    def __init__(self, object_ids: frozenset[int]) -> None:
        ids = ", ".join(map(str, sorted(object_ids)))
        super().__init__(
            f"the labels hold other objects with the numbers {ids}, and these stay as they are; those that you have "
            "begun have free numbers now: commit again"
        )
        self.object_ids = object_ids


def strangers(labels: Any, crops: Crops, view: ImageView, object_ids: Collection[int]) -> frozenset[int]:
    """Find objects under whose number labels hold something else: somewhere, but nowhere under one of its masks.

    Reads the labels under the masks, and all of them only where nothing of an object is found there.

    Parameters
    ----------
    labels : array-like
        Of the shape of the image.
    crops : mapping
        (object id, plane) to mask.
    view : ImageView
        The image as planes.
    object_ids : collection of int
        Who is in question.
    """
    masks = {key: crop for key, crop in crops.items() if crop and key[0] in object_ids}
    found = set()
    for (one, plane), crop in masks.items():
        here = np.asarray(labels[view.index(plane, crop.window)])
        if one not in found and (here == one)[crop.pixels].any():
            found.add(one)
    missing = {one for one, _ in masks} - found
    elsewhere: set[int] = set()
    for plane in np.ndindex(view.stack_shape) if missing else ():
        here = np.asarray(labels[view.index(plane)])
        elsewhere.update(one for one in missing - elsewhere if (here == one).any())
    return frozenset(elsewhere)


def renumbered(session: Session, numbers: Mapping[int, int]) -> tuple[Session, tuple[Ask, ...]]:
    """Give objects that were begun other numbers; what was asked for and not answered is asked for anew."""

    def new(key: Key) -> Key:
        """Give a key its new number."""
        return numbers.get(key[0], key[0]), key[1]

    own = replace(
        session,
        prompts={new(key): replace(prompt, object_id=new(key)[0]) for key, prompt in session.prompts.items()},
        drafts={new(key): _renumbered(draft, new(key)[0]) for key, draft in session.drafts.items()},
        changed=frozenset(map(new, session.changed)),
        asked={},
    )
    return asking(own, tuple(map(new, session.asked)))


def _renumbered(draft: Draft, object_id: int) -> Draft:
    said: Prompt | None = None if draft.said is None else replace(draft.said, object_id=object_id)
    under = None if draft.under is None else _renumbered(draft.under, object_id)
    return replace(draft, said=said, under=under)
