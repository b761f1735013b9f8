"""What the forms are made of: fields, buttons and words with their tooltips, rows and columns."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QLocale, QSignalBlocker, Qt
from qtpy.QtGui import QDoubleValidator, QIntValidator
from qtpy.QtWidgets import (
    QBoxLayout,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

# A widget, a layout, words, or None for what is left of the room; with a stretch, if it has one.
Part = QWidget | QLayout | str | None
# A form, its title and its tooltip.
Tab = tuple[QWidget, str, str]
# Words, what they stand for, and perhaps a tooltip.
Choice = tuple[str, Any] | tuple[str, Any, str]


def combo(tooltip: str, choices: Iterable[Choice] = (), empty: str = "") -> QComboBox:
    """Return a combo box that does not make its form as wide as its longest entry.

    Without a choice, it says `empty`.
    """
    box = QComboBox()
    box.setToolTip(tooltip)
    box.setPlaceholderText(empty)
    narrow(box)
    offer(box, choices)
    if not empty:
        box.setCurrentIndex(min(0, box.count() - 1))
    return box


def narrow(box: QComboBox) -> None:
    """Let a combo box be narrower than its longest entry."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


def offer(box: QComboBox, choices: Iterable[Choice], wanted: Any = None) -> None:
    """Offer other choices, and choose what stands for `wanted`, if any does; without a signal."""
    with QSignalBlocker(box):
        box.clear()
        for words, data, *tip in choices:
            box.addItem(words, data)
            if tip:
                box.setItemData(box.count() - 1, tip[0], Qt.ItemDataRole.ToolTipRole)
        if not choose(box, wanted):
            box.setCurrentIndex(-1)


def offer_layers(box: QComboBox, layers: Iterable[Layer], wanted: Layer | None) -> None:
    """Offer layers by their names, as `offer`."""
    offer(box, [(layer.name, layer) for layer in layers], wanted)


def choose(box: QComboBox, wanted: Any) -> bool:
    """Choose what stands for `wanted`; change nothing, and return False, if it is not offered."""
    for place in range(box.count()):
        if box.itemData(place) == wanted:
            box.setCurrentIndex(place)
            return True
    return False


def check(words: str, tooltip: str, ticked: bool = False) -> QCheckBox:
    """Return a check box."""
    box = QCheckBox(words)
    box.setToolTip(tooltip)
    box.setChecked(ticked)
    return box


def button(words: str, tooltip: str = "") -> QPushButton:
    """Return a button."""
    made = QPushButton(words)
    made.setToolTip(tooltip)
    return made


def spin(least: int, most: int, value: int, tooltip: str, suffix: str = "") -> QSpinBox:
    """Return a box for a whole number."""
    box = QSpinBox()
    box.setRange(least, most)
    box.setValue(value)
    box.setSuffix(suffix)
    box.setToolTip(tooltip)
    return box


def squeezed(*fields: QWidget, least: int) -> None:
    """Let fields be as wide as there is room: their own wish would make the dock too wide."""
    for field in fields:
        field.setMinimumWidth(least)
        field.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)


def label(tooltip: str = "") -> QLabel:
    """Return a place for sentences."""
    made = QLabel()
    made.setWordWrap(True)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setToolTip(tooltip)
    return made


def text_field(name: str, tooltip: str, empty: str = "") -> QLineEdit:
    """Return a field for text; `empty` is what none means."""
    field = QLineEdit()
    field.setAccessibleName(name)
    field.setToolTip(tooltip)
    field.setPlaceholderText(empty)
    return field


def limit_field(name: str, tooltip: str) -> QLineEdit:
    """Return a field for a number, or nothing for no limit."""
    field = text_field(name, tooltip, "no limit")
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


def number(text: str) -> float | None:
    """Return the number that a field holds; None for an empty one, `ValueError` for no number."""
    text = text.strip()
    return float(text) if text else None


def ask_open(owner: QWidget, title: str, kinds: str) -> Path | None:
    """Let the user choose a file that is there; None if none is wanted."""
    path, _ = QFileDialog.getOpenFileName(owner, title, "", kinds)
    return Path(path) if path else None


def ask_save(owner: QWidget, title: str, name: str, kinds: str) -> Path | None:
    """Let the user choose where to write; None if nothing is wanted."""
    path, _ = QFileDialog.getSaveFileName(owner, title, name, kinds)
    return Path(path) if path else None


# How they are laid out


def row(*parts: Part | tuple[Part, int], spacing: int | None = None) -> QHBoxLayout:
    """Return a layout of parts beside each other."""
    layout = QHBoxLayout()
    _fill(layout, parts, spacing)
    return layout


def line_of(*parts: Part | tuple[Part, int]) -> QWidget:
    """Return a widget of parts beside each other, a field of a form."""
    made = QWidget()
    layout = row(*parts, spacing=4)
    layout.setContentsMargins(0, 0, 0, 0)
    made.setLayout(layout)
    return made


def column(
    owner: QWidget,
    *parts: Part | tuple[Part, int],
    margins: tuple[int, int, int, int] | None = (0, 0, 0, 0),
    spacing: int | None = None,
) -> QVBoxLayout:
    """Lay out `owner` as parts below each other; margins that are None are those of the style."""
    layout = QVBoxLayout(owner)
    if margins is not None:
        layout.setContentsMargins(*margins)
    _fill(layout, parts, spacing)
    return layout


def _fill(
    layout: QBoxLayout, parts: Iterable[Part | tuple[Part, int]], spacing: int | None
) -> None:
    if spacing is not None:
        layout.setSpacing(spacing)
    for given in parts:
        part, stretch = given if isinstance(given, tuple) else (given, int(given is None))
        if part is None:
            layout.addStretch(stretch)
        elif isinstance(part, QLayout):
            layout.addLayout(part, stretch)
        else:
            layout.addWidget(QLabel(part) if isinstance(part, str) else part, stretch)


def form(
    *rows: tuple[str, QWidget | QLayout] | QWidget,
    owner: QWidget | None = None,
    margins: tuple[int, int, int, int] | None = None,
    spacing: int | None = None,
) -> QFormLayout:
    """Return a layout of fields behind their names; a field alone has the whole row."""
    layout = QFormLayout() if owner is None else QFormLayout(owner)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    if margins is not None:
        layout.setContentsMargins(*margins)
    if spacing is not None:
        layout.setVerticalSpacing(spacing)
    for given in rows:
        if isinstance(given, tuple):
            layout.addRow(given[0], given[1])
        else:
            layout.addRow(given)
    return layout


def tabbed(tabs: Iterable[Tab], scroll: bool = False) -> QTabWidget:
    """Return forms as tabs, which scroll in a low window if wanted."""
    made = QTabWidget()
    for page, words, tip in tabs:
        made.setTabToolTip(made.addTab(scrolled(page) if scroll else page, words), tip)
    return made


def scrolled(page: QWidget, least: int = 150, frame: bool = False) -> QScrollArea:
    """Return an area that scrolls a form where the window is too low for it."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    if not frame:
        area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidget(page)
    area.setMinimumHeight(least)
    return area
