"""Time to encode a plane and to decode prompts, beside Meta's `segment-anything`, as a Markdown table.

Run ``python benchmarks/speed.py`` on an otherwise idle machine, with ``segment-anything`` installed; ``--quick`` takes
less than a minute, ``--cpu-time`` suits a busy machine. ViT-B has random weights, the same in every row, drawn from
``--seed``: speed does not depend on them, and the table shows that the models agree. nano has its own, because it
decodes in a window whose size depends on what it finds: the image shows discs. Masks are counted as ready when they are
boolean and of the plane's size: one click with three masks, then many boxes with one mask each.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam.checkpoints import load_sam
from napari_sam.embeddings import ImageEmbedding
from napari_sam.image import Frame
from napari_sam.model.config import CONFIGS
from napari_sam.model.sam import Sam, build_sam
from napari_sam.plane_embedding import PlaneEmbedding
from napari_sam.prompts import Prompt
from napari_sam.views import Embedding, predict
from napari_sam.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Box = tuple[int, int, int, int]  # x0, y0, x1, y1


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the table: what it does, how many boxes it is given at once, and the row that it is compared with."""

    name: str
    encode: Callable[[], Tensor]
    click: Callable[[Tensor], Tensor]  # image embedding -> masks (3, h, w)
    boxes: Callable[[Tensor], Tensor]  # image embedding -> masks (P, h, w)
    many: int
    like: str | None = None


@dataclass(slots=True)
class Figures:
    """What was measured of one contender: times in seconds, and its last results."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    results: dict[str, Tensor] = field(default_factory=dict)

    def measure(self, step: str, function: Callable[[], Tensor], clock: Callable[[], float]) -> Tensor:
        """Do a step, and keep its time and its result."""
        start = clock()
        self.results[step] = function()
        self.times[step].append(clock() - start)
        return self.results[step]

    def median(self, step: str) -> float:
        """Return the median time of a step."""
        first, *others = self.times[step]  # the first call warms up
        return statistics.median(others or [first])


def main() -> None:
    """Time every contender in turn, several times over, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="rounds that are counted, after one that is not")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--many", type=int, help="boxes on one plane for ViT-B, by default 64; 8 with --quick")
    parser.add_argument("--quick", action="store_true", help="one round, ViT-B encodes with a block of either kind")
    parser.add_argument("--cpu-time", action="store_true", help="processor seconds of one thread, not elapsed ones")
    parser.add_argument("--seed", type=int, default=0, help="of ViT-B's weights and of the images")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    if arguments.cpu_time:
        arguments.threads = 1
    if arguments.quick:
        arguments.repeats = 1
    many = arguments.many or (8 if arguments.quick else 64)
    torch.set_num_threads(arguments.threads)
    print(f"{_processor()}, {arguments.threads} threads, torch {torch.__version__}, medians of {arguments.repeats}\n")
    with torch.inference_mode():
        contenders = [*vit_b(many, quick=arguments.quick), *nano()]
        clock = time.process_time if arguments.cpu_time else time.perf_counter
        print(table(contenders, measured(contenders, arguments.repeats, clock)))


def vit_b(many: int, *, quick: bool) -> Iterator[Contender]:
    """The reference and ours, in fp32 and bf16, with the same weights."""
    config = CONFIGS["vit_b"]
    if quick:
        encoder: Any = config.image_encoder
        config = replace(config, image_encoder=replace(encoder, depth=2, global_attn_indexes=(1,)))
    image, ours, official = torch.rand(1, 3, 1024, 1024) * 255, build_sam(config).eval(), load_official()
    for parameter in ours.parameters():  # no table of positions may stay zero
        parameter.add_(torch.randn_like(parameter) * 0.02)
    reference = None
    if official is not None:
        theirs = build_official(official, ours)
        edges = torch.tensor(boxes(many, 1024)) + torch.tensor([-0.5, -0.5, 0.5, 0.5])
        reference = "segment-anything ViT-B, fp32"
        yield Contender(
            reference,
            lambda: theirs.image_encoder(theirs.preprocess(image)),
            partial(decode_official, theirs, points=(torch.tensor([[[512.0, 512.0]]]), torch.ones(1, 1))),
            partial(decode_official, theirs, boxes=edges),
            many,
        )
    half = build_sam(config).eval()
    half.load_state_dict(ours.state_dict())
    half.to(torch.bfloat16)
    for name, sam in (("fp32", ours), ("bf16", half)):
        yield contender(f"napari-sam-stacks ViT-B, {name}", sam, image, many, like=reference)


def nano() -> Iterator[Contender]:
    """Our small model on a plane of 512 x 512 with 20 discs."""
    image = torch.rand(1, 3, 512, 512) * 50
    across = torch.arange(512.0)
    for x0, y0, x1, y1 in [*boxes(20, 512), (224, 224, 288, 288)]:
        distance = torch.hypot(across[:, None] - (y0 + y1) / 2, across - (x0 + x1) / 2)
        image[..., distance <= (x1 - x0) / 2] += 150
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        sam = load_sam("nano", device="cpu", dtype=dtype)
        yield contender(f"napari-sam-stacks nano 512 x 512, {name}", sam, image, 20)


