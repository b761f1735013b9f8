"""The boxes and fields that the forms are made of."""

from typing import Any

from qtpy.QtCore import QLocale
from qtpy.QtGui import QDoubleValidator, QIntValidator
from qtpy.QtWidgets import QComboBox, QFrame, QLineEdit, QScrollArea, QSizePolicy, QWidget


def combo(tooltip: str) -> QComboBox:
    """Return a combo box that does not make its form as wide as its longest entry."""
    box = QComboBox()
    box.setToolTip(tooltip)
    narrow(box)
    return box


def narrow(box: QComboBox) -> None:
    """Let a combo box be narrower than its longest entry."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


def limit_field(name: str, tooltip: str) -> QLineEdit:
    """Return a field for a number, or nothing for no limit."""
    field = QLineEdit()
    field.setPlaceholderText("no limit")
    field.setAccessibleName(name)
    field.setToolTip(tooltip)
    field.setMinimumWidth(60)
    only_numbers(field)
    return field


class _Number(QDoubleValidator):
    """Takes a decimal comma for a point, as many are used to; Qt would take it for thousands."""

    def validate(self, text: str | None, at: int) -> Any:
        """Judge `text` with points, which Qt then also shows."""
        return super().validate((text or "").replace(",", "."), at)


def only_numbers(field: QLineEdit, whole: bool = False) -> None:
    """Let a field take numbers only, with the decimal point that is shown all over napari."""
    validator = QIntValidator(field) if whole else _Number(field)
    locale = QLocale.c()
    locale.setNumberOptions(QLocale.NumberOption.RejectGroupSeparator)
    validator.setLocale(locale)
    field.setValidator(validator)


def scrolled(form: QWidget) -> QScrollArea:
    """Return an area that scrolls a form where the window is too low for it."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidget(form)
    area.setMinimumHeight(150)
    return area


def number(text: str) -> float | None:
    """Return the number that a field holds; None for an empty one.

    Raises
    ------
    ValueError
        If it holds something else.
    """
    text = text.strip()
    return float(text) if text else None
