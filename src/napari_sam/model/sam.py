"""Segment Anything: image encoder, prompt encoder and mask decoder, composed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.config import NanoEncoderConfig, SamConfig, Size
from napari_sam.model.image_encoder import ImageEncoderViT
from napari_sam.model.mask_decoder import MaskDecoder
from napari_sam.model.nano_decoder import NanoMaskDecoder, NanoPromptEncoder
from napari_sam.model.nano_encoder import NanoEncoder
from napari_sam.model.prompt_encoder import PromptEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.model.mask_decoder import Part


class Sam(nn.Module):
    """The model of Kirillov et al. 2023: encode an image once, decode any number of prompts against it.

    Parameters
    ----------
    image_encoder, prompt_encoder, mask_decoder : nn.Module
        The three parts; their names are the key prefixes of the official checkpoints.
    config : SamConfig
        The row of the table that they were built from.
    """

    pixel_mean: Tensor
    pixel_std: Tensor
    weights_sha256: str | None = None  # of the file that the weights came from
    encoder_hashes: tuple[str, str] | None = None  # quick one and SHA-256, when last asked for

    def __init__(
        self, image_encoder: nn.Module, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder, config: SamConfig
    ) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.register_buffer("pixel_mean", torch.tensor(config.pixel_mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(config.pixel_std).view(-1, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.pixel_mean.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights that decode."""
        return self.prompt_encoder.no_mask_embed.weight.dtype

    @property
    def encoder_dtype(self) -> torch.dtype:
        """Type of the weights that encode; another than `dtype` after ``sam.image_encoder.to(torch.bfloat16)``."""
        return next(self.image_encoder.parameters()).dtype

    def encode(self, images: Tensor) -> Tensor:
        """Normalise, pad and encode images that were already resized.

        Parameters
        ----------
        images : Tensor
            ``(B, 3, h, w)`` RGB in 0..255 at ``input_size``.

        Returns
        -------
        Tensor
            ``image_embedding (B, C, H/stride, W/stride)``.
        """
        height, width = self.config.grid.pad((images.shape[-2], images.shape[-1]))
        mean, std = (images.new_tensor(x).view(-1, 1, 1) for x in (self.config.pixel_mean, self.config.pixel_std))
        x = ((images - mean) / std).to(self.encoder_dtype)  # the buffers are as coarse as the weights
        x = F.pad(x, (0, width - images.shape[-1], 0, height - images.shape[-2]))
        return cast("Tensor", self.image_encoder(x))

    def decode(
        self,
        image_embedding: Tensor,
        *,
        point_coords: Tensor | None = None,
        point_labels: Tensor | None = None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        parts: Sequence[Part] | None = None,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Decode P prompts on one image, or each on its own.

        Parameters
        ----------
        image_embedding : Tensor
            ``(1 or P, C, H, W)``.
        point_coords, point_labels : Tensor or None
            ``(P, N, 2)`` (x, y) in pixels of the model frame, and ``(P, N)``: 1 foreground, 0 background, -1 padding.
        boxes : Tensor or None
            ``(P, 4)`` XYXY in pixels of the model frame.
        mask_input : Tensor or None
            ``(P, 1, h, w)`` low-res logits of an earlier call.
        parts : sequence of (slice, slice), optional
            Rows and columns of the embedding where the mask of each prompt is made. None: everywhere.
        multimask_output : bool
            Three masks for an ambiguous prompt, else one.

        Returns
        -------
        tuple of Tensor
            ``low_res_logits (P, M, h, w)`` and ``iou_predictions (P, M)``; M is 3 or 1. If there are parts, h and w are
            those of the largest, and the logits of a smaller one are followed by zeros.
        """
        logits, ious = self.decode_every_mask(
            image_embedding,
            point_coords=point_coords,
            point_labels=point_labels,
            boxes=boxes,
            mask_input=mask_input,
            parts=parts,
        )
        return (logits[:, 1:], ious[:, 1:]) if multimask_output else (logits[:, :1], ious[:, :1])

    def decode_every_mask(
        self,
        image_embedding: Tensor,
        *,
        point_coords: Tensor | None = None,
        point_labels: Tensor | None = None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        parts: Sequence[Part] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Decode as `decode` does, but return all four masks, the single one first: what training needs."""
        image_embedding = image_embedding.contiguous(memory_format=torch.channels_last)
        sparse, dense = self.prompt_encoder(
            point_coords=point_coords,
            point_labels=point_labels,
            boxes=boxes,
            mask_input=mask_input,
            image_embedding=image_embedding,
        )
        height, width = image_embedding.shape[-2:]
        image_pe = self.prompt_encoder.dense_pe((height, width), self.config.grid.stride)
        return cast("tuple[Tensor, Tensor]", self.mask_decoder(image_embedding, image_pe, sparse, dense, parts))

    def postprocess(self, low_res_logits: Tensor, *, input_size: Size, original_size: Size) -> Tensor:
        """Upscale ``(P, M, ., .)`` low-res logits to ``(P, M, *original_size)``, cropping the padding.

        The official way: to the padded model frame, crop, to the original size; both bilinear.
        """
        stride = self.config.grid.low_res_stride
        padded = (low_res_logits.shape[-2] * stride, low_res_logits.shape[-1] * stride)
        logits = F.interpolate(low_res_logits, padded, mode="bilinear", align_corners=False)
        logits = logits[..., : input_size[0], : input_size[1]]
        if input_size == original_size:
            return logits
        return F.interpolate(logits, original_size, mode="bilinear", align_corners=False)

    def to_masks(self, low_res_logits: Tensor, *, input_size: Size, original_size: Size) -> Tensor:
        """Tell where the logits that `postprocess` returns are above 0: ``(P, M, *original_size)``.

        They are not kept where one upscaling is all that is needed, which takes half of the time.
        """
        if input_size != original_size:
            return self.postprocess(low_res_logits, input_size=input_size, original_size=original_size) > 0
        stride = self.config.grid.low_res_stride
        rows = torch.stack(_between(low_res_logits, stride, dim=-2), dim=-2).flatten(-3, -2)  # (P, M, padded H, w)
        masks = torch.stack([part > 0 for part in _between(rows, stride, dim=-1)], dim=-1).flatten(-2)
        return masks[..., : input_size[0], : input_size[1]]


def _between(x: Tensor, count: int, *, dim: int) -> list[Tensor]:
    """Divide each element into ``count``, and interpolate the first, the second, ... of all; edges are continued."""
    length = x.shape[dim]
    before = torch.cat([x.narrow(dim, 0, 1), x.narrow(dim, 0, length - 1)], dim)
    after = torch.cat([x.narrow(dim, 1, length - 1), x.narrow(dim, length - 1, 1)], dim)
    offsets = [(part + 0.5) / count - 0.5 for part in range(count)]  # from the middle of the element
    return [torch.lerp(x, before if offset < 0 else after, abs(offset)) for offset in offsets]


def build_sam(config: SamConfig) -> Sam:
    """Build a model with random weights from its row of the table."""
    decoder = config.decoder
    if isinstance(config.image_encoder, NanoEncoderConfig):
        return Sam(
            NanoEncoder(config.image_encoder),
            NanoPromptEncoder(decoder, config.grid),
            NanoMaskDecoder(decoder, config.image_encoder),
            config,
        )
    return Sam(
        ImageEncoderViT(config.image_encoder),
        PromptEncoder(decoder.dim, unit=decoder.unit, mask_in_chans=decoder.mask_in_chans),
        MaskDecoder(decoder.dim, num_heads=decoder.num_heads, mlp_dim=decoder.mlp_dim, iou_hidden=decoder.iou_hidden),
        config,
    )
