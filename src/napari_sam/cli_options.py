"""What commands are told: what of an image is looked at, which model looks, and how far objects are carried."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

import napari_sam
from napari_sam.cli_models import fetch_weights
from napari_sam.components import Components
from napari_sam.selection import Selection

if TYPE_CHECKING:
    from napari_sam.image_files import ImageFile
    from napari_sam.model.sam import Sam
    from napari_sam.segmenter import Segmenter


def _default(value: Any) -> Any:
    """Return what the help says of a default: nothing of a switch that is off, or of a list that is empty."""
    return None if value is False or value == () else value


PLAIN = Parameter(negative="", show_default=_default)

ImageOptions = Annotated[Selection, Parameter(name="*")]
Count = Annotated[int, Parameter(validator=validators.Number(gte=0))]
AtLeastOne = Annotated[int, Parameter(validator=validators.Number(gte=1))]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model looks, and where it runs.

    Parameters
    ----------
    model
        A name that `sam-stacks models` lists, or a .safetensors or .pth file.
    device
        Such as cpu or cuda; by default a GPU if there is one.
    precision
        Of the image encoder; a cache keeps the planes of each precision apart.
    tile
        Longest side in pixels of the tiles in which large planes are encoded; none: every plane is encoded whole.
    overlap
        Pixels that neighbouring tiles share at least; by default what suits the model.
    """

    model: str = "nano"
    device: str | None = None
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    tile: int | Literal["auto", "none"] = "auto"
    overlap: int | None = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class WalkOptions:
    """Whether objects are carried from plane to plane, and how far.

    Parameters
    ----------
    propagate
        Carry the objects from plane to plane along the first axis, or the one that orientation leaves.
    start
        First plane to carry them to; by default that of the stack.
    stop
        The plane before which to stop; by default the end of the stack.
    components
        With --propagate, which pieces of an object are kept on a plane: those that overlap with it on the plane before,
        the largest of these alone, or whatever the model gives.
    neighbours
        With --propagate, find what lies around each object, too, so that none runs over into it: for cells or neurites
        that touch everywhere. Takes several times as long.
    tracks
        With --propagate through time: a .csv for the track of each object, with its parent where one divides.
    """

    propagate: bool = False
    start: int | None = None
    stop: int | None = None
    components: Components = "supported"
    neighbours: bool = False
    tracks: Path | None = None

    def check(self, orientation: str, axes: str) -> None:
        """Refuse what would have no effect on an image with such spatial axes.

        Raises
        ------
        ValueError
            If something is said of a walk, and there is none, or one that does not go through time.
        """
        if self.tracks is not None and (not self.propagate or orientation != "xy"):
            msg = "--tracks needs --propagate through time: objects on single planes have no tracks"
            raise ValueError(msg)
        if self.tracks is not None and "T" in axes[1:]:
            msg = f"--tracks needs time as the first axis, got {axes}; save the image with the axes in another order"
            raise ValueError(msg)
        said = {"--start": self.start is not None, "--stop": self.stop is not None}
        said |= {"--components": self.components != "supported", "--neighbours": self.neighbours}
        for option, given in said.items():
            if given and not self.propagate:
                msg = f"{option} needs --propagate: without it objects stay on the planes of their prompts"
                raise ValueError(msg)

    def range_at_level(self, planes: int, full: int) -> tuple[int | None, int | None]:
        """Return `start` and `stop` at a level that has so many planes where the full resolution has `full`."""
        start = None if self.start is None else self.start * planes // full
        stop = None if self.stop is None else -(-self.stop * planes // full)
        return start, stop


WHOLE = Selection()
DEFAULTS = ModelOptions()
STAY = WalkOptions()


def open_image(
    path: Path | str,
    options: ModelOptions,
    *,
    selection: Selection = WHOLE,
    cache: str | None = None,
    labels: Any = None,
) -> "Segmenter":
    """Open an image file and the model that looks at it."""
    check_cache(cache)
    return open_segmenter(
        selection.read(path),
        options,
        channels=selection.together,
        orientation=selection.orientation,
        source=selection.describe(path),
        cache=cache,
        labels=labels,
    )


def check_cache(cache: str | None) -> None:
    """Refuse a file, or a folder of other things: who deletes a cache must lose nothing else.

    Raises
    ------
    ValueError
        If it is a file, or there are files in the folder, and they are not those of a cache.
    """
    if cache is None or "://" in cache or not Path(cache).exists() or (Path(cache) / "zarr.json").exists():
        return
    if not Path(cache).is_dir():
        msg = f"{cache} is a file, and a cache is a folder; give it one of its own, which is made if it is missing"
        raise ValueError(msg)
    if other := sorted(path.name for path in Path(cache).iterdir()):
        msg = f"{cache} is no cache and holds {other[0]}; give the cache a folder of its own: {Path(cache) / 'cache'}"
        raise ValueError(msg)


def open_segmenter(file: "ImageFile", options: ModelOptions, **seen: Any) -> "Segmenter":
    """Open an image that has been read, and the model, which is downloaded if it must be."""
    fetch_weights(options.model)
    return napari_sam.Segmenter(
        file.array,
        _model(options),
        channel_axis=file.channel_axis,
        rgb=file.rgb,
        tile=None if options.tile == "none" else options.tile,
        overlap=options.overlap,
        device=options.device,
        **seen,
    )


def _model(options: ModelOptions) -> "str | Sam":
    """Name the model, or load it where its encoder has to be cast."""
    if options.precision == "float32":
        return options.model
    import torch

    sam = napari_sam.load_sam(options.model, device=options.device)
    sam.image_encoder.to(getattr(torch, options.precision))
    return sam
