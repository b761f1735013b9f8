"""Readers, writers and samples of napari's File menu."""
