"""What a job says, its buttons, and how far it is."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)


class RunForm(QWidget):
    """One button that starts a job and one that cancels it, with a bar below.

    Parameters
    ----------
    words : str
        On the button that starts it.
    tips : dict of str
        Tooltips of ``start``, ``cancel``, ``said``, ``bar`` and ``far``.
    """

    def __init__(self, words: str, tips: dict[str, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.said.setAlignment(Qt.AlignmentFlag.AlignTop)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(self.said)
        area.setMinimumHeight(66)
        self.start, self.cancel = QPushButton(words), QPushButton("Cancel")
        self.cancel.setEnabled(False)
        self.bar = QProgressBar()
        self.bar.setValue(0)
        self.far = QLabel()
        self.far.setWordWrap(True)
        for name, tip in tips.items():
            getattr(self, name).setToolTip(tip)
        buttons = QHBoxLayout()
        buttons.addWidget(self.start, 2)
        buttons.addWidget(self.cancel, 1)
        self.layout_ = QVBoxLayout(self)
        self.layout_.setContentsMargins(0, 0, 0, 0)
        self.layout_.setSpacing(4)
        self.layout_.addWidget(area, 1)
        self.layout_.addLayout(buttons)
        self.layout_.addWidget(self.bar)
        self.layout_.addWidget(self.far)

    def busy(self, running: bool) -> None:
        """Show whether a job is going on."""
        self.start.setEnabled(not running)
        self.cancel.setEnabled(running)
