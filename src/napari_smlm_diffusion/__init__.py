"""Single-molecule localization in napari with error bars that are true."""

__version__ = "0.1.0"
