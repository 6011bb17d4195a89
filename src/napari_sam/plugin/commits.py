"""Objects put away out of a session when they are written into the labels, and taken up again. No Qt, no napari."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.plugin.session import Commit, Session, asking

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from napari_sam.plugin.session import Ask, Draft, Key
    from napari_sam.prompts import Prompt


def committed(session: Session, object_ids: Collection[int]) -> Session:
    """Put objects away, after they were written into the labels."""
    own = set(object_ids)
    commit = Commit(
        {key: prompt for key, prompt in session.prompts.items() if key[0] in own},
        {key: draft for key, draft in session.drafts.items() if key[0] in own},
    )
    return replace(without_objects(session, own), commits=(*session.commits, commit))


def without_objects(session: Session, object_ids: Collection[int]) -> Session:
    """Forget objects that were not committed."""
    own = set(object_ids)
    return replace(
        session,
        prompts={key: prompt for key, prompt in session.prompts.items() if key[0] not in own},
        drafts={key: draft for key, draft in session.drafts.items() if key[0] not in own},
        asked={key: number for key, number in session.asked.items() if key[0] not in own},
        changed=frozenset(key for key in session.changed if key[0] not in own),
    )


def reopened(session: Session, commit: Commit) -> Session:
    """Take a commit up again, to edit it further or because it was undone."""
    return replace(
        session,
        prompts={**session.prompts, **commit.prompts},
        drafts={**session.drafts, **commit.drafts},
        commits=tuple(one for one in session.commits if one is not commit),
    )


def with_commits(session: Session) -> Session:
    """Take all commits up at once; of an object that was committed twice the later one counts."""
    for commit in reversed(session.commits):
        if not session.object_ids & commit.object_ids:
            session = reopened(session, commit)
    return session


def restored(
    session: Session, prompts: Mapping[Key, Prompt], drafts: Mapping[Key, Draft], *, exact: Collection[Key]
) -> tuple[Session, tuple[Ask, ...]]:
    """Take up prompts and drafts of another time: only prompts without a draft are decoded.

    A mask whose prompts are not there any more is vouched for all the same, as one that was painted. Those of `exact`
    are what their prompts give.
    """
    own: dict[Key, Draft] = {}
    for key, draft in drafts.items():
        orphaned = draft.origin == "prompted" and key not in prompts
        own[key] = replace(
            draft,
            origin="painted" if orphaned else draft.origin,
            said=prompts.get(key) if key in exact else None,
        )
    session = Session(dict(prompts), own, number=session.number)
    return asking(session, [key for key in prompts if key not in own])
