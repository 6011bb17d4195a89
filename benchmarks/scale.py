"""What a plane costs on its way into the cache and out of it: the figures behind docs/explanation/scale.md.

Run ``python benchmarks/scale.py``. Times are processor seconds of one thread, which a busy machine hardly changes;
operations are counted on a model without memory, bytes and requests on a store that counts.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import Counter
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, ClassVar

import torch
import zarr.storage
from torch.utils.flop_counter import FlopCounterMode

from napari_sam import cache_store, load_sam
from napari_sam.cache import EmbeddingCache
from napari_sam.contrast import estimate_contrast
from napari_sam.model.config import CONFIGS
from napari_sam.model.sam import build_sam
from napari_sam.sample import make_nuclei_stack
from napari_sam.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = {"nano": 512}  # of a tile; the official models see 1024


class Counting(zarr.storage.LocalStore):
    """A folder that counts what is asked of it."""

    requests: ClassVar[Counter[str]] = Counter()

    async def get(self, key, *args, **kwargs):
        """Count a read."""
        self.requests["get"] += 1
        return await super().get(key, *args, **kwargs)

    async def set(self, key, value):
        """Count a write, and its bytes."""
        self.requests["put"] += 1
        self.requests["bytes"] += len(value)
        return await super().set(key, value)


def main() -> None:
    """Print one table of operations and one of what was measured with a model that is here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--planes", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| encoder | plane | operations |\n|---|---|---|")
    for name in CONFIGS:
        side = SIDE.get(name, 1024)
        print(f"| {name} | {side} x {side} | {operations(name, side) / 1e12:.3g} TFLOP |")
    for what, value in measured(arguments.model, arguments.planes).items():
        print(f"{what}: {value}")


def operations(name: str, side: int) -> int:
    """Floating-point operations of one plane through an encoder; a multiplication and an addition are two."""
    with torch.device("meta"):
        sam = build_sam(CONFIGS[name]).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        sam.image_encoder(torch.empty(1, 3, side, side, device="meta"))
    return counter.get_total_flops()


def measured(name: str, planes: int) -> dict[str, str]:
    """Encode planes into a cache that counts, then read them back."""
    side = SIDE.get(name, 1024)
    stack = open_stack(make_nuclei_stack((planes, side, side), seed=0).image)
    sam = load_sam(name, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        cache_store.LocalStore = Counting
        cache = EmbeddingCache.open(Path(folder), sam=sam, stack=stack, contrast=estimate_contrast(stack))
        pixels = stack.read((0,))
        encoded = cache.put((0,), 1, cache.get_or_encode((0,)))
        Counting.requests.clear()
        write = median(lambda z: cache.put((z,), z + 1, encoded), planes)
        written = Counting.requests.copy()
        Counting.requests.clear()
        read = median(lambda z: cache.store.read((z,), z + 1), planes)
        asked = Counting.requests["get"]
        ready = median(lambda z: cache.get((z,), z + 1), planes)
        encode = median(lambda z: sam.encode(torch.rand(1, 3, side, side) * 255), 3)
    shape = tuple(encoded.image_embedding.shape)
    raw, stored = (each / 2**20 for each in (2 * encoded.image_embedding.numel(), written["bytes"] / planes))
    return {
        f"{name}, {side} x {side}, pixels": f"{pixels.nbytes / 2**20:.2f} MiB ({pixels.dtype})",
        "encode": f"{encode:.3f} s",
        "embedding": f"{shape}, {raw:.2f} MiB, stored {stored:.2f} MiB",
        "write": f"{write * 1e3:.0f} ms, {written['put'] / planes:g} requests",
        "read": f"{read * 1e3:.1f} ms, {asked / planes:g} requests",
        "read, ready to decode": f"{ready * 1e3:.1f} ms",
    }


def median(function: Callable[[int], object], times: int) -> float:
    """Processor seconds of a call."""
    seconds = []
    with torch.inference_mode():
        for z in range(times):
            start = process_time()
            function(z)
            seconds.append(process_time() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
