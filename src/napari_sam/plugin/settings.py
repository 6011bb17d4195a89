"""The plugin's page in napari's Preferences, as a value. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PLUGIN = "napari-sam-stacks"

# Keys that no layer of napari 0.9 uses. Each has a button, too.
KEYS: Mapping[str, str] = MappingProxyType(
    {
        "polarity": "Q",
        "next_mask": "J",
        "new_object": "N",
        "propagate": "G",
        "weakest_plane": "W",
        "commit": "K",
        "undo": "U",
        "hide_preview": "H",
    }
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user prefers.

    Attributes
    ----------
    model : str
        The model that is chosen at first.
    encode_ahead : bool
        Whether planes are encoded in the background.
    contour : bool
        Show drafts as outlines instead of areas.
    keys : mapping
        Action to key; an empty key means none.
    """

    model: str = "nano"
    encode_ahead: bool = True
    contour: bool = False
    keys: Mapping[str, str] = field(default_factory=lambda: KEYS)


def read_settings() -> Settings:
    """Read the preferences; the defaults where napari is too old to keep them (before 0.9) or does not know us."""
    try:
        from napari.settings import get_plugin_settings

        stored: Any = get_plugin_settings(PLUGIN)
        general, keys = stored.general, stored.keys
    except (ImportError, KeyError, ValueError, AttributeError):
        return Settings()
    return Settings(
        model=general.model,
        encode_ahead=general.encode_ahead,
        contour=general.contour,
        keys={action: getattr(keys, action) for action in KEYS},
    )
