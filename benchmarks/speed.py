"""Seconds to encode a plane and milliseconds to decode a prompt, beside Meta's `segment-anything`, as a Markdown table.

Run ``python benchmarks/speed.py`` on an otherwise idle machine, with ``segment-anything`` installed. ViT-B has random
weights, the same in every row: speed does not depend on them, and the last column shows that the models agree.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_sam.model.config import CONFIGS
from napari_sam.model.sam import Sam, build_sam

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the table: how to encode its image and to decode one click, and whose embedding it should have."""

    name: str
    encode: Callable[[], Tensor]
    decode: Callable[[Tensor], Any]
    like: str | None = None


def main() -> None:
    """Time every contender in turn, several times over, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="encodings per model; five times as many decodings")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{_processor()}, {arguments.threads} threads, torch {torch.__version__}, medians of {arguments.repeats}\n")
    with torch.inference_mode():
        contenders = [*vit_b(), *nano()]
        print(table(contenders, arguments.repeats))


def vit_b() -> Iterator[Contender]:
    """The reference and ours, in fp32 and bf16, with the same weights."""
    image, official = torch.rand(1, 3, 1024, 1024) * 255, load_official()
    ours = build_sam(CONFIGS["vit_b"]).eval()
    for parameter in ours.parameters():  # no table of positions may stay zero
        parameter.add_(torch.randn_like(parameter) * 0.02)
    reference = None
    if official is not None:
        theirs = official.build_sam_vit_b()
        theirs.load_state_dict(ours.state_dict(), strict=True)
        reference = "segment-anything ViT-B, fp32"
        yield Contender(
            reference,
            lambda: theirs.image_encoder(theirs.preprocess(image)),
            lambda embedding: decode_official(theirs, embedding),
        )
    half = build_sam(CONFIGS["vit_b"]).eval()
    half.load_state_dict(ours.state_dict())
    half.to(torch.bfloat16)
    for name, sam in (("fp32", ours), ("bf16", half)):
        yield contender(f"napari-sam-stacks ViT-B, {name}", sam, image, like=reference)


def nano() -> Iterator[Contender]:
    """Our small model on a plane of 512 x 512."""
    image = torch.rand(1, 3, 512, 512) * 255
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        yield contender(f"napari-sam-stacks nano 512 x 512, {name}", build_sam(CONFIGS["nano"]).eval().to(dtype), image)


def contender(name: str, sam: Sam, image: Tensor, like: str | None = None) -> Contender:
    """Return the row of one of our models; the click is in the middle."""
    click = {"point_coords": torch.tensor([[image.shape[-2:]]]) / 2, "point_labels": torch.ones(1, 1)}
    return Contender(
        name,
        lambda: sam.encode(image),
        lambda embedding: sam.decode(embedding, **click, multimask_output=True),
        like,
    )


def decode_official(theirs: Any, embedding: Tensor) -> Any:
    """Decode one click as `SamPredictor` does."""
    points = (torch.tensor([[[512.0, 512.0]]]), torch.ones(1, 1))
    sparse, dense = theirs.prompt_encoder(points=points, boxes=None, masks=None)
    return theirs.mask_decoder(
        image_embeddings=embedding,
        image_pe=theirs.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
    )


def load_official() -> ModuleType | None:
    """`segment_anything.build_sam` without the package's top level, which wants torchvision; None if not installed."""
    spec = find_spec("segment_anything")
    if spec is None:
        return None
    parent = ModuleType("segment_anything")
    parent.__path__ = list(spec.submodule_search_locations or ())
    sys.modules["segment_anything"] = parent
    return importlib.import_module("segment_anything.build_sam")


def table(contenders: list[Contender], repeats: int) -> str:
    """Measure in rounds, so that a busy moment hits every row alike; the first round warms up and is not counted."""
    encode: dict[str, list[float]] = defaultdict(list)
    decode: dict[str, list[float]] = defaultdict(list)
    embeddings: dict[str, Tensor] = {}
    for _ in range(1 + repeats):
        for each in contenders:
            seconds, embeddings[each.name] = timed(each.encode)
            encode[each.name].append(seconds)
            again = partial(each.decode, embeddings[each.name])
            decode[each.name] += [timed(again)[0] for _ in range(5)]
    lines = ["| model | encode, s per plane | decode, ms per prompt | largest difference |", "|---|---|---|---|"]
    for each in contenders:
        seconds = statistics.median(encode[each.name][1:])
        milliseconds = 1000 * statistics.median(decode[each.name][5:])
        far = f"{(embeddings[each.name].float() - embeddings[each.like]).abs().max():.1e}" if each.like else ""
        lines.append(f"| {each.name} | {seconds:.2f} | {milliseconds:.0f} | {far} |")
    return "\n".join(lines)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return seconds and result of a call."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


if __name__ == "__main__":
    main()