def contender(name: str, sam: Sam, image: Tensor, many: int, like: str | None = None) -> Contender:
    """Return the row of one of our models; the click is in the middle."""
    side = image.shape[-1]
    frame = Frame.for_plane((side, side), sam.config.grid)
    windows = Windows.choose((side, side), sam.config, None)
    click = [Prompt(points=[(side / 2, side / 2)], point_labels=[1])]
    given = [Prompt(box=[(y0, x0), (y1, x1)]) for x0, y0, x1, y1 in boxes(many, side)]

    def look_closer(view: Frame) -> ImageEmbedding:
        enlarged = F.interpolate(image[..., *view.window], view.input_size, mode="bilinear")
        return ImageEmbedding(sam.encode(enlarged)[0], view)

    def masks(prompts: Sequence[Prompt], image_embedding: Tensor) -> Tensor:
        whole: Embedding = ImageEmbedding(image_embedding[0], frame)
        seen = PlaneEmbedding(windows, lambda _: whole, look_closer) if windows else whole
        predictions = predict(sam, seen, prompts)
        return torch.cat([torch.from_numpy(each.masks) for each in predictions])

    return Contender(name, lambda: sam.encode(image), partial(masks, click), partial(masks, given), many, like)


def boxes(count: int, side: int) -> list[Box]:
    """Return boxes of an eighth of the side, spread over the plane; pixels, both ends included."""
    generator = torch.Generator().manual_seed(0)
    corners = (torch.rand(count, 2, generator=generator) * side * 7 / 8).int().tolist()
    return [(x, y, x + side // 8, y + side // 8) for x, y in corners]


def load_official() -> ModuleType | None:
    """`segment_anything.build_sam` without the package's top level, which wants torchvision; None if not installed."""
    spec = find_spec("segment_anything")
    if spec is None:
        return None
    parent = ModuleType("segment_anything")
    parent.__path__ = list(spec.submodule_search_locations or ())
    sys.modules["segment_anything"] = parent
    return importlib.import_module("segment_anything.build_sam")


def build_official(official: ModuleType, ours: Sam) -> Any:
    """Build the reference with our depth and our weights."""
    encoder: Any = ours.config.image_encoder
    theirs = official._build_sam(
        encoder_embed_dim=encoder.embed_dim,
        encoder_depth=encoder.depth,
        encoder_num_heads=encoder.num_heads,
        encoder_global_attn_indexes=encoder.global_attn_indexes,
    ).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return theirs


def decode_official(theirs: Any, embedding: Tensor, *, points: Any = None, boxes: Tensor | None = None) -> Tensor:
    """Decode prompts as `SamPredictor.predict_torch` does; boxes give one mask, clicks three."""
    sparse, dense = theirs.prompt_encoder(points=points, boxes=boxes, masks=None)
    logits, _ = theirs.mask_decoder(
        image_embeddings=embedding,
        image_pe=theirs.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=boxes is None,
    )
    masks = theirs.postprocess_masks(logits, (1024, 1024), (1024, 1024)) > theirs.mask_threshold
    return masks.flatten(0, 1)


def measured(contenders: list[Contender], repeats: int, clock: Callable[[], float]) -> dict[str, Figures]:
    """Measure in rounds, so that a busy moment hits every row alike; the first round warms up."""
    figures = {each.name: Figures() for each in contenders}
    for _ in range(1 + repeats):
        for each in contenders:
            mine = figures[each.name]
            embedding = mine.measure("encode", each.encode, clock)
            for _ in range(3):
                mine.measure("click", partial(each.click, embedding), clock)
            mine.measure("boxes", partial(each.boxes, embedding), clock)
    return figures


def table(contenders: list[Contender], figures: dict[str, Figures]) -> str:
    """Return the medians, how many times as fast as the reference that is, and how alike the results are."""
    lines = [
        "| model | encode a plane | decode a click | each of many boxes | embedding cosine | mask IoU |",
        "|---|---|---|---|---|---|",
    ]
    for each in contenders:
        mine, theirs = figures[each.name], figures.get(each.like or "")
        units = (
            ("encode", 1.0, "{:.2f} s"),
            ("click", 1000.0, "{:.0f} ms"),
            ("boxes", 1000.0 / each.many, "{:.0f} ms"),
        )
        cells = [each.name]
        for step, scale, text in units:
            times = f" ({theirs.median(step) / mine.median(step):.1f}x)" if theirs else ""
            cells.append(text.format(scale * mine.median(step)) + times)
        cells[-1] += f" of {each.many}"
        cells += [f"{cosine(mine, theirs):.5f}", f"{mask_iou(mine, theirs):.4f}"] if theirs else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def cosine(mine: Figures, theirs: Figures) -> float:
    """Cosine of the angle between two image embeddings."""
    a, b = (each.results["encode"].double().flatten() for each in (mine, theirs))
    return float(torch.cosine_similarity(a, b, dim=0))


def mask_iou(mine: Figures, theirs: Figures) -> float:
    """Mean IoU of the masks of the boxes."""
    a, b = (each.results["boxes"].flatten(1) for each in (mine, theirs))
    return float(((a & b).sum(1) / (a | b).sum(1).clamp(min=1)).mean())


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


if __name__ == "__main__":
    main()
