"""The command line, `sam-stacks`: one small function per command; a user's error is one sentence and exit code 2."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from math import prod
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from cyclopts import App
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from napari_sam import __version__
from napari_sam.cli_cache import cache as cache_commands
from napari_sam.cli_errors import OF_UNPACKING, SIGPIPE, in_words, reader_is_gone
from napari_sam.cli_models import fetch_weights, models
from napari_sam.cli_options import (
    DEFAULTS,
    PLAIN,
    STAY,
    WHOLE,
    AtLeastOne,
    Count,
    ImageOptions,
    ModelOptions,
    WalkOptions,
    check_cache,
    open_image,
    open_segmenter,
)
from napari_sam.cli_tables import print_objects, print_scores
from napari_sam.cli_train import pretrain, train
from napari_sam.orientation import Orientation, axis_order

if TYPE_CHECKING:
    from napari_sam.image_files import ImageFile
    from napari_sam.plane_mask import PlaneMask
    from napari_sam.prompts import Prompt
    from napari_sam.segmenter import Segmenter
    from napari_sam.stack import Plane

T = TypeVar("T")

app = App(
    name="sam-stacks",
    help="Segment microscopy stacks with the Segment Anything Model.",
    version=__version__,
    default_parameter=PLAIN,
    suppress_keyboard_interrupt=False,  # `main` has something to say
)
app.command(models)
app.command(cache_commands)
app.command(train)
app.command(pretrain)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments ask for, by default those of the process, and exit.

    An error is told in a sentence; with the environment variable ``NAPARI_SAM_DEBUG`` set, it is raised.
    """
    try:
        try:
            app(arguments)
        finally:
            sys.stdout.flush()  # here, where it can be told that nobody reads any more
    except (ValueError, OSError, MemoryError, RuntimeError, *OF_UNPACKING) as error:
        if isinstance(error, BrokenPipeError) and reader_is_gone():
            sys.exit(SIGPIPE)
        told = in_words(error)
        if told is None or os.environ.get("NAPARI_SAM_DEBUG"):
            raise
        print(f"sam-stacks: {told}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("sam-stacks: stopped; what is in a cache is kept, and no output is half written", file=sys.stderr)
        sys.exit(130)


_STDERR = Console(stderr=True)


@app.command
def demo(
    *,
    output: Path = Path("sam-stacks-demo"),
    objects: AtLeastOne = 12,
    napari: bool = False,
    options: ModelOptions = DEFAULTS,
) -> None:
    """Segment nuclei in a stack made on the spot, and compare with the truth.

    Each nucleus is shown by one click and a box on one plane, and carried through the stack from there.

    Parameters
    ----------
    output
        Folder for labels.tif and overlay.png.
    objects
        How many nuclei to segment.
    napari
        Open the stack in napari with the widget ready to click, instead.
    """
    if napari:
        _open_viewer()
        return
    from napari_sam.evaluation.scores import first_prompt, iou, volume_targets
    from napari_sam.image_files import ImageFile
    from napari_sam.label_files import check_labels_output, write_labels
    from napari_sam.sample import make_nuclei_stack

    if output.exists() and not output.is_dir():
        msg = f"{output} is a file; demo writes two files into a folder, give another --output"
        raise FileExistsError(msg)
    output.mkdir(parents=True, exist_ok=True)
    check_labels_output(output / "labels.tif", overwrite=True)
    sample = make_nuclei_stack()
    image = ImageFile(sample.image, "ZYX", dict(zip("ZYX", sample.spacing, strict=True)), "µm")
    prompts = [first_prompt(sample.labels, target) for target in volume_targets(sample.labels, count=objects)]
    seg = open_segmenter(image, options)

    started = perf_counter()
    _collect(seg.embed(), "encoding", total=len(sample.image))
    encoded = perf_counter()
    found = _collect(seg.propagate(prompts), "segmenting", total=len(prompts) * len(sample.image))
    finished = perf_counter()

    write_labels(output / "labels.tif", seg.labels, like=image, overwrite=True)
    _write_overlay(output / "overlay.png", sample.image, seg.labels)
    ious = {p.object_id: iou(seg.labels == p.object_id, sample.labels == p.object_id) for p in prompts}
    print_objects(found, ious)
    print(f"Mean IoU of {len(ious)} nuclei in 3D: {sum(ious.values()) / len(ious):.3f}")
    speeds = len(sample.image) / (encoded - started), len(found) / (finished - encoded)
    print(f"Encoded {speeds[0]:.1f} planes/s, found {speeds[1]:.1f} masks/s")
    print(f"Wrote {output / 'labels.tif'} and {output / 'overlay.png'}")


@app.command
def embed(
    image: str,
    *,
    cache: str,
    workers: int | None = None,
    scheduler: str | None = None,
    selection: ImageOptions = WHOLE,
    options: ModelOptions = DEFAULTS,
) -> None:
    """Encode every plane of an image into a cache, going on where an earlier run was stopped.

    Parameters
    ----------
    image
        TIFF, zarr, OME-Zarr, PNG, JPEG or .npy; a folder of planes; or the URL of a zarr.
    cache
        A folder, or a URL such as s3://bucket/cache; one serves any number of images and models.
    workers
        Encode in this many processes on this machine.
    scheduler
        Encode on the dask cluster with this address, such as tcp://login-node:8786.
    """
    check_cache(cache)
    planes = prod(selection.open_stack(image).stack_shape)
    if workers is None and scheduler is None:
        seg = open_image(image, options, selection=selection, cache=cache)
        new = len(_collect(seg.embed(), "encoding", total=planes))
    else:
        from napari_sam.cli_cluster import make_job, run_job

        fetch_weights(options.model)
        job = make_job(image, cache, selection=selection, **asdict(options))  # options have the fields of `Encoding`
        new = sum(_collect(run_job(job, workers=workers, scheduler=scheduler), "encoding", total=planes))
    print(f"{planes} planes are in {cache}; {new} of them are new")


@app.command
def segment(
    image: Path,
    *,
    prompts: Path,
    output: Path,
    plane: tuple[int, ...] = (),
    walk: WalkOptions = STAY,
    overwrite: bool = False,
    cache: str | None = None,
    selection: ImageOptions = WHOLE,
    options: ModelOptions = DEFAULTS,
) -> None:
    """Segment the objects that prompts show, on their planes or through the stack.

    Parameters
    ----------
    image
        TIFF, zarr, OME-Zarr, PNG, JPEG or .npy; or a folder of planes.
    prompts
        A .json list of prompts, a .csv of points or of a napari Points or Shapes layer, or a label image (TIFF, zarr,
        PNG) in which another tool has found objects on some planes; of the full resolution.
    output
        Where the labels go, in full resolution; ends with .tif or .zarr.
    plane
        The plane of a label image that is used, or the place of a label image that is a single plane, counted from 0;
        with time and depth --plane 3 --plane 10. By default every plane that holds an object.
    overwrite
        Replace existing outputs.
    cache
        Folder in which encoded planes are kept for the next time.
    """
    from napari_sam.label_files import open_labels
    from napari_sam.lineage import trace, write_tracks
    from napari_sam.selection import enlarge, to_level

    _check_not_the_image(prompts, image, "--prompts is")
    _check_outputs((image, prompts, Path(cache or prompts)), output, walk.tracks, overwrite=overwrite)
    full = replace(selection, level=0)  # prompts and labels are of the full resolution
    like, shape = full.read(image), full.open_stack(image).spatial_shape
    walk.check(selection.orientation, like.spatial_axes)
    given = _read_prompts(prompts, like, selection.orientation, plane)
    largest = max(prompt.object_id for prompt in given)
    with open_labels(output, like, largest=largest, overwrite=overwrite) as labels:
        into = None if selection.level else labels
        seg = open_image(image, options, selection=selection, cache=cache, labels=into)
        at_level = seg.cache.stack.spatial_shape
        chosen = [to_level(prompt, shape, at_level) for prompt in given]
        if walk.propagate:
            found = _propagate(seg, chosen, walk, planes=shape[0])
        else:
            seg.segment(chosen)
        if selection.level:
            enlarge(seg.labels, labels)
        if walk.tracks is not None:
            write_tracks(walk.tracks, trace(labels), overwrite=overwrite)
    if walk.propagate:  # now that nothing can be lost: whoever reads the output may have ended
        print_objects(found)
    for path in (output, walk.tracks):
        if path is not None:
            print(f"Wrote {path}")


@app.command
def evaluate(
    image: Path,
    labels: Path,
    *,
    objects: Count = 200,
    volumes: Count = 20,
    seed: Count = 0,
    output: Path | None = None,
    overwrite: bool = False,
    cache: str | None = None,
    selection: ImageOptions = WHOLE,
    options: ModelOptions = DEFAULTS,
) -> None:
    """Score a model on an image with ground truth: clicks, boxes and propagation, beside simple baselines.

    Parameters
    ----------
    image
        TIFF, zarr, OME-Zarr, PNG, JPEG or .npy; or a folder of planes.
    labels
        Its true labels, in one of the same formats.
    objects
        How many objects to draw for prompts on single planes.
    volumes
        How many objects of a (z, y, x) stack to draw for propagation.
    seed
        Of the random draws.
    output
        File to which the results are written as well: .md for the table, .json for every single score.
    overwrite
        Replace an existing output.
    cache
        Folder in which encoded planes are kept for the next time.
    """
    from napari_sam.evaluation.report import check_report_output, write_report
    from napari_sam.evaluation.scores import score_stack
    from napari_sam.label_files import read_labels

    _check_not_the_image(labels, image, "the labels are")
    if output is not None:
        check_report_output(output, overwrite=overwrite)
    truth = np.asarray(read_labels(labels)[...])
    seg = open_image(image, options, selection=selection, cache=cache)
    scores = _collect(score_stack(seg, truth, objects=objects, volumes=volumes, seed=seed), "scoring")
    if output is not None:
        write_report(output, {image.stem: scores})
    print_scores(scores)
    if output is not None:
        print(f"Wrote {output}")


def _open_viewer() -> None:
    try:
        from napari_sam.plugin.demo import run_demo

        run_demo()
    except ModuleNotFoundError as error:
        msg = f"the viewer needs {error.name}, which is not installed: pip install 'napari-sam-stacks[all]'"
        raise ValueError(msg) from None


def _read_prompts(path: Path, image: "ImageFile", orientation: Orientation, plane: "Plane") -> "Sequence[Prompt]":
    """Read prompts or a label image for an image."""
    from napari_sam.prompt_files import read_prompts
    from napari_sam.seeds import prompts_from_label_file

    shape = image.spatial_shape
    if path.suffix.lower() not in (".json", ".csv"):
        return prompts_from_label_file(path, shape, plane=plane or None, orientation=orientation)
    if plane:
        msg = f"--plane goes with a label image; {path} says itself on which planes its prompts are"
        raise ValueError(msg)
    height, width = (shape[axis] for axis in axis_order(orientation, len(shape))[-2:])
    return read_prompts(path, plane_shape=(height, width), orientation=orientation, axes=image.spatial_axes)


def _propagate(seg: "Segmenter", prompts: "Sequence[Prompt]", walk: WalkOptions, *, planes: int) -> "list[PlaneMask]":
    """Carry objects through the stack, whose full resolution has so many planes."""
    length = seg.cache.stack.spatial_shape[0]
    start, stop = walk.range_at_level(length, planes)
    found = seg.propagate(prompts, start=start, stop=stop, components=walk.components, neighbours=walk.neighbours)
    total = len({prompt.object_id for prompt in prompts}) * length
    return _collect(found, "segmenting", total=total)


def _check_outputs(used: Sequence[Path], output: Path, tracks: Path | None, *, overwrite: bool) -> None:
    from napari_sam.label_files import check_labels_output
    from napari_sam.lineage import check_tracks_output

    check_labels_output(output, overwrite=overwrite)
    if tracks is not None:
        check_tracks_output(tracks, overwrite=overwrite)
    for path in (output, tracks):
        if path is not None and path.resolve() in [each.resolve() for each in used]:
            msg = f"the result would replace {path}, from which it is made; choose another output"
            raise ValueError(msg)


def _check_not_the_image(path: Path, image: Path, what: str) -> None:
    if path.resolve() == image.resolve():  # every grey value would be an object
        msg = f"{what} the image {image} itself; expected another file, which shows the objects in it"
        raise ValueError(msg)


def _collect(work: Iterable[T], what: str, *, total: int | None = None) -> list[T]:
    """Do the work with a progress bar on a terminal; total is the most that it may yield."""
    return list(track(work, what, total=total, console=_STDERR, transient=True, disable=not _STDERR.is_terminal))


def _write_overlay(path: Path, image: NDArray[Any], labels: NDArray[Any]) -> None:
    """Write six planes of a stack with the contours of the labels."""
    from skimage.io import imsave

    from napari_sam.overlay import draw_contours, montage

    low, high = np.percentile(image, (0.5, 99.7))
    planes = np.linspace(0, len(image) - 1, 8).round().astype(int)[1:-1]
    pictures = [draw_contours(image[z], labels[z], limits=(low, high)) for z in planes]
    imsave(path, montage(pictures), check_contrast=False)
