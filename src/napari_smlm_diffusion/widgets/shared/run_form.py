"""What a job says, its buttons, and how far it is."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QProgressBar, QWidget

from napari_smlm_diffusion.widgets.shared import fields


class RunForm(QWidget):
    """One button with `words` that starts a job and one that cancels it, with a bar below.

    All others are tooltips.
    """

    def __init__(
        self, words: str, *, start: str, cancel: str, said: str, bar: str, far: str
    ) -> None:
        super().__init__()
        self.said, self.far = fields.label(said), fields.label(far)
        self.said.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.start, self.cancel = fields.button(words, start), fields.button("Cancel", cancel)
        self.cancel.setEnabled(False)
        self.bar = QProgressBar()
        self.bar.setValue(0)
        self.bar.setToolTip(bar)
        area = fields.scrolled(self.said, least=66, frame=True)
        buttons = fields.row((self.start, 2), (self.cancel, 1))
        self.layout_ = fields.column(self, (area, 1), buttons, self.bar, self.far, spacing=4)

    def busy(self, running: bool) -> None:
        """Show whether a job is going on."""
        self.start.setEnabled(not running)
        self.cancel.setEnabled(running)
