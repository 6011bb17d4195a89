"""How long a user waits for nano on a fresh stack of 100 planes of 512 x 512, as a Markdown table.

Run ``python benchmarks/wait.py`` on an otherwise idle machine. The stack shows one plane of nuclei a hundred times,
each time in other noise: every object goes through all planes. Times are elapsed; the model has been loaded before.
"""

from __future__ import annotations

import argparse
import platform
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_sam import Prompt, Segmenter, load_sam, prompts_from_labels
from napari_sam.sample import make_nuclei_stack
from napari_sam.step import interior_points

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.model.sam import Sam

SIDE, MIDDLE = 512, 6


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planes", type=int, default=100)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--bfloat16", action="store_true", help="run the model in bfloat16")
    arguments = parser.parse_args()
    sam = load_sam("nano", dtype=torch.bfloat16 if arguments.bfloat16 else torch.float32)
    stack, prompts = make_stack(arguments.planes)
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}\n"
    )
    print("| on a fresh stack | |\n|---|--:|")
    for name, value in measure(sam, stack, prompts, arguments.objects):
        print(f"| {name} | {value} |", flush=True)


def make_stack(planes: int) -> tuple[NDArray[Any], list[Prompt]]:
    """Return the stack, and a mask of each nucleus on its middle plane, the largest first."""
    sample = make_nuclei_stack((2 * MIDDLE, SIDE, SIDE))
    noise = np.random.default_rng(0).normal(0, 20, (planes, SIDE, SIDE))
    stack = (sample.image[MIDDLE] + noise).clip(0, None).astype(np.uint16)
    labels = np.zeros(stack.shape, np.uint16)
    labels[planes // 2] = sample.labels[MIDDLE]
    prompts = list(prompts_from_labels(labels, [(planes // 2,)]))
    return stack, sorted(prompts, key=lambda prompt: -prompt.mask.area if prompt.mask else 0)


def measure(
    sam: Sam, stack: NDArray[Any], prompts: Sequence[Prompt], counts: Sequence[int]
) -> Iterator[tuple[str, str]]:
    """Yield what was waited for, and how long."""
    click = clicked(prompts[0])
    Segmenter(stack[:2], sam).predict(Prompt((0,), click.points))  # what is imported is imported
    start = perf_counter()
    seg = Segmenter(stack, sam)
    seg.predict(click)
    yield "first click to its masks", f"{1e3 * (perf_counter() - start):.0f} ms"
    start = perf_counter()
    seg.predict(click)
    yield "next click on the plane", f"{1e3 * (perf_counter() - start):.0f} ms"
    for what in ("planes encoded on the way", "planes encoded before"):
        for count in counts if "before" in what else counts[:1]:
            start = perf_counter()
            found = len(list(seg.propagate(prompts[:count]))) / count
            seconds = perf_counter() - start
            yield f"{count} object{'s' * (count > 1)}, {what}", f"{found / seconds:.1f} planes/s"
            seg.labels[...] = 0


def clicked(prompt: Prompt) -> Prompt:
    """Click deep inside a painted object instead."""
    assert prompt.mask is not None
    return Prompt(prompt.plane, interior_points(prompt.mask, 1))


if __name__ == "__main__":
    main()
