"""What nano adds to the official prompt encoder and mask decoder; ``DecoderConfig`` switches it on.

Prompts are also drawn as dense channels, clicks carry the image feature under them, neighbouring pixels are mixed
per object with skips from the encoder, and the IoU head sees how sure the masks are of themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.layers import MLP, Conv1x1, LayerNorm2d, ResidualBlock
from napari_sam.model.mask_decoder import MaskDecoder
from napari_sam.model.nano_encoder import split_embedding
from napari_sam.model.prompt_encoder import PromptEncoder

if TYPE_CHECKING:
    from napari_sam.model.config import DecoderConfig, InputGrid, NanoEncoderConfig

_DISC = 4.0  # model pixels: standard deviation of a drawn click
_PACKED = 16  # low-res cells, 4 x 4 of them in each cell of the grid
_WAVELENGTHS = (8.0, 400.0)  # model pixels; short ones tell neighbours apart, long ones span a plane


class NanoPromptEncoder(PromptEncoder):
    """Prompt encoder whose mask branch also sees the prompts drawn, and whose clicks see the image."""

    def __init__(self, config: DecoderConfig, grid: InputGrid) -> None:
        super().__init__(config.dim, unit=config.unit, mask_in_chans=config.mask_in_chans, mask_channels=4)
        self.grid = grid
        self.point_feature = nn.Linear(config.dim, config.dim)
        matrix = self.pe_layer.positional_encoding_gaussian_matrix
        self.pe_layer.positional_encoding_gaussian_matrix = _directions(matrix.shape[1], config.unit).to(matrix.device)

    def forward(
        self,
        *,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None,
        mask_input: Tensor | None,
        image_embedding: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """See `PromptEncoder.forward`; the mask prompt as it is lies packed beside the dense embeddings."""
        sparse, _ = super().forward(
            point_coords=point_coords,
            point_labels=point_labels,
            boxes=boxes,
            mask_input=None,
            image_embedding=image_embedding,
        )
        prompts = next(len(x) for x in (point_coords, boxes, mask_input) if x is not None)
        sparse = sparse.expand(prompts, -1, -1)
        if point_coords is not None and point_labels is not None:
            clicked = self._features_under(point_coords, point_labels, image_embedding)  # (P, N, C)
            sparse = torch.cat([sparse[:, : clicked.shape[1]] + clicked, sparse[:, clicked.shape[1] :]], dim=1)

        scale = self.grid.stride // self.grid.low_res_stride
        size = (image_embedding.shape[-2] * scale, image_embedding.shape[-1] * scale)
        if mask_input is None:
            mask_input = image_embedding.new_zeros(prompts, 1, *size)
        else:
            mask_input = torch.tanh(mask_input / 4).to(image_embedding.dtype)
        drawn = self._draw(point_coords, point_labels, boxes, prompts, size).to(image_embedding.dtype)
        dense = self.mask_downscaling(torch.cat([mask_input, drawn], dim=1))
        return sparse, torch.cat([dense, F.pixel_unshuffle(mask_input, scale)], dim=1)

    def _features_under(self, coords: Tensor, labels: Tensor, image_embedding: Tensor) -> Tensor:
        features = image_embedding[:, : self.point_feature.in_features].permute(0, 2, 3, 1)  # (1 or P, H, W, C)
        images, height, width, _ = features.shape
        cells = ((coords + 0.5) / self.grid.stride).floor().long()
        x, y = cells[..., 0].clamp(0, width - 1), cells[..., 1].clamp(0, height - 1)
        image = torch.arange(len(coords), device=coords.device).clamp(max=images - 1)[:, None]  # (P, 1)
        under = features[image, y, x]  # (P, N, C)
        return cast("Tensor", self.point_feature(under)) * (labels >= 0)[..., None]

    def _draw(
        self, coords: Tensor | None, labels: Tensor | None, boxes: Tensor | None, prompts: int, size: tuple[int, int]
    ) -> Tensor:
        """Foreground discs, background discs and filled boxes as ``(P, 3, h, w)`` at the low-res grid."""
        device = self.no_mask_embed.weight.device
        y, x = (
            (torch.arange(n, device=device, dtype=torch.float32) + 0.5) * self.grid.low_res_stride - 0.5 for n in size
        )
        channels = torch.zeros(prompts, 3, *size, device=device)
        if coords is not None and labels is not None:
            across = torch.exp(-(((x - coords[..., :1]) / _DISC) ** 2) / 2)  # (P, N, w)
            down = torch.exp(-(((y - coords[..., 1:]) / _DISC) ** 2) / 2)  # (P, N, h)
            for channel, label in enumerate((1, 0)):
                chosen = (down * (labels == label)[..., None]).transpose(1, 2)  # (P, h, N)
                channels[:, channel] = (chosen @ across).clamp(max=1)
        if boxes is not None:
            x0, y0, x1, y1 = boxes[..., None].unbind(1)  # (P, 1) each
            across = torch.sigmoid(torch.minimum(x - x0, x1 - x))  # (P, w)
            down = torch.sigmoid(torch.minimum(y - y0, y1 - y))  # (P, h)
            channels[:, 2] = down[:, :, None] * across[:, None, :]
        return channels


class NanoMaskDecoder(MaskDecoder):
    """Mask decoder that mixes neighbouring pixels per object and uses the encoder's skips."""

    exact = False  # nano was trained in bf16, and its convolutions of large features would take twice the time
    halo = 2  # one pixel of ``mix2``, then two of ``mix4``'s, which are twice as large

    def __init__(self, config: DecoderConfig, encoder: NanoEncoderConfig) -> None:
        super().__init__(config.dim, num_heads=config.num_heads, mlp_dim=config.mlp_dim, iou_hidden=config.iou_hidden)
        self.encoder_config = encoder
        self.output_upscaling = NanoUpscaling(config.dim, config.mixing, encoder.skips)
        self.iou_prediction_head = MLP(
            config.dim + 2 * self.num_mask_tokens, config.iou_hidden, self.num_mask_tokens, depth=3
        )

    def _with_prompts(self, image_embedding: Tensor, dense_prompt_embeddings: Tensor) -> Tensor:
        fused, _, _ = split_embedding(image_embedding, self.encoder_config)
        return fused + dense_prompt_embeddings[:, : fused.shape[1]]

    def _beside(self, mixed: Tensor, dense_prompt_embeddings: Tensor) -> Tensor:
        prior = dense_prompt_embeddings[:, mixed.shape[1] :]
        return torch.cat([mixed, prior], dim=1)

    def _mix(self, mixed: Tensor) -> Tensor:
        return cast("NanoUpscaling", self.output_upscaling).mix(mixed)

    def _upscale(self, mixed: Tensor, image_embedding: Tensor) -> Tensor:
        _, skip4, skip2 = split_embedding(image_embedding, self.encoder_config)
        return cast("Tensor", self.output_upscaling(mixed, skip4, skip2))

    def _predict_iou(self, iou_token: Tensor, low_res_logits: Tensor) -> Tensor:
        sureness = _sureness(low_res_logits.detach().float()).to(iou_token.dtype)
        return cast("Tensor", self.iou_prediction_head(torch.cat([iou_token, sureness], dim=1)))


