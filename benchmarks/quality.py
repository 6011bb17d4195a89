"""Score a model on real microscopy: clicks, boxes and propagation on every data set, beside baselines without a model.

    python benchmarks/quality.py --model nano --output quality.json

writes quality.json with every score, and quality.md with the tables. Deterministic for a seed.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import tifffile
from cyclopts import App

from napari_sam import Segmenter, load_sam
from napari_sam.cache import EmbeddingCache
from napari_sam.contrast import estimate_contrast
from napari_sam.evaluation.report import to_json, to_markdown
from napari_sam.evaluation.scores import Score, Target, plane_targets, score_planes, score_volume
from napari_sam.model.sam import Sam
from napari_sam.stack import open_stack

DATA = Path(__file__).parents[2] / "shared" / "data" / "dev"

app = App()


@app.default
def main(
    *,
    output: Path,
    model: str = "nano",
    data: Path = DATA,
    sets: list[str] | None = None,
    objects_per_set: int | None = 200,
    seed: int = 0,
    planes: bool = True,
    volumes: bool = True,
) -> None:
    """Score a model on the data sets in a folder.

    Parameters
    ----------
    output
        The .json file; the tables go beside it as .md.
    model
        A name that `sam-stacks models` lists, or a checkpoint file.
    data
        Folder with 2d/*.npz and 3d/*_image.tif, see its README.
    sets
        Names of data sets; all by default.
    objects_per_set
        How many objects to draw per set for prompts on single planes; 0 takes all.
    seed
        Of the draw.
    planes
        Score prompts on single planes.
    volumes
        Score propagation.
    """
    sam = load_sam(model)
    count = objects_per_set or None
    on_planes: dict[str, list[Score]] = {}
    through_volumes: dict[str, list[Score]] = {}
    for name in names(data, sets):
        started = perf_counter()
        if planes:
            scorer = score_pictures if (data / "2d" / f"{name}.npz").exists() else score_volume_planes
            on_planes[name] = list(scorer(sam, data, name, count, seed))
        if volumes and (data / "3d" / f"{name}_image.tif").exists():
            through_volumes[name] = list(score_through_volume(sam, data, name))
        print(f"{name}: {perf_counter() - started:.0f} s", file=sys.stderr)
    report = {
        "model": model,
        "weights_sha256": sam.weights_sha256,
        "seed": seed,
        "objects_per_set": count,
        "planes": to_json(on_planes),
        "volumes": to_json(through_volumes),
    }
    output.write_text(json.dumps(report), encoding="utf-8")
    tables = [to_markdown(table) for table in (on_planes, through_volumes) if table]
    text = f"Mean IoU per object of {model} on {data}, seed {seed}.\n\n" + "\n".join(tables)
    output.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


def names(data: Path, chosen: list[str] | None) -> list[str]:
    """Return the data sets that are there, or those chosen."""
    there = [path.stem for path in sorted(data.glob("2d/*.npz"))]
    there += [path.name.removesuffix("_image.tif") for path in sorted(data.glob("3d/*_image.tif"))]
    if unknown := set(chosen or ()) - set(there):
        sys.exit(f"{', '.join(sorted(unknown))} not in {data}; there are {', '.join(there)}")
    return chosen or there


def score_pictures(sam: Sam, data: Path, name: str, count: int | None, seed: int) -> Iterator[Score]:
    """Score objects drawn over all pictures of a set; the plane of a score is the number of the picture."""
    arrays = np.load(data / "2d" / f"{name}.npz")
    pictures = sorted(key.removeprefix("img_") for key in arrays.files if key.startswith("img_"))
    found = [(key, target) for key in pictures for target in plane_targets(arrays[f"lab_{key}"])]
    drawn = np.random.default_rng(seed).permutation(len(found))[:count]
    for key in pictures:
        targets = [found[i][1] for i in sorted(drawn) if found[i][0] == key]
        if targets:
            for score in score_planes(in_memory(sam, arrays[f"img_{key}"]), arrays[f"lab_{key}"], targets):
                yield replace(score, target=replace(score.target, plane=(int(key),)))


def score_volume_planes(sam: Sam, data: Path, name: str, count: int | None, seed: int) -> Iterator[Score]:
    """Score objects drawn over all planes of a volume, each on its plane."""
    image, truth = read_volume(data, name)
    return score_planes(in_memory(sam, image), truth, plane_targets(truth, count=count, seed=seed))


def score_through_volume(sam: Sam, data: Path, name: str) -> Iterator[Score]:
    """Score propagation of the objects that eval_objects.json picks, from the planes that it picks."""
    image, truth = read_volume(data, name)
    picked = json.loads((data / "3d" / "eval_objects.json").read_text())[name]["picked"]
    targets = [Target(each["id"], (each["start_z"],), tuple(each["start_yx"])) for each in picked]
    return score_volume(Segmenter(image, sam), truth, targets)


def read_volume(data: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read image and labels, both (z, y, x)."""
    image, labels = (tifffile.imread(data / "3d" / f"{name}_{what}.tif") for what in ("image", "labels"))
    return image, labels


def in_memory(sam: Sam, image: np.ndarray) -> EmbeddingCache:
    """Encode planes of a grey stack or of one RGB picture when they are asked for."""
    stack = open_stack(image, rgb=image.shape[-1] == 3)
    return EmbeddingCache.open(None, sam=sam, stack=stack, contrast=estimate_contrast(stack))


if __name__ == "__main__":
    app()
