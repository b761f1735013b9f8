"""A form made from a settings object: one row for each field, its title, unit and description."""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from magicgui.widgets import CheckBox, ComboBox, FileEdit, LineEdit, create_widget
from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_smlm_diffusion.settings import Settings
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.notices import FORMS

_UNITS = {"NM": "nm", "ADU": "ADU", "ADU_PER_E": "ADU/e⁻", "E": "e⁻ rms", "Q": "e⁻/photon"}


class SettingsForm(QWidget):
    """Fields of a settings class, by their names, in order; an empty one is None.

    `empty` says by field what an empty one means, which is shown in grey.
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
        self.fields: dict[str, Any] = {}
        """Qt's widget of each: a line, a combo box or a check box."""
        self._held: dict[str, Any] = {}
        self._before: dict[str, str] = {}
        self.layout_ = QFormLayout(self)
        self.layout_.setContentsMargins(6, 6, 6, 6)
        self.layout_.setVerticalSpacing(4)
        self.layout_.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        for name in names:
            self._add(name, kind.model_fields[name], (empty or {}).get(name, ""))

    def _add(self, name: str, field: FieldInfo, empty: str) -> None:
        label = f"{field.title} ({unit})" if (unit := _unit(field)) else str(field.title)
        tip = f"{field.title}: {field.description}"
        kinds = (field.annotation, *get_args(field.annotation))
        number = int if int in kinds else float if float in kinds else None
        # Numbers are typed as text: a spin box is never empty, which is how None looks here.
        annotation, options = str if number else field.annotation, {"tooltip": tip}
        made: Any = create_widget(annotation=annotation, name=name, label=label, options=options)
        row = made.native
        held = made.line_edit if isinstance(made, FileEdit) else made
        self._held[name], self.fields[name] = held, held.native
        if isinstance(held, LineEdit):
            self._before[name] = ""
            line = held.native
            line.setToolTip(tip)
            line.setAccessibleName(label)
            line.setPlaceholderText(empty)
            if number:
                fields.only_numbers(line, whole=number is int)
            line.editingFinished.connect(lambda: self._on_edited(name))
        else:
            held.changed.connect(lambda: self.changed.emit(name))
        if isinstance(made, ComboBox):
            fields.narrow(row)
        if isinstance(made, FileEdit):
            made.choose_btn.text, made.choose_btn.max_width = "…", 32
            made.choose_btn.tooltip = f"{field.title}: choose a file."
            made.choose_btn.changed.connect(lambda: self._on_edited(name))
        if isinstance(made, CheckBox):
            made.text, label = label, ""
        self.layout_.addRow(label, row)
        if (shown := self.layout_.labelForField(row)) is not None:
            shown.setToolTip(tip)

    def _on_edited(self, name: str) -> None:
        # Qt says "finished" each time that the cursor leaves.
        if (text := self._held[name].value) != self._before[name]:
            self._before[name] = text
            self.changed.emit(name)

    def value(self, name: str) -> str | None:
        """Return what a field holds as text, None for an empty one."""
        return str(self._held[name].value).strip() or None

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
            held = self._held[name]
            with held.changed.blocked():
                if not isinstance(held, LineEdit):
                    held.value = value
                    continue
                number = isinstance(value, int | float)
                held.value = "" if value is None else f"{value:.6g}" if number else str(value)
            self._before[name] = held.value
            self.fields[name].setCursorPosition(0)


def _unit(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return _UNITS.get(str(extra.get("unit")), "") if isinstance(extra, dict) else ""
