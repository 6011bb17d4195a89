"""The layers that an annotation works with in a viewer: where prompts are drawn and drafts are seen. No Qt."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from napari.components.overlays import BrushCircleOverlay

from napari_sam.plugin import drawn, layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer, Points, Shapes

    from napari_sam.plugin.drafts import DraftLabels
    from napari_sam.plugin.drawn import Drawn
    from napari_sam.plugin.layers import Reading
    from napari_sam.plugin.view import ImageView

Tool = Literal["point", "box", "outline", "scribble", "brush", "eraser"]

Name = Literal["preview", "shapes", "points"]

LAYERS: tuple[Name, ...] = ("preview", "shapes", "points")  # from the lowest to the one on top
_MODES: dict[Tool, tuple[Name, str]] = {
    "point": ("points", "add"),
    "box": ("shapes", "add_rectangle"),
    "outline": ("shapes", "add_polygon_lasso"),
    "scribble": ("shapes", "add_path"),
    "brush": ("preview", "paint"),
    "eraser": ("preview", "erase"),
}
_DONE = ("added", "removed", "changed")  # layers tell also what they are about to do


AnyDrawn = TypeVar("AnyDrawn", "Points", "Shapes")


@dataclass(frozen=True, slots=True, eq=False)
class Away:
    """Prompts that were taken off the stage, and the user's layers that were read then."""

    taken: Mapping[str, Drawn]
    adopted: tuple[Points | Shapes, ...]


