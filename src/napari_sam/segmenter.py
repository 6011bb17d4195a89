"""Image in, prompts in, labels out: the scripting API."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from itertools import compress, groupby
from typing import TYPE_CHECKING, Any, get_args

from napari_sam.cache import EmbeddingCache
from napari_sam.cache_store import as_location
from napari_sam.checkpoints import load_sam
from napari_sam.components import Components
from napari_sam.contrast import estimate_contrast
from napari_sam.labels import Overlap, check_ids, check_labels, new_labels, read_plane, write_masks
from napari_sam.model.sam import Sam
from napari_sam.orientation import Orientation, axis_order, turn
from napari_sam.prompts import Prompt, check_inside
from napari_sam.propagation import propagate
from napari_sam.sharing import share, warn_of_missing
from napari_sam.stack import open_stack
from napari_sam.step import PlaneState, StepPrompt, StopRules
from napari_sam.views import predict, predict_low_res
from napari_sam.vision import SamVision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import torch

    from napari_sam.contrast import Limits
    from napari_sam.crops import Crop
    from napari_sam.low_res import LowRes, MaskInput
    from napari_sam.plane_mask import PlaneMask
    from napari_sam.predictor import MaskPrediction
    from napari_sam.stack import Plane
    from napari_sam.tiles import TileChoice

    Walk = Callable[[Sequence[PlaneState]], Iterator[tuple[PlaneMask, ...]]]


class Segmenter:
    """Segment a stack with prompts, on one plane or through many.

    Parameters
    ----------
    image : array-like
        ``(y, x)``, ``(z, y, x)`` or with more leading axes; numpy, dask, zarr, h5py. Read plane by plane.
    model : str, Path or Sam
        A name that ``sam-stacks models`` lists, a checkpoint file, or a loaded model.
    cache : str, Path or None
        Folder where image embeddings are kept for the next time, or a URL that fsspec understands (``s3://...``).
        None: in memory.
    contrast : pair of float, sequence of pairs or None
        Pixel values that become black and white, for all channels or for each. None: robust percentiles over the
        whole stack.
    channel_axis : int or None
        Axis of the channels, if there is one.
    rgb : bool
        Whether the last axis holds red, green and blue.
    channels : sequence of int or None
        The one to three channels that are used, shown to the model as red, green and blue. None: all there are.
    orientation : {"xy", "xz", "yz"}
        Which planes of an image ``(..., z, y, x)`` are segmented. Prompts and results refer to these planes: with "xz"
        a plane has the index y, or ``(t, y)``, its rows are z and its columns x. Only `labels` keep the image's axes.
    labels : array-like or None
        Integers of the image's spatial shape, such as numpy or zarr, which are written in place. None: new ones.
    tile : int, "auto" or None
        Longest side in pixels of the overlapping tiles in which a large plane is encoded. "auto": what suits the model,
        for planes that are larger than its input; None: every plane is encoded whole, shrunk if it is too large.
    overlap : int or None
        Pixels that neighbouring tiles share at least. None: what suits the model.
    device : str, torch.device or None
        Where the model runs. None: where `load_sam` puts it, or where a loaded model is.
    source : str or None
        Where the image came from, as a note that ``sam-stacks cache info`` shows. None: as the array says, if it does.

    Raises
    ------
    ValueError
        If image, contrast, labels or tiles are not as described.
    OSError
        If the cache folder cannot be written.
    """

    def __init__(
        self,
        image: Any,
        model: str | Path | Sam = "nano",
        *,
        cache: str | Path | None = None,
        contrast: Limits | None = None,
        channel_axis: int | None = None,
        rgb: bool = False,
        channels: Sequence[int] | None = None,
        orientation: Orientation = "xy",
        labels: Any = None,
        tile: TileChoice = "auto",
        overlap: int | None = None,
        device: str | torch.device | None = None,
        source: str | None = None,
    ) -> None:
        self._stack = open_stack(image, channel_axis=channel_axis, rgb=rgb, channels=channels, orientation=orientation)
        self._orientation = orientation
        order = axis_order(orientation, len(self._stack.spatial_shape))
        shape = tuple(self._stack.spatial_shape[order.index(axis)] for axis in range(len(order)))
        if labels is not None:
            check_labels(labels, shape)
        self._labels = new_labels(shape) if labels is None else labels
        self._turned_labels = turn(self._labels, order)  # the same voxels, as planes
        if isinstance(model, Sam):
            self._sam = model if device is None else model.to(device)
        else:
            self._sam = load_sam(model, device=device)
        self._cache = EmbeddingCache.open(
            None if cache is None else as_location(cache),
            sam=self._sam,
            stack=self._stack,
            contrast=estimate_contrast(self._stack, contrast),
            source=source,
            tile=tile,
            overlap=overlap,
        )

    def __repr__(self) -> str:
        planes = "" if self._orientation == "xy" else f" as {self._orientation} planes"
        image = f"image {self._stack.spatial_shape} {self._stack.dtype}{planes}"
        return f"<Segmenter: {image}, model {self._sam.config.name} on {self._sam.device}>"

    @property
    def labels(self) -> Any:
        """What `segment` and `propagate` write: the array given, or a new numpy one of the image's spatial shape."""
        return self._labels

    @property
    def orientation(self) -> Orientation:
        """Which planes of the image are segmented: "xy", "xz" or "yz"."""
        return self._orientation

    @property
    def cache(self) -> EmbeddingCache:
        """The embeddings of the image; they have the `stack`, the `contrast` and the model `sam` as attributes."""
        return self._cache

    def embed(self, planes: Sequence[Plane] | None = None) -> Iterator[Plane]:
        """Encode the planes that the cache lacks. The other methods do so where they must; after this they are fast.

        Parameters
        ----------
        planes : sequence of tuple of int, optional
            None: every plane of the stack.

        Returns
        -------
        iterator of tuple of int
            Each plane that had to be encoded, as soon as it is safely in the cache. Nothing is done until it is
            iterated, and it may be closed at any time.

        Raises
        ------
        ValueError
            At once, if there is no such plane.
        """
        return self._cache.embed(planes)

    def predict(
        self, prompt: Prompt, *, multimask_output: bool | None = None, mask_input: LowRes | MaskInput | None = None
    ) -> MaskPrediction:
        """Decode one prompt; nothing is written or remembered.

        Parameters
        ----------
        prompt : Prompt
            Where the object is.
        multimask_output : bool or None
            Three masks or one. None: three for a lone point, which is ambiguous, else one.
        mask_input : MaskInput or ndarray of float32, optional
            What `MaskPrediction.mask_input` of an earlier prediction returned, to refine it with more clicks. Where
            planes are not tiled, one of its ``low_res_logits`` will do.

        Returns
        -------
        MaskPrediction
            Best mask first.

        Raises
        ------
        ValueError
            If the prompt does not fit the image, or ``mask_input`` the plane.
        """
        self._check(prompt)
        embedding = self._cache.embedding(prompt.plane)
        return predict(self._sam, embedding, [prompt], multimask_output=multimask_output, mask_input=[mask_input])[0]

    def predict_many(
        self, prompts: Sequence[Prompt], *, mask_input: Sequence[LowRes | MaskInput | None] | None = None
    ) -> Iterator[MaskPrediction]:
        """Decode prompts, those that follow one another on a plane in one batch; nothing is written or remembered.

        Parameters
        ----------
        prompts : sequence of Prompt
            On any planes and of any number of objects. A lone point gives three masks, any other prompt one.
        mask_input : sequence of (MaskInput, ndarray of float32 or None), optional
            As for `predict`, one per prompt.

        Yields
        ------
        MaskPrediction
            One per prompt and in their order, each the same as alone.

        Raises
        ------
        ValueError
            If a prompt does not fit the image, or a ``mask_input`` its plane.
        """
        for prompt in prompts:
            self._check(prompt)
        logits = [None] * len(prompts) if mask_input is None else mask_input
        pairs = zip(prompts, logits, strict=True)
        for plane, group in groupby(pairs, key=lambda pair: pair[0].plane):
            here, own = zip(*group, strict=True)
            yield from predict(self._sam, self._cache.embedding(plane), here, mask_input=own)

    def segment(self, prompts: Iterable[Prompt], *, overlap: Overlap = "keep") -> Any:
        """Decode each prompt on its plane and write the best masks into the labels; a warning tells what is not found.

        Parameters
        ----------
        prompts : iterable of Prompt
            At most one for each object and plane.
        overlap : {"keep", "replace"}
            What happens to voxels of other objects under a mask. Among the prompts of one plane the higher logit wins.

        Returns
        -------
        array-like
            The labels.

        Raises
        ------
        ValueError
            If a prompt does not fit the image or the labels; then nothing was written.
        """
        _check_choice("overlap", overlap, Overlap)
        prompts = self._checked_for_writing(prompts)
        missing: list[PlaneState] = []
        for plane, here in _by_plane(prompts).items():
            found = share(self._decode(plane, here))
            write_masks(self._turned_labels, plane, {each.object_id: each.mask for each in found}, overlap=overlap)
            said_to_be_there = (prompt.mask is None or bool(prompt.mask) for prompt in here)
            missing += [each for each in compress(found, said_to_be_there) if not each.mask]
        warn_of_missing(missing)
        return self._labels

    def propagate(
        self,
        prompts: Iterable[Prompt],
        *,
        axis: int = 0,
        start: int | None = None,
        stop: int | None = None,
        rules: StopRules | None = None,
        step: StepPrompt | None = None,
        components: Components = "supported",
        neighbours: bool = False,
        changed: Iterable[Plane] | None = None,
    ) -> Iterator[PlaneMask]:
        """Carry the prompted objects through the stack and write them into the labels plane by plane.

        Every prompted plane is an anchor: its mask stays as it is, and walks start from it to both sides. A prompt
        that consists of a mask alone is taken as it is; an empty mask says that the object is not there, and walks end
        before it. Voxels of objects that are not among the prompts are never changed. Within the range, what an earlier
        walk has left of those that are is replaced, or removed where they are no longer found; it stops nobody.

        Parameters
        ----------
        prompts : iterable of Prompt
            At most one for each object and plane; an object may be prompted on several planes.
        axis : int
            The leading axis to walk along; in a ``(t, z, y, x)`` stack 0 walks through time and 1 through depth.
        start, stop : int or None
            Range of planes along the axis, half-open. None: to the ends of the stack.
        rules : StopRules, optional
            When an object has ended.
        step : StepPrompt, optional
            What a mask tells the next plane. None: what suits the model.
        components : {"supported", "largest", "all"}
            Which pieces of an object are kept on a plane: those that overlap with its mask on the plane before, only
            the largest of these, or everything that the model gives. Prompted planes stay as they are.
        neighbours : bool
            Let what lies around the objects walk along unseen, so that none runs over into it; several times slower.
        changed : iterable of tuple of int, optional
            The prompted planes that are new or different since the prompts were last propagated. Then only the planes
            between them and the next prompts of the same object are walked again. None: everything.

        Returns
        -------
        iterator of PlaneMask
            First the prompted planes, then plane by plane; each is in the labels by the time it is yielded. The last
            one of a walk has a reason. Where objects meet, one may come a second time with what it has left, see
            `latest`. Nothing is done until it is iterated, and it may be closed at any time.

        Raises
        ------
        ValueError
            At once, if a prompt does not fit the image, the range or the labels, or if there is no such choice of
            ``components``.
        """
        _check_choice("components", components, Components)
        prompts = self._checked_for_writing(prompts)
        positions = self._stack.positions(axis, start, stop)
        for prompt in prompts:
            if prompt.plane[axis] not in positions:
                first, last = positions.start, positions.stop
                msg = f"prompts must lie between start {first} and stop {last} on axis {axis}, got {prompt.plane}"
                raise ValueError(msg)
        walk = partial(
            propagate,
            vision=SamVision(self._sam, self._cache.embedding, self._cache.pixels),
            axis=axis,
            positions=positions,
            get_labels=partial(read_plane, self._turned_labels),
            rules=rules,
            step=step or StepPrompt.suited_to(self._sam.config),
            components=components,
            neighbours=neighbours,
            changed=None if changed is None else frozenset(changed),
        )
        return self._written(walk, prompts)

    def _written(self, walk: Walk, prompts: Sequence[Prompt]) -> Iterator[PlaneMask]:
        """Walk from prompts, and write what is found on a plane before the walk goes on."""
        anchors = [anchor for plane, here in _by_plane(prompts).items() for anchor in self._anchors(plane, here)]
        walking = {anchor.object_id for anchor in anchors}
        for plane_masks in walk(anchors):
            masks = {each.object_id: each.crop for each in plane_masks}
            write_masks(self._turned_labels, plane_masks[0].plane, masks, outdated=walking)
            yield from plane_masks

    def _anchors(self, plane: Plane, prompts: Sequence[Prompt]) -> list[PlaneState]:
        """Where walks start on one plane: painted masks as they are, other prompts decoded."""
        states = self._decode(plane, [prompt for prompt in prompts if prompt.painted is None])
        return states + [self._painted(prompt, prompt.painted) for prompt in prompts if prompt.painted is not None]

    def _decode(self, plane: Plane, prompts: Sequence[Prompt]) -> list[PlaneState]:
        if not prompts:
            return []
        embedding = self._cache.embedding(plane)
        found = predict_low_res(self._sam, embedding, prompts)
        return [PlaneState.decoded(prompt.object_id, plane, *each) for prompt, each in zip(prompts, found, strict=True)]

    def _painted(self, prompt: Prompt, mask: Crop) -> PlaneState:
        frame, stride = self._cache.find_frame(mask), self._sam.config.grid.low_res_stride
        return PlaneState.painted(prompt.object_id, prompt.plane, mask, frame, low_res_stride=stride)

    def _check(self, prompt: Prompt) -> None:
        self._stack.check_plane(prompt.plane)
        check_inside(prompt, self._stack.plane_shape)

    def _checked_for_writing(self, prompts: Iterable[Prompt]) -> tuple[Prompt, ...]:
        prompts = tuple(prompts)
        for prompt in prompts:
            self._check(prompt)
        check_ids(self._labels, (prompt.object_id for prompt in prompts))
        for (plane, object_id), count in Counter((p.plane, p.object_id) for p in prompts).items():
            if count > 1:
                msg = (
                    f"{count} prompts name object {object_id} on plane {plane}, expected one; "
                    "join their points, or give different objects different object_id"
                )
                raise ValueError(msg)
        return prompts


def _check_choice(name: str, value: str, choices: Any) -> None:
    if value not in get_args(choices):
        msg = f"{name} must be one of {get_args(choices)}, got {value!r}"
        raise ValueError(msg)


def _by_plane(prompts: Sequence[Prompt]) -> dict[Plane, list[Prompt]]:
    planes: dict[Plane, list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        planes[prompt.plane].append(prompt)
    return planes