class NanoUpscaling(nn.Module):
    """Mix neighbours at stride 8, then go to strides 4 and 2 with the encoder's skips."""

    def __init__(self, dim: int, mixing: int, skips: tuple[int, int]) -> None:
        super().__init__()
        self.narrow = Conv1x1(dim, mixing)
        self.mix8 = nn.Sequential(*(ResidualBlock(mixing, dilation) for dilation in (1, 2, 4)))
        self.up4 = nn.ConvTranspose2d(mixing, dim // 4, 2, stride=2)
        self.skip4 = Conv1x1(skips[0], dim // 4)
        self.mix4 = ResidualBlock(dim // 4)
        self.up2 = nn.ConvTranspose2d(dim // 4, dim // 8, 2, stride=2)
        self.skip2 = Conv1x1(skips[1], dim // 8)
        self.norm2 = LayerNorm2d(dim // 8)
        self.mix2 = nn.Conv2d(dim // 8, dim // 8, 3, padding=1)
        self.prior4 = nn.Conv2d(4, dim // 4, 3, padding=1)
        self.prior2 = nn.Conv2d(1, dim // 8, 3, padding=1)
        for layer in (self.prior4, self.prior2):  # like a residual block, they do nothing at first
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(cast("Tensor", layer.bias))

    def mix(self, x: Tensor) -> Tensor:
        """Map ``(P, dim + 16, H, W)`` to ``(P, mixing + 16, H, W)``; a cell depends on those up to 14 away.

        The last 16 channels, the mask prompt packed, stay as they are.
        """
        x, prior = x.split([self.narrow.in_channels, _PACKED], dim=1)
        return torch.cat([self.mix8(self.narrow(x)), prior], dim=1)

    def forward(self, x: Tensor, skip4: Tensor, skip2: Tensor) -> Tensor:
        """Map what `mix` returns and the skips of one image to ``(P, dim/8, 4H, 4W)``."""
        x, prior = x.split([self.up4.in_channels, _PACKED], dim=1)
        prior = F.pixel_shuffle(prior, 4)  # (P, 1, 4H, 4W)
        x = self.up4(x).add_(self.skip4(skip4)).add_(self.prior4(F.pixel_unshuffle(prior, 2)))
        x = self.up2(self.mix4(x)).add_(self.skip2(skip2)).add_(self.prior2(prior))
        x = F.relu(self.norm2(x), inplace=True)
        return F.relu(cast("Tensor", self.mix2(x)).add_(x), inplace=True)


def _sureness(logits: Tensor) -> Tensor:
    """Return ``(P, 2M)``: each mask's expected IoU if its pixels were independent, and its log-area."""
    probability = logits.sigmoid()
    inside = logits > 0
    hit = (probability * inside).sum((2, 3))
    area = inside.sum((2, 3))
    missed = probability.sum((2, 3)) - hit
    return torch.cat([hit / (area + missed + 1), (area + 1.0).log() / 10], dim=1)


def _directions(count: int, unit: int) -> Tensor:
    """Spread ``(2, count)`` waves over directions and log-wavelengths; half-cycles per unit, since PE takes 2x - 1."""
    short, long = _WAVELENGTHS
    wavelength = short * (long / short) ** torch.linspace(0, 1, count)
    angle = torch.arange(count) * (torch.pi * (3 - 5**0.5))  # golden angle
    return torch.stack([angle.cos(), angle.sin()]) * (unit / wavelength / 2)
