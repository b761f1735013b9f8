"""What the user set under Preferences > Plugins: device, batch, samples, the usual microscope.

The fields are declared under ``configurations`` in napari.yaml; the defaults there and here are the
same (a test holds them together), because napari has none for a plugin it has not discovered.
"""

from typing import Any, Literal

from pydantic import Field

from napari_smlm_diffusion.settings import Settings

PLUGIN = "napari-smlm-diffusion"


class Compute(Settings):
    """Where and how the networks run."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    batch: int = Field(default=0, ge=0, description="frames at once; 0 chooses by itself")


class Sampling(Settings):
    """Samples of the posterior."""

    samples: int = Field(default=32, ge=2, le=1024, description="samples per frame")


class DefaultMicroscope(Settings):
    """The microscope of movies that do not say; a gain or a size of 0 is not known."""

    pixel_size_nm: float = Field(default=0.0, ge=0)
    psf_sigma_nm: float = Field(default=0.0, ge=0)
    offset: float = 0.0
    gain: float = Field(default=0.0, ge=0)
    em_gain: float = Field(default=1.0, ge=1)
    qe: float = Field(default=1.0, gt=0, le=1)
    read_noise: float = Field(default=0.0, ge=0)

    @property
    def camera(self) -> dict[str, float]:
        """Parameters of the camera under their names; empty where its gain is not set."""
        names = ("offset", "gain", "em_gain", "qe", "read_noise")
        return {name: getattr(self, name) for name in names} if self.gain else {}


class Preferences(Settings):
    """All of them."""

    compute: Compute = Compute()
    sampling: Sampling = Sampling()
    microscope: DefaultMicroscope = DefaultMicroscope()


def preferences() -> Preferences:
    """Return what the user set, and the defaults for what napari does not know of."""
    # Here, not above: readers import this module, and need napari only to ask this.
    from napari.settings import get_plugin_settings

    try:
        found = get_plugin_settings(PLUGIN)
    except KeyError:  # not discovered: a script without plugins, a test
        return Preferences()
    groups: dict[str, Any] = {}
    for name, field in Preferences.model_fields.items():
        keys = type(field.default).model_fields
        group = getattr(found, name)
        groups[name] = {key: getattr(group, key) for key in keys}
    return Preferences(**groups)
