"""What happens in a viewer, told to the widget for as long as that lives. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Layer


class Follower:
    """Follow a viewer until `stop`, so that the widget need not: napari 0.6 fails on the callbacks of one that is gone.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or its proxy.
    on_layers : callable
        Told a layer that came, or None: layers were moved or renamed.
    on_removed : callable
        Told a layer that is gone.
    on_tool : callable
        Told that another layer is active, or another mode of one.
    on_plane : callable
        Told that something else is shown.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        on_layers: Callable[[Layer | None], None],
        on_removed: Callable[[Layer], None],
        on_tool: Callable[[], None],
        on_plane: Callable[[], None],
    ) -> None:
        self._viewer = viewer
        self._on_layers, self._on_removed = on_layers, on_removed
        self._on_tool, self._on_plane = on_tool, on_plane
        for emitter, callback in self._connections():
            emitter.connect(callback)

    def stop(self) -> None:
        """Listen no more."""
        for emitter, callback in self._connections():
            emitter.disconnect(callback)

    def _connections(self) -> Iterator[tuple[Any, Callable[[Any], None]]]:
        layers = self._viewer.layers
        yield layers.events.inserted, self._hear_inserted
        yield layers.events.removed, self._hear_removed
        yield layers.events.reordered, self._hear_list
        yield layers.selection.events.active, self._hear_tool
        yield self._viewer.dims.events.point, self._hear_plane
        for layer in layers:
            yield from self._connections_of(layer)

    def _connections_of(self, layer: Layer) -> Iterator[tuple[Any, Callable[[Any], None]]]:
        yield layer.events.name, self._hear_list
        yield layer.events.mode, self._hear_tool

    def _hear_inserted(self, event: Any) -> None:
        for emitter, callback in self._connections_of(event.value):
            emitter.connect(callback)
        self._on_layers(event.value)

    def _hear_removed(self, event: Any) -> None:
        for emitter, callback in self._connections_of(event.value):
            emitter.disconnect(callback)
        self._on_removed(event.value)

    def _hear_list(self, event: Any) -> None:
        del event
        self._on_layers(None)

    def _hear_tool(self, event: Any) -> None:
        del event
        self._on_tool()

    def _hear_plane(self, event: Any) -> None:
        del event
        self._on_plane()
