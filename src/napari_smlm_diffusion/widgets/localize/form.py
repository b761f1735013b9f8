"""The form of the widget "Localize" that runs it: the preview, the buttons, what is shown."""

from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QWidget

from napari_smlm_diffusion.widgets.shared.run_form import RunForm


class LocalizeForm(RunForm):
    """Preview, what the movie check says, the buttons, and how far the run is."""

    def __init__(self, parent: QWidget | None = None) -> None:
        tips = {
            "start": "Localize all frames, or those given under Model.",
            "cancel": "Stop after the current frames; what is done is kept.",
            "said": "What the preview found, and whether this movie suits the model.",
            "bar": "Frames that are done.",
            "far": "Frames done, speed, and time left.",
        }
        super().__init__("Run", tips, parent)
        self.preview = QCheckBox("Preview on the current frame")
        self.preview.setToolTip(
            "Rings mark the molecules of the current frame; they follow slider and settings."
        )
        self.preview.setChecked(True)
        self.shows = QComboBox()
        self.shows.addItem("of the current frame", False)
        self.shows.addItem("of all frames", True)
        self.shows.setToolTip(
            "Which molecules of the last run are drawn as points; at most 30,000, then those where "
            "you look.\nThe layer keeps all of them, and all are exported."
        )
        self.shows.setEnabled(False)
        shown = QHBoxLayout()
        shown.addWidget(QLabel("Show molecules"))
        shown.addWidget(self.shows, 1)
        self.layout_.insertWidget(0, self.preview)
        self.layout_.addLayout(shown)
