"""Cameras to start from. Typical of their kind: the data sheet of the camera itself is better."""

from typing import NamedTuple


class Preset(NamedTuple):
    """A kind of camera: what it is, and values for the form under the names of the settings."""

    title: str
    about: str
    values: dict[str, float | None]


# An empty gain and offset are for the user, or for an estimate from the movie: of CCDs they differ
# from camera to camera. Most sCMOS cameras have 0.46 electrons per ADU and 100 ADU.
PRESETS = (
    Preset(
        "Plain CCD",
        "No multiplication; read noise of an interline CCD. Gain and offset are in its data sheet.",
        {"offset": None, "gain": None, "em_gain": 1.0, "qe": 0.6, "read_noise": 6.0},
    ),
    Preset(
        "EMCCD",
        "Back-illuminated, read noise at the output before it is divided by the EM gain. Set the "
        "EM gain that was used.",
        {"offset": None, "gain": None, "em_gain": 300.0, "qe": 0.9, "read_noise": 80.0},
    ),
    Preset(
        "sCMOS",
        "One value for all pixels; for maps of offset, gain and noise give a camera file.",
        {"offset": 100.0, "gain": 2.17, "em_gain": 1.0, "qe": 0.8, "read_noise": 1.6},
    ),
)
