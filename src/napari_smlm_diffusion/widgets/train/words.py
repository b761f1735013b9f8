"""Sentences on the settings of a training, in the words of the forms."""

import re
from collections.abc import Iterator

from napari_smlm_diffusion.errors import SmlmError
from napari_smlm_diffusion.jobs.train.training import STAGE_WORDS
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.widgets.train.prior_form import ROWS


def in_words(text: str) -> str:
    """Return a sentence on the settings of a training with the names of the form."""
    text = re.sub(r"^(TrainingSettings|--resume [^:]*(:\\[^:]*)?): ", "", text)
    for name, row in ROWS.items():
        text = re.sub(rf"\bprior\.{name}\b", f"“{row.title}”", text)
    for name, title in {
        "frame_size": "Frame side",
        "learning_rate": "Learning rate",
        "start_from": "Start from",
    }.items():
        text = re.sub(rf"\b{name}\b", f"“{title}”", text)
    text = re.sub(r"\bthe stage (\w+)", lambda m: f"“{STAGE_WORDS.get(m[1], m[1])}”", text)
    return text.replace("--model ", "model ").replace("from --config", "from the beginning")


def worded(job: Iterator[Progress]) -> Iterator[Progress]:
    """Run a job whose errors are of the settings of a training."""
    try:
        yield from job
    except SmlmError as error:
        raise type(error)(in_words(str(error))) from error
