"""The form for ranges of columns: one is dragged on a histogram, all in force are listed."""

import pandas as pd
from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLabel, QListWidget, QListWidgetItem, QWidget

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.criteria import Range
from napari_smlm_diffusion.results.filters import Filtered
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.column_words import (
    label_of,
    meaning_of,
    number_columns,
    unit_of,
)
from napari_smlm_diffusion.widgets.shared.range_histogram import Binned, RangeHistogram, binned


class RangeForm(QWidget):
    """Choose a column, drag its range, and see which ranges are in force.

    The form holds one range for each column that has one; it judges no rows.
    """

    changed = Signal()
    refused = Signal(object)  # an InputError

    def __init__(self) -> None:
        super().__init__()
        self._table: pd.DataFrame | None = None
        self._binned: Binned | None = None
        self._ranges: dict[str, Range] = {}

        self.column = fields.combo("The column of the table whose range is shown below.")
        self.histogram = RangeHistogram()
        self.histogram.setToolTip(
            "Distribution of the column: bright bars are kept, dim ones are not.\n"
            "Drag a handle to keep only what lies between the two; at the rim there is no limit.\n"
            "Double-click to take the range away; arrow keys move a handle by one bar."
        )
        self.low, self.high = (
            fields.limit_field(name, f"{name} value that is kept; empty: no limit.")
            for name in ("Smallest", "Largest")
        )
        self._unit = QLabel()
        self.keep_unknown = fields.check(
            "Keep localizations without a value",
            "Localizations for which this column is not known are rejected by a range on it, "
            "unless this is ticked.",
        )
        self.list = QListWidget()
        self.list.setToolTip(
            "All ranges in force; a molecule is kept if it lies in each of them.\n"
            "Click one to change it. The counts of rejected molecules may overlap."
        )
        self.list.setMinimumHeight(54)
        self.remove = fields.button("Remove range", "Take the range of the chosen column away.")
        self.clear = fields.button(
            "Remove all", "Take all ranges away; every molecule is kept again."
        )
        fields.column(
            self,
            self.column,
            (self.histogram, 3),
            fields.row("from", self.low, "to", self.high, self._unit),
            self.keep_unknown,
            "Ranges in force",
            (self.list, 2),
            fields.row(self.remove, self.clear),
            margins=(6, 6, 6, 6),
        )

        self.column.currentIndexChanged.connect(self._on_column)
        self.histogram.range_changed.connect(self._set)
        self.low.editingFinished.connect(self._on_typed)
        self.high.editingFinished.connect(self._on_typed)
        self.keep_unknown.toggled.connect(self._on_typed)
        self.list.itemClicked.connect(lambda one: self.choose(one.data(Qt.ItemDataRole.UserRole)))
        self.remove.clicked.connect(lambda: self._set(None, None))
        self.clear.clicked.connect(lambda: self.set_ranges((), emit=True))

    @property
    def ranges(self) -> tuple[Range, ...]:
        """Those in force, in the order in which they were made."""
        return tuple(self._ranges.values())

    def set_table(self, table: pd.DataFrame | None) -> None:
        """Take the columns of another table; ranges of before are forgotten."""
        before = self.column.currentData()
        self._table, self._ranges = table, {}
        names = [] if table is None else number_columns(table)
        columns = [(label_of(name), name, meaning_of(name)) for name in names]
        fields.offer(self.column, columns, before if before in names else next(iter(names), None))
        self._on_column()
        self._list()

    def set_ranges(self, ranges: tuple[Range, ...], emit: bool = False) -> None:
        """Put other ranges in force; the last one of a column counts."""
        self._ranges = {r.column: r for r in ranges}
        self._show_range()
        self._list()
        if emit:
            self.changed.emit()

    def choose(self, column: str) -> None:
        """Show the histogram of `column`."""
        fields.choose(self.column, column)

    def show_verdict(self, filtered: Filtered) -> None:
        """Show how many rows each range rejects, and what is kept of each bar."""
        self._list(dict(zip(filtered.criteria, filtered.counts, strict=True)))
        if self._binned is not None:
            self.histogram.set_kept(self._binned.counts(filtered.kept))

    def _on_column(self) -> None:
        name = self.column.currentData()
        if name is None or self._table is None:
            self._binned = None
            return
        self._binned = binned(self._table[name].to_numpy())
        self.histogram.set_values(self._binned)
        self._unit.setText(unit_of(name))
        unknown = self._binned.unknown
        self.keep_unknown.setText(f"Keep the {unknown:,} localizations without a value")
        self.keep_unknown.setVisible(unknown > 0)
        self._show_range()

    def _show_range(self) -> None:
        held = self._ranges.get(self.column.currentData())
        low, high = (held.minimum, held.maximum) if held else (None, None)
        self.histogram.set_range(low, high)
        for field, end in ((self.low, low), (self.high, high)):
            field.setText("" if end is None else f"{end:.10g}")
        with QSignalBlocker(self.keep_unknown):
            self.keep_unknown.setChecked(held.keep_unknown if held else False)

    def _on_typed(self) -> None:
        try:
            self._set(fields.number(self.low.text()), fields.number(self.high.text()))
        except (ValueError, InputError) as error:
            self._show_range()
            if isinstance(error, InputError):
                self.refused.emit(error)

    def _set(self, low: float | None, high: float | None) -> None:
        name = self.column.currentData()
        if name is None:
            return
        if low is None and high is None:
            # Without ends only unknown rows would be rejected, which nobody asked for.
            self._ranges.pop(name, None)
        else:
            new = Range(
                column=name, minimum=low, maximum=high, keep_unknown=self.keep_unknown.isChecked()
            )
            if self._ranges.get(name) == new:
                return
            self._ranges[name] = new
        self._show_range()
        self.changed.emit()

    def _list(self, counts: dict[object, int] | None = None) -> None:
        self.list.clear()
        for name, held in self._ranges.items():
            ends = [f"{end:.10g}" for end in (held.minimum, held.maximum) if end is not None]
            sign = "≥ " if held.maximum is None else "≤ " if held.minimum is None else ""
            text = f"{label_of(name)}  {sign}{' to '.join(ends)}"
            if counts and held in counts:
                text += f"  (rejects {counts[held]:,})"
            item = QListWidgetItem(text)
            item.setData(Qt.ItemDataRole.UserRole, name)
            item.setToolTip(f"{meaning_of(name)}\n{text}")
            self.list.addItem(item)
