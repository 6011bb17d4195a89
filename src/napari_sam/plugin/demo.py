"""A viewer with a sample stack and the widget, ready to click: ``sam-stacks demo --napari``."""

from __future__ import annotations


def run_demo() -> None:
    """Open the viewer, and return when it is closed.

    Raises
    ------
    ImportError
        If napari is not installed.
    """
    import napari

    from napari_sam.plugin.sample_data import nuclei

    viewer = napari.Viewer()
    for data, options, kind in nuclei():
        getattr(viewer, f"add_{kind}")(data, **options)
    viewer.dims.set_current_step(0, viewer.layers[0].data.shape[0] // 2)
    viewer.layers.selection.active = viewer.layers[0]
    viewer.window.add_plugin_dock_widget("napari-sam-stacks", "SAM stacks")
    napari.run()
