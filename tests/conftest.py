"""What several test modules share."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from napari_sam.model.config import DecoderConfig, InputGrid, SamConfig, ViTConfig
from napari_sam.model.sam import Sam, build_sam

# Two workers and a busy machine: how long one example takes says nothing.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Downloads, embeddings and lists of models never go to the cache folder of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_SAM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real microscopy with ground truth, which is not part of the repository."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NAPARI_SAM_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; NAPARI_SAM_SHARED_DATA may name another folder")
    return folder


@pytest.fixture(scope="session")
def tiny_sam() -> Sam:
    """A real `Sam` of 64 x 64 model pixels with random weights, for all that is not about quality."""
    vit = ViTConfig(
        embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), img_size=64, window_size=2, out_chans=32
    )
    decoder = DecoderConfig(dim=32, num_heads=2, mlp_dim=32, iou_hidden=16, mask_in_chans=8, unit=64)
    grid = InputGrid(shortest=64, longest=64, multiple=64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_sam(SamConfig(name="tiny", image_encoder=vit, decoder=decoder, grid=grid)).eval()


@pytest.fixture
def encoder(tiny_sam: Sam) -> Iterator[Counter[str]]:
    """A counter of the images, planes or tiles, that went through the image encoder of `tiny_sam`."""
    counter: Counter[str] = Counter()
    handle = tiny_sam.image_encoder.register_forward_hook(lambda _, images, __: counter.update(images=len(images[0])))
    yield counter
    handle.remove()
