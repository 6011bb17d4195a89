from .checkpoints import load_sam
from .confidence import confidences, weakest
from .evidence import Evidence
from .plane_mask import PlaneMask
from .predictor import MaskPrediction
from .prompts import Prompt
from .seeds import prompts_from_labels, prompts_from_points
from .segmenter import Segmenter
from .step import StepPrompt, StopRules

__version__: str

__all__ = [
    "Evidence",
    "MaskPrediction",
    "PlaneMask",
    "Prompt",
    "Segmenter",
    "StepPrompt",
    "StopRules",
    "confidences",
    "load_sam",
    "prompts_from_labels",
    "prompts_from_points",
    "weakest",
]
