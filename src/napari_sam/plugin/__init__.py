"""The napari plugin: layers in, workers in between, a Labels layer out."""
