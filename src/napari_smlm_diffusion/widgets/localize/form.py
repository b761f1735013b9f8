"""The form of the widget "Localize" that runs it: the preview, the buttons, what is shown."""

from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.run_form import RunForm


class LocalizeForm(RunForm):
    """Preview, what the movie check says, the buttons, and how far the run is."""

    def __init__(self) -> None:
        super().__init__(
            "Run",
            start="Localize all frames, or those given under Model.",
            cancel="Stop after the current frames; what is done is kept.",
            said="What the preview found, and whether this movie suits the model.",
            bar="Frames that are done.",
            far="Frames done, speed, and time left.",
        )
        self.preview = fields.check(
            "Preview on the current frame",
            "Rings mark the molecules of the current frame; they follow slider and settings.",
            ticked=True,
        )
        self.shows = fields.combo(
            "Which molecules of the last run are drawn as points; at most 30,000, then those where "
            "you look.\nThe layer keeps all of them, and all are exported.",
            [("of the current frame", False), ("of all frames", True)],
        )
        self.shows.setEnabled(False)
        self.check = fields.button(
            "Check",
            "Do the error bars of the last run hold? Asked of the run itself: do the pixels fit, "
            "is what is left noise,\ndo molecules scatter between frames as their error bars say. "
            "Says so in a sentence and a picture.",
        )
        self.check.setEnabled(False)
        self.layout_.insertWidget(0, self.preview)
        self.layout_.addLayout(fields.row("Show molecules", (self.shows, 1), self.check))
