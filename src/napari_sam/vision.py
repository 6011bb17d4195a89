"""What a walk needs of the model and of the image, and nothing else of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from napari_sam.appearance import Appearance
from napari_sam.predictor import predict_low_res

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.crops import Crop
    from napari_sam.embeddings import ImageEmbedding
    from napari_sam.image import Frame
    from napari_sam.model.sam import Sam
    from napari_sam.predictor import LowRes
    from napari_sam.prompts import Prompt
    from napari_sam.stack import Plane


class Decoded(NamedTuple):
    """The mask of one prompt: low-res logits ``(h, w)``, its predicted IoU, and the frame of both."""

    low_res_logits: LowRes
    predicted_iou: float
    frame: Frame


class Vision(Protocol):
    """How a walk sees the stack."""

    def decode(self, plane: Plane, prompts: Sequence[Prompt], mask_input: Sequence[LowRes | None]) -> Sequence[Decoded]:
        """Decode prompts on a plane, in one batch."""

    def look(self, plane: Plane, objects: Sequence[Crop]) -> Sequence[Appearance]:
        """Tell what objects on a plane look like, given their low-res logits."""


@dataclass(frozen=True, slots=True)
class SamVision:
    """See through a model.

    Parameters
    ----------
    sam : Sam
        Decodes.
    get_embedding : callable
        Plane to its embedding, made if it must be.
    """

    sam: Sam
    get_embedding: Callable[[Plane], ImageEmbedding]

    def decode(self, plane: Plane, prompts: Sequence[Prompt], mask_input: Sequence[LowRes | None]) -> Sequence[Decoded]:
        """Decode prompts on a plane, in one batch and with one mask each."""
        embedding = self.get_embedding(plane)
        found = predict_low_res(self.sam, embedding, prompts, multimask_output=False, mask_input=mask_input)
        return [Decoded(logits, iou, embedding.frame) for logits, iou in found]

    def look(self, plane: Plane, objects: Sequence[Crop]) -> Sequence[Appearance]:
        """Tell what objects on a plane look like, given their low-res logits."""
        return Appearance.of_all(objects, self.get_embedding(plane), channels=self.sam.config.decoder.dim)
