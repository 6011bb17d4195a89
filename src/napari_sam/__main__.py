"""Run the command line with ``python -m napari_sam``."""

from napari_sam.cli import main

main()
