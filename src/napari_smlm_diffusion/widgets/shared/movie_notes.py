"""What the user has said of a movie in one widget, known to the others that work on its layer."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from napari.layers import Layer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]


class MovieNotes(QObject):
    """Settings of one movie as text, by name.

    They belong to the layer and not to a widget: a microscope is described once.
    """

    changed = Signal(object)
    """The widget that has changed them: it knows already."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}

    def replace(self, names: Mapping[str, str | None], author: Any) -> None:
        """Note settings; None takes one away. Says so where that changes anything."""
        new = {**self.values, **names}
        kept = {name: text for name, text in new.items() if text is not None}
        if kept != self.values:
            self.values = kept
            self.changed.emit(author)


_NOTES: WeakKeyDictionary[Layer, MovieNotes] = WeakKeyDictionary()


def notes_of(layer: Layer) -> MovieNotes:
    """Return the notes on a layer, the same object for all widgets."""
    return _NOTES.setdefault(layer, MovieNotes())
