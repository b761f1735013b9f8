"""The boxes and fields that the forms are made of."""

from qtpy.QtCore import QLocale
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import QComboBox, QLineEdit, QSizePolicy


def combo(tooltip: str) -> QComboBox:
    """Return a combo box that does not make its form as wide as its longest entry."""
    box = QComboBox()
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    box.setToolTip(tooltip)
    return box


def limit_field(name: str, tooltip: str) -> QLineEdit:
    """Return a field for a number, or nothing for no limit."""
    field = QLineEdit()
    field.setPlaceholderText("no limit")
    field.setAccessibleName(name)
    field.setToolTip(tooltip)
    field.setMinimumWidth(60)
    validator = QDoubleValidator(field)
    # Numbers are shown with a decimal point everywhere in napari.
    validator.setLocale(QLocale.c())
    field.setValidator(validator)
    return field


def number(text: str) -> float | None:
    """Return the number that a field holds; None for an empty one.

    Raises
    ------
    ValueError
        If it holds something else.
    """
    text = text.strip()
    return float(text) if text else None
