"""Look at what a model does well and badly: a sheet of objects for each way of prompting, the worst first.

    python benchmarks/gallery.py --output gallery/                       # the real images of ../shared/data/dev
    python benchmarks/gallery.py --output docs/images --made-up          # stacks made on the spot, as in the model card

On each picture the truth is orange and the answer is blue; the number in its name is the mean IoU of the sheet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import quality
from cyclopts import App
from skimage.io import imsave
from skimage.transform import resize

from napari_sam import Prompt, Segmenter, load_sam
from napari_sam.evaluation.scores import first_prompt, iou, plane_targets
from napari_sam.model.sam import Sam
from napari_sam.overlay import draw_contours, montage
from napari_sam.training import synthetic

MADE_UP = {"packed nuclei": synthetic.make_packed_stack, "drawn at random": synthetic.make_stack}
_SIDE = 160  # pixels of a picture before its contours are drawn

app = App()


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One object with what a model said.

    Attributes
    ----------
    pixels, truth, mask : ndarray
        Of the plane.
    """

    pixels: np.ndarray
    truth: np.ndarray
    mask: np.ndarray

    @property
    def iou(self) -> float:
        """Intersection over union of truth and answer."""
        return iou(self.truth, self.mask)


@app.default
def main(
    *,
    output: Path,
    model: str = "nano",
    data: Path = quality.DATA,
    made_up: bool = False,
    objects: int = 60,
    seed: int = 0,
) -> None:
    """Write a sheet of the worst, middling and best objects of each set, for a click and for a box.

    Parameters
    ----------
    output
        Folder for the pictures.
    model
        A name that `sam-stacks models` lists, or a checkpoint file.
    data
        Folder with 2d/*.npz, see its README.
    made_up
        Use made-up stacks instead of the data.
    objects
        How many to draw from each set.
    seed
        Of all chance.
    """
    sam = load_sam(model)
    output.mkdir(parents=True, exist_ok=True)
    sets = made_up_planes(seed) if made_up else {path.stem: planes_of(path) for path in sorted(data.glob("2d/*.npz"))}
    for name, planes in sets.items():
        for way in ("click", "box"):
            answers = sorted(answer(sam, planes, way, objects, seed), key=lambda each: each.iou)
            chosen = [answers[i] for i in np.linspace(0, len(answers) - 1, 16).round().astype(int)]
            path = output / f"{name.replace(' ', '-')}-{way}.png"
            imsave(path, montage([picture(each) for each in chosen]), check_contrast=False)
            print(f"{path}: mean IoU {np.mean([each.iou for each in answers]):.3f} of {len(answers)} objects")


def made_up_planes(seed: int) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Make stacks up and take their middle planes."""
    sets = {}
    for name, make in MADE_UP.items():
        stacks = [make((5, 256, 256), np.random.default_rng([seed, i])) for i in range(12)]
        sets[name] = [(image[2], labels[2]) for image, labels in stacks]
    return sets


def planes_of(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read the pictures of a set with their labels."""
    with np.load(path) as file:
        keys = sorted(key.removeprefix("img_") for key in file.files if key.startswith("img_"))
        return [(file[f"img_{key}"], file[f"lab_{key}"]) for key in keys]


def answer(
    sam: Sam, planes: list[tuple[np.ndarray, np.ndarray]], way: str, objects: int, seed: int
) -> Iterator[Answer]:
    """Prompt for objects drawn over all planes."""
    rng = np.random.default_rng(seed)
    each = max(1, objects // len(planes))
    for pixels, truth in (planes[i] for i in rng.permutation(len(planes))[:objects]):
        seg = Segmenter(pixels, sam, rgb=pixels.ndim == 3)
        for target in plane_targets(truth, count=each, seed=seed):
            prompt = first_prompt(truth, target, box=way == "box")
            shown = prompt if way == "click" else Prompt(box=prompt.box)
            yield Answer(pixels, truth == target.object_id, seg.predict(shown).masks[0])


def picture(found: Answer) -> np.ndarray:
    """Cut an object out with its surroundings, the picture alone and with the contours of truth and answer."""
    rows, columns = np.nonzero(found.truth)
    reach = int(max(np.ptp(rows), np.ptp(columns)) * 0.9) + 8
    window = tuple(slice(max(0, int(middle) - reach), int(middle) + reach) for middle in (rows.mean(), columns.mean()))
    shown = found.pixels[window].astype(np.float32)
    low, high = np.percentile(shown, (0.5, 99.5))
    shown = resize(shown, (_SIDE, _SIDE, *shown.shape[2:]), order=1, preserve_range=True)
    truth, mask = (resize(each[window], (_SIDE, _SIDE), order=0) for each in (found.truth, found.mask))
    plain = draw_contours(shown, np.zeros(truth.shape, int), limits=(low, high))
    drawn = draw_contours(shown, np.where(mask, 2, 0), limits=(low, high))
    edges = draw_contours(shown, truth.astype(int), limits=(low, high))
    drawn = np.where((edges != plain).any(-1, keepdims=True), edges, drawn)
    return np.concatenate([plain, drawn], axis=1)


if __name__ == "__main__":
    app()
