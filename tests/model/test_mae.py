"""Masked autoencoding: what is hidden stays hidden, and a ViT's visible patches see each other as they always do."""

import pytest
import torch

from napari_sam.model.config import NanoEncoderConfig, ViTConfig
from napari_sam.model.image_encoder import ImageEncoderViT
from napari_sam.model.mae import MaskedAutoencoder, encode_visible_tokens, normalised_patches, patches
from napari_sam.model.nano_encoder import NanoEncoder

VIT = ViTConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), img_size=64, window_size=2, out_chans=32)
NANO = NanoEncoderConfig(width=16, skips=(4, 4), blocks=(1, 1, 1))


def build(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "vit":
            return MaskedAutoencoder(random_vit(), VIT, dim=16)
        return MaskedAutoencoder(NanoEncoder(NANO), NANO, dim=16)


@pytest.fixture(params=["vit", "nano"])
def autoencoder(request):
    return build(request.param)


def random_vit():
    """With positions and distances that are not zero."""
    encoder = ImageEncoderViT(VIT)
    for name, parameter in encoder.named_parameters():
        if "pos" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return encoder


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def checkerboard(autoencoder):
    side = 64 // autoencoder.patch_size
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return ((rows + columns) % 2 == 0).expand(2, -1, -1)


def test_hidden_pixels_change_nothing_in_the_reconstruction(autoencoder, images):
    visible = checkerboard(autoencoder)
    hidden = ~visible.repeat_interleave(autoencoder.patch_size, 1).repeat_interleave(autoencoder.patch_size, 2)
    changed = torch.where(hidden[:, None], torch.randn_like(images), images)
    assert torch.equal(autoencoder.reconstruct(images, visible), autoencoder.reconstruct(changed, visible))


def test_only_hidden_patches_count(autoencoder, images):
    visible = checkerboard(autoencoder)
    guess = autoencoder.reconstruct(images, visible)
    error = (guess - normalised_patches(images, autoencoder.patch_size)) ** 2
    hidden = ~visible.repeat_interleave(autoencoder.patch_size, 1).repeat_interleave(autoencoder.patch_size, 2)
    expected = error.permute(0, 2, 3, 1)[hidden].mean()
    torch.testing.assert_close(autoencoder(images, visible), expected)


@pytest.mark.parametrize("kind", ["vit", "nano"])
def test_gradients_reach_the_encoder(kind):
    with torch.inference_mode(mode=False):
        autoencoder = build(kind)
        torch.nn.init.normal_(autoencoder.blocks[0].conv2.weight)
        autoencoder(torch.randn(2, 3, 64, 64), checkerboard(autoencoder)).backward()
    first = next(autoencoder.image_encoder.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


def test_the_encoder_has_no_hooks_left(autoencoder, images):
    autoencoder(images, checkerboard(autoencoder))
    assert not any(module._forward_hooks for module in autoencoder.modules())


def test_a_vit_that_sees_all_patches_does_what_it_does_on_the_grid(images):
    torch.manual_seed(0)
    encoder = random_vit()
    x = encoder.patch_embed(images) + encoder.pos_embed
    for block in encoder.blocks:
        x = block(x)
    seen = encode_visible_tokens(encoder, images, torch.ones(2, 4, 4, dtype=torch.bool))
    torch.testing.assert_close(seen, x.permute(0, 3, 1, 2), atol=1e-5, rtol=1e-5)


def test_a_normalised_patch_has_mean_0_and_deviation_1(images):
    cut = patches(normalised_patches(images * 7 + 3, 16), 16)
    torch.testing.assert_close(cut.mean(-1), torch.zeros(2, 4, 4), atol=1e-4, rtol=0)
    torch.testing.assert_close(cut.std(-1), torch.ones(2, 4, 4), atol=1e-3, rtol=0)


def test_patches_are_cut_from_their_place(images):
    assert torch.equal(patches(images, 16)[0, 1, 2].view(3, 16, 16), images[0, :, 16:32, 32:48])
