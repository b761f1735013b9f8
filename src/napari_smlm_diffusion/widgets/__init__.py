"""What napari shows and calls: the only room that knows of napari and Qt."""
