"""The plugin's page in napari's Preferences, as a value. No Qt."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PLUGIN = "napari-sam-stacks"

# Keys that no layer of napari 0.9 uses. Each has a button, too.
KEYS: Mapping[str, str] = MappingProxyType(
    {
        "polarity": "Q",
        "next_mask": "J",
        "new_object": "N",
        "propagate": "G",
        "weakest_plane": "W",
        "confirm": "Shift+W",
        "end_here": "Shift+G",
        "commit": "K",
        "undo": "U",
        "redo": "Shift+U",
        "hide_preview": "H",
    }
)

_NOT_KEPT = (
    ImportError,
    KeyError,
    ValueError,
    AttributeError,
)  # what napari says where it keeps no preferences of ours


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
        stored = _stored()
        general, keys = stored.general, stored.keys
    except _NOT_KEPT:
        return Settings()
    return Settings(
        model=general.model,
        encode_ahead=general.encode_ahead,
        contour=general.contour,
        keys={action: getattr(keys, action) for action in KEYS},
    )


def follow_settings(on_settings: Callable[[Any], None]) -> Callable[[], None]:
    """Tell a method of an object after every change of the preferences, until what is returned is called."""
    with suppress(*_NOT_KEPT):
        changed = _stored().events.changed
        changed.connect(on_settings)
        return partial(changed.disconnect, on_settings)
    return lambda: None


def _stored() -> Any:
    from napari.settings import get_plugin_settings

    return get_plugin_settings(PLUGIN)
