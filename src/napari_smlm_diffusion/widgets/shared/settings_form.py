"""A form made from a settings object: one row for each field, its title, unit and description."""

import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_smlm_diffusion.settings import Settings
from napari_smlm_diffusion.widgets.shared.fields import combo, only_numbers
from napari_smlm_diffusion.widgets.shared.notices import FORMS

_UNITS = {"NM": "nm", "ADU": "ADU", "ADU_PER_E": "ADU/e⁻", "E": "e⁻ rms", "Q": "e⁻/photon"}


class SettingsForm(QWidget):
    """Fields of a settings class; an empty one is None.

    Parameters
    ----------
    kind : type of Settings
    names : iterable of str
        The fields to show, in order.
    empty : mapping
        By field, what an empty one means, shown in grey.
    """

    changed = Signal(str)
    """The name of a field that the user has changed, once it is complete."""

    def __init__(
        self,
        kind: type[Settings],
        names: Iterable[str],
        empty: Mapping[str, str] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        if kind not in FORMS:
            FORMS.append(kind)
        self.fields: dict[str, QComboBox | QLineEdit] = {}
        self.layout_ = QFormLayout(self)
        self.layout_.setContentsMargins(6, 6, 6, 6)
        self.layout_.setVerticalSpacing(4)
        self.layout_.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        for name in names:
            self._add(name, kind.model_fields[name], (empty or {}).get(name, ""))

    def _add(self, name: str, field: FieldInfo, empty: str) -> None:
        unit = _unit(field)
        label = f"{field.title} ({unit})" if unit else str(field.title)
        tip = f"{field.title}: {field.description}"
        alternatives = _alternatives(field.annotation)
        if get_origin(alternatives[0]) is Literal:
            box = combo(tip)
            box.addItems(get_args(alternatives[0]))
            box.currentTextChanged.connect(lambda _, n=name: self.changed.emit(n))
            row: QWidget = box
            self.fields[name] = box
        else:
            line = QLineEdit()
            line.setToolTip(tip)
            line.setAccessibleName(label)
            line.setPlaceholderText(empty)
            if alternatives[0] in (float, int):
                only_numbers(line, whole=alternatives[0] is int)
            line.editingFinished.connect(lambda n=name: self._on_edited(n))
            self.fields[name] = line
            line.setProperty("before", "")
            row = _with_button(line, str(field.title)) if Path in alternatives else line
        self.layout_.addRow(label, row)
        if (shown := self.layout_.labelForField(row)) is not None:
            shown.setToolTip(tip)

    def _on_edited(self, name: str) -> None:
        # Qt says "finished" each time that the cursor leaves.
        line = self.fields[name]
        assert isinstance(line, QLineEdit)  # noqa: S101 - boxes are never "finished"
        if line.text() != line.property("before"):
            line.setProperty("before", line.text())
            self.changed.emit(name)

    def value(self, name: str) -> str | None:
        """Return what a field holds, None for an empty one."""
        field = self.fields[name]
        text = field.currentText() if isinstance(field, QComboBox) else field.text()
        return text.strip() or None

    def number(self, name: str) -> float | None:
        """Return the number that a field holds; None for an empty one, or one half typed."""
        try:
            return float(self.value(name) or "")
        except ValueError:
            return None

    def values(self) -> dict[str, Any]:
        """Return the fields that are not empty, as text for a settings object."""
        found = {name: self.value(name) for name in self.fields}
        return {name: text for name, text in found.items() if text is not None}

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Fill fields in; None empties one. `changed` is not emitted."""
        for name, value in values.items():
            field = self.fields[name]
            text = "" if value is None else f"{value:.6g}" if _is_number(value) else str(value)
            field.blockSignals(True)
            if isinstance(field, QComboBox):
                field.setCurrentText(text)
            else:
                field.setText(text)
                field.setCursorPosition(0)
                field.setProperty("before", text)
            field.blockSignals(False)


def _with_button(line: QLineEdit, title: str) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    button = QPushButton("…")
    button.setToolTip(f"{title}: choose a file.")
    button.setMaximumWidth(32)

    def choose() -> None:
        path, _ = QFileDialog.getOpenFileName(row, title)
        if path:
            line.setText(path)
            line.editingFinished.emit()

    button.clicked.connect(choose)
    layout.addWidget(line)
    layout.addWidget(button)
    return row


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(t for t in get_args(annotation) if t is not type(None))
    return (annotation,)


def _unit(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return _UNITS.get(str(extra.get("unit")), "") if isinstance(extra, dict) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
