"""Run by test_cache.py as ``killed_writers.py FOLDER``: processes that fill caches, some of them killed on the way.

In ``FOLDER/killed`` twenty writers are killed one after the other and a last one finishes; in ``FOLDER/undisturbed``
one writer works alone; in ``FOLDER/together`` two fill one cache; in ``FOLDER/survivor`` one of two is killed. Prints,
as JSON, which planes were reported as stored in each, and which were encoded though they were stored.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from napari_sam.cache import EmbeddingCache
from napari_sam.contrast import Contrast
from napari_sam.model.config import DecoderConfig, InputGrid, SamConfig, ViTConfig
from napari_sam.model.sam import build_sam
from napari_sam.stack import open_stack

PLANES = 100
KILLS = 20


def write(folder, report):
    """Fill the cache of a stack that is the same each time."""
    torch.manual_seed(0)
    vit = ViTConfig(embed_dim=32, depth=1, num_heads=2, global_attn_indexes=(), img_size=64, out_chans=32)
    decoder = DecoderConfig(dim=32, num_heads=2, mlp_dim=32)
    grid = InputGrid(shortest=64, longest=64, multiple=64)
    sam = build_sam(SamConfig(name="tiny", image_encoder=vit, decoder=decoder, grid=grid)).eval()
    stack = open_stack(np.random.default_rng(0).integers(0, 4096, (PLANES, 64, 64), dtype=np.uint16))
    cache = EmbeddingCache.open(folder, sam=sam, stack=stack, contrast=Contrast("limits", (0,), (4096,)))
    for (z,) in cache.embed():
        os.write(report, bytes([z]))


def start(folder):
    """Fork a writer, from a process that has no threads yet; return its id and where it reports."""
    read, report = os.pipe()
    process = os.fork()
    if process == 0:
        write(folder, report)
        os._exit(0)
    os.close(report)
    return process, read


def finish(process, read):
    with os.fdopen(read, "rb") as reports:
        stored = list(reports.read())
    if os.waitpid(process, 0)[1] != 0:
        sys.exit("a writer failed")
    return stored


def kill(process, read, moment):
    """Kill a writer some milliseconds after some planes: in the middle of encoding, of writing or between the two."""
    with os.fdopen(read, "rb") as reports:
        stored = list(reports.read(moment.randrange(PLANES // KILLS)))
        time.sleep(moment.uniform(0, 0.01))
        os.kill(process, signal.SIGKILL)
        stored += reports.read()
    os.waitpid(process, 0)
    return stored


def finished(folder):
    """Return the planes whose hash is there, as it is written last; without zarr, whose threads cannot be forked."""
    return {int(path.name) for path in folder.glob("*/*/plane_hash/c/*") if path.name.isdigit()}


def one_after_the_other(folder, moment):
    """Kill many writers, let a last one finish."""
    stored, again = [], []
    for _ in range(KILLS):
        before = finished(folder)
        reported = kill(*start(folder), moment)
        stored += reported
        again += before & set(reported)
    before = finished(folder)
    reported = finish(*start(folder))
    return {"stored": stored + reported, "again": again + sorted(before & set(reported))}


def one_of_two(folder, moment):
    """Kill one of two writers and let the other one finish; a third finds nothing to do."""
    killed, survivor = start(folder), start(folder)
    stored = kill(*killed, moment)
    stored += finish(*survivor)
    return {"stored": stored, "again": finish(*start(folder))}


def main(folder):
    torch.set_num_threads(1)
    moment = random.Random(0)
    report = {
        "killed": one_after_the_other(folder / "killed", moment),
        "undisturbed": {"stored": finish(*start(folder / "undisturbed"))},
        "survivor": one_of_two(folder / "survivor", moment),
    }
    together = [start(folder / "together") for _ in range(2)]
    report["together"] = {"stored": [z for writer in together for z in finish(*writer)]}
    report["together"]["again"] = finish(*start(folder / "together"))
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