class Stage:
    """Points, Shapes and the preview: made when they are needed, again if somebody removes them.

    Parameters
    ----------
    viewer : ViewerModel
        Gets the layers.
    image : Image
        Whose place in the world they take.
    view : ImageView
        The image as planes.
    drafts : DraftLabels
        What the preview shows.
    on_prompts : callable
        Told that points or shapes changed, and whether some were added.
    keys : mapping of str to callable
        What keys do while one of our layers is active.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        view: ImageView,
        drafts: DraftLabels,
        on_prompts: Callable[[bool], None],
        keys: Mapping[str, Callable[[], None]],
    ) -> None:
        self._viewer, self._image, self._view, self._drafts = viewer, image, view, drafts
        self._on_prompts, self._keys = on_prompts, keys
        self._held = self._as_contour = False
        self._read: Reading | None = None  # the last time
        self.stroke: object = None  # the drag of the brush that is under way
        self.points: Points | None = None
        self.shapes: Shapes | None = None
        self.preview: Labels | None = None
        self.adopted: tuple[Points | Shapes, ...] = ()
        for name in layers.TRANSFORMS:
            getattr(image.events, name).connect(self._on_place)

    def show(self, view: ImageView, drafts: DraftLabels) -> None:
        """Turn to other axes or channels of the same image."""
        is_placed_anew = view.channels != self._view.channels
        self._view, self._drafts, self._read = view, drafts, None
        if self.preview is not None:
            self.preview.data = drafts
        if is_placed_anew:
            self._place_anew()

    def adopt(self, adopted: Iterable[Points | Shapes]) -> None:
        """Take prompts from layers of the user, too; no point or shape there is ever changed."""
        for layer in self.adopted:
            layer.events.data.disconnect(self._on_data)
        self.adopted = tuple(adopted)
        for layer in self.adopted:
            drawn.drop_given_up(layer)
            layer.events.data.connect(self._on_data)
        if not self._held:
            self._on_prompts(False)

    def use(self, tool: Tool, *, object_id: int, positive: bool) -> None:
        """Make the layer of a tool active and the tool its mode, aimed at an object."""
        name, mode = _MODES[tool]
        self.ensure(name)
        layer = getattr(self, name)
        if name == "shapes":
            layers.fit_edges(layer)
        self.aim(object_id=object_id, positive=positive)
        self._viewer.layers.selection.active = layer
        layer.mode = mode

    def ensure(self, *names: Name) -> None:
        """See to it that layers of these names (none: all) are there, in their order and with the tools as they are."""
        for name in names or LAYERS:
            if getattr(self, name) is None:
                layer = {"preview": self._new_preview, "shapes": self._new_shapes, "points": self._new_points}[name]()
                setattr(self, name, layer)  # who is told that it is there finds it here
                self.bind(layer)
                above = (getattr(self, other) for other in LAYERS[LAYERS.index(name) + 1 :])
                self._insert(layer, below=next((one for one in above if one is not None), None))
                if name == "points":
                    layer.mode = "add"  # napari's buttons follow what changes after they are there

    @property
    def tool(self) -> Tool | None:
        """The tool that is active, however it was chosen; None if it is none of ours."""
        active = self._viewer.layers.selection.active
        layers = {name: getattr(self, name) for name in LAYERS}
        chosen = ((name, str(layer.mode)) for name, layer in layers.items() if layer is not None and layer == active)
        return next((tool for one in chosen for tool, mode in _MODES.items() if mode == one), None)

    @property
    def missing(self) -> tuple[Name, ...]:
        """Layers that are not there."""
        return tuple(name for name in LAYERS if getattr(self, name) is None)

    def slip_under(self, layer: Labels) -> None:
        """Add a layer under the preview; the tool that is active stays so."""
        self._insert(layer, below=self.preview)

    def aim(self, *, object_id: int, positive: bool) -> None:
        """Choose the object and the polarity of the next prompt."""
        for layer in self._own:
            layers.aim(layer, object_id=object_id, positive=positive)
        if self.preview is not None:
            self.preview.selected_label = object_id
        self.colour(object_id)

    def colour(self, object_id: int) -> None:
        """Colour prompts by what they say, those of an object stronger than others."""
        for layer in self._own:
            layers.paint_by_features(layer, object_id=object_id, labels=self.preview)

    def read(self, *, taken: int) -> Reading:
        """Read the prompts as they are now; objects without an id get one above `taken`."""
        read = layers.read_prompts((*self._own, *self.adopted), self._image, self._view, taken=taken, before=self._read)
        self._read = read
        return read

    def take(self, object_ids: Iterable[int]) -> Away:
        """Take the prompts of some objects out of the layers; those of adopted layers count no more, either."""
        ids = tuple(object_ids)
        with self.held():
            taken = {name: drawn.take_objects(layer, ids) for name, layer in self._named.items()}
            away = Away(taken, self.adopted)
            self.adopt(())
        return away

    def put_back(self, away: Away) -> None:
        """Undo `take`."""
        self.ensure()
        with self.held():
            for name, own in away.taken.items():
                drawn.put_back(self._named[name], own)
            self.adopt(away.adopted)

    def copy(self) -> dict[str, Drawn]:
        """Copy what is drawn in our layers, by their names here."""
        return {name: drawn.copy_drawn(layer) for name, layer in self._named.items()}

    def redraw(self, copied: Mapping[str, Drawn], adopted: Iterable[Points | Shapes]) -> None:
        """Draw what was copied, and nothing else; read these layers of the user, as far as they are still there.

        A layer that was not there then held nothing.
        """
        self.ensure()
        with self.held():
            self.adopt(layer for layer in adopted if layer in self._viewer.layers)
            for name, layer in self._named.items():
                drawn.redraw(layer, copied[name] if name in copied else drawn.copy_drawn(layer, ()))

    def split(self, object_id: int, free: int) -> None:
        """Give all points and shapes of an object that are positive, but for the first, ids of their own."""
        is_first = True
        with self.held():
            for layer in self._own:
                features = layer.features.copy()
                for row in layers.positive_rows(layer, object_id):
                    if not is_first:
                        features.loc[row, layers.OBJECT] = free
                        free += 1
                    is_first = False
                layer.features = features

    def renumber(self, numbers: Mapping[int, int]) -> None:
        """Give what is drawn of some objects other numbers."""
        with self.held():
            for layer in self._own:
                features = layer.features.copy()
                features[layers.OBJECT] = [numbers.get(int(one), int(one)) for one in features[layers.OBJECT]]
                layer.features = features

    def draw_drafts(self, *, as_contour: bool) -> None:
        """Show drafts as outlines, or as areas that let the image through."""
        self._as_contour = as_contour
        if self.preview is not None:
            layers.draw_drafts(self.preview, as_contour=as_contour)

    def show_drafts(self, shown: bool) -> None:
        """Show the preview, or hide it."""
        if self.preview is not None:
            self.preview.visible = shown

    def refresh(self) -> None:
        """Show the drafts as they are now."""
        if self.preview is not None:
            self.preview.refresh()

    def forget(self, layer: Any) -> bool:
        """Let go of a layer that was removed from the viewer; whether it was one of these."""
        own = [name for name in ("points", "shapes", "preview") if getattr(self, name) == layer]
        for name in own:
            setattr(self, name, None)
        self.adopted = tuple(one for one in self.adopted if one != layer)
        return bool(own)

    def close(self) -> None:
        """Stop listening; the layers stay with the user."""
        for layer in (*self._own, *self.adopted):
            layer.events.data.disconnect(self._on_data)
        for layer in self._own:
            layer.events.features.disconnect(self._on_features)
        for layer in self.own_layers:
            self.unbind(layer)
        if self.preview is not None:
            self.preview.mouse_drag_callbacks.remove(self._on_drag)
        for name in layers.TRANSFORMS:
            getattr(self._image.events, name).disconnect(self._on_place)

    def leave(self, *, with_preview: bool) -> None:
        """Take layers out of the viewer where nothing is drawn, and the preview if that is empty, too.

        The others go on telling what changes, and have napari's keys until `take_up`.
        """
        empty: list[Layer] = [layer for layer in self._own if len(layer.data) == 0]
        empty += [self.preview] if with_preview and self.preview is not None else []
        for layer in self.own_layers:
            self.unbind(layer)
        for layer in empty:
            self.forget(layer)
            self._viewer.layers.remove(layer)

    def take_up(self) -> None:
        """Undo `leave`; layers that were taken out come with `ensure`."""
        for layer in self.own_layers:
            self.bind(layer)

    def bind(self, layer: Layer) -> None:
        """Let our keys work while a layer is active, instead of its own."""
        for key, action in self._keys.items():
            layer.bind_key(key, _bound(action), overwrite=True)

    def unbind(self, layer: Layer) -> None:
        """Undo `bind`."""
        for key in self._keys:
            layer.bind_key(key, None)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Say nothing about changes of the layers that are made inside."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before

    @property
    def own_layers(self) -> tuple[Layer, ...]:
        """The layers that were made here and are still there."""
        return tuple(layer for layer in (self.preview, self.shapes, self.points) if layer is not None)

    @property
    def _own(self) -> tuple[Points | Shapes, ...]:
        return tuple(self._named.values())

    @property
    def _named(self) -> dict[str, Points | Shapes]:
        named = {"points": self.points, "shapes": self.shapes}
        return {name: layer for name, layer in named.items() if layer is not None}

    def _place_anew(self) -> None:
        with self.held():
            for layer in self._own:
                drawn.place_anew(layer, self._image, self._view)
        if self.preview is not None:
            layers.place(self.preview, self._image, self._view)

    def _new_preview(self) -> Labels:
        preview = layers.new_preview(self._image, self._view, self._drafts)
        preview.mouse_drag_callbacks.append(self._on_drag)
        _leave_no_box(self._viewer)
        layers.draw_drafts(preview, as_contour=self._as_contour)
        return preview

    def _new_shapes(self) -> Shapes:
        return self._listened(layers.new_shapes(self._image, self._view))

    def _new_points(self) -> Points:
        return self._listened(layers.new_points(self._image, self._view))

    def _insert(self, layer: Layer, *, below: Layer | None) -> None:
        if below is None or below not in self._viewer.layers:
            self._viewer.add_layer(layer)
            return
        active = self._viewer.layers.selection.active
        self._viewer.layers.insert(self._viewer.layers.index(below), layer)
        self._viewer.layers.selection.active = active

    def _listened(self, layer: AnyDrawn) -> AnyDrawn:
        layer.events.data.connect(self._on_data)
        layer.events.features.connect(self._on_features)
        return layer

    def _on_drag(self, layer: Labels, event: Any) -> Iterator[None]:
        """Tell the dabs of one stroke from those of the next."""
        del layer
        self.stroke = object()
        yield
        while event.type == "mouse_move":
            yield
        self.stroke = None

    def _on_data(self, event: Any) -> None:
        action = str(getattr(event, "action", "changed"))
        if not self._held and action in _DONE:
            with self.held():
                for layer in (*self._own, *self.adopted):
                    drawn.drop_given_up(layer)
                if self.shapes is not None and action != "removed":  # napari 0.6 still has those selected
                    layers.fit_edges(self.shapes)
            self._on_prompts(action == "added")

    def _on_place(self, event: Any) -> None:
        """Lie where the image lies now; what is drawn keeps its place in it."""
        del event
        for layer in self.own_layers:
            layers.place(layer, self._image, self._view)
        if self.adopted:
            self._on_prompts(False)

    def _on_features(self, event: Any) -> None:
        del event
        if not self._held:
            self._on_prompts(False)


def _leave_no_box(viewer: ViewerModel) -> None:
    """Show the circle of a brush without a box: napari 0.9.2 leaves that, dark, where a brush is put down."""
    overlays = viewer.canvas.overlays.values() if hasattr(viewer, "canvas") else ()  # none before 0.9
    for overlay in overlays:
        if isinstance(overlay, BrushCircleOverlay):
            overlay.box = False


def _bound(action: Callable[[], None]) -> Callable[[Layer], None]:
    """Make what napari binds to a key: a function with a name, that is given the layer."""

    def act(layer: Layer) -> None:
        """Act on the annotation, whichever of its layers is active."""
        del layer
        action()

    return act
