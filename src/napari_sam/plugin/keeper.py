"""When the work on an image is kept and when it is offered again; what and where is said in `keeping`. No Qt."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari_sam.plugin.bench import Opener
from napari_sam.plugin.keeping import Work, keep, kept, kept_at, restore, set_aside, work_of
from napari_sam.plugin.work import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from napari_sam.plugin.annotation import Annotation


class Keeper:
    """Keeps the work on images, and knows what was kept the time before.

    Parameters
    ----------
    on_offer : callable
        Told that something is offered.
    on_failure : callable
        Told the error if the work cannot be kept; once, until it is kept again.
    """

    def __init__(
        self,
        on_offer: Callable[[], None] = lambda: None,
        on_failure: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._found: Work | None = None  # of the time before, on the image at hand
        self._begun: set[Annotation] = set()  # whose file is of this time
        self._at: Annotation | None = None
        self._on_offer = on_offer
        self._on_failure = on_failure
        self._unkept: set[Path] = set()  # what could not be written the last time

    @property
    def offered(self) -> Work | None:
        """What can be gone on with on the image at hand; None as long as it would take the place of something."""
        is_free = self._at is not None and not self._at.session.object_ids and not self._at.session.commits
        return self._found if is_free else None

    def look(self, annotation: Annotation | None) -> Job | None:
        """Make the job that looks for work of the time before; None if something is begun already."""
        self._found, self._at = None, annotation
        if annotation is None or not self._is_new(annotation) or (path := _path(annotation)) is None:
            return None

        def offer(work: Work | None) -> None:
            """Offer what was found, unless something was begun meanwhile."""
            if self._at is annotation and self._is_new(annotation):
                self._found = work
                self._on_offer()

        return Job(key="look", urgency=0, run=lambda: iter([kept(path)]), on_step=offer)

    def restore(self, annotation: Annotation) -> Work | None:
        """Go on with what is offered; its model and its options are for the caller to choose."""
        if (work := self.offered) is not None:
            self._found = None
            self._begun.add(annotation)
            restore(annotation, work)
        return work

    def job(self, annotation: Annotation, model: str, options: Mapping[str, Any]) -> Job | None:
        """Make the job that keeps the work of this moment; None if there is nothing, or nowhere to keep it.

        What is there of the time before and was not taken is set aside, and put back if what was begun is undone.
        """
        path, work = _path(annotation), work_of(annotation, model, options)
        if not work.object_ids and annotation in self._begun and annotation is self._at:
            work = self.offered or work
        if path is None or not work.object_ids:
            return None
        if annotation not in self._begun:
            set_aside(path)
        self._begun.add(annotation)
        return Job(key=("keep", path), urgency=0, run=partial(keep, path, work), on_end=partial(self._on_kept, path))

    def _on_kept(self, path: Path, error: Exception | None) -> None:
        """Say that what is done is safe nowhere, but not again with every click."""
        if error is not None and path not in self._unkept:
            msg = (
                f"Your prompts could not be kept in {path.parent} ({error}): make room there or choose another cache "
                "folder; until then use Save prompts, and save the labels"
            )
            self._on_failure(OSError(msg))
        self._unkept = self._unkept - {path} if error is None else self._unkept | {path}

    def has_begun(self, annotation: Annotation) -> bool:
        """Whether the work that is kept of an image is that of this time."""
        return annotation in self._begun

    def go_on(self, annotation: Annotation) -> None:
        """Keep the work on in the file where another keeper has begun."""
        self._begun.add(annotation)

    def forget(self, annotation: Annotation, then: Callable[[bool], None]) -> Job:
        """Let go of an image that was removed, and make the job that says whether all its work is in its file.

        Parameters
        ----------
        annotation : Annotation
            Its image is gone; the job that keeps its last work, if there is one, is submitted already.
        then : callable
            Told when that has ended.
        """
        path = _path(annotation) if annotation in self._begun else None
        self._begun.discard(annotation)
        if self._at is annotation:
            self._found = self._at = None

        def tell(error: Exception | None) -> None:
            """Tell what came of the jobs before this one."""
            del error
            then(path is not None and path not in self._unkept)

        return Job(key=object(), urgency=0, run=lambda: iter(()), on_end=tell)

    def _is_new(self, annotation: Annotation) -> bool:
        return annotation not in self._begun and not annotation.session.object_ids


def _path(annotation: Annotation) -> Path | None:
    opener = annotation.open_segmenter
    return kept_at(annotation, opener.cache if isinstance(opener, Opener) else None)
