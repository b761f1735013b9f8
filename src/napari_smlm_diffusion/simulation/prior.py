"""The prior: what a model was trained for. The same object is the training setting and the card."""

from typing import Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

from napari_smlm_diffusion.settings import Settings

Range = tuple[float, float]
# A spot is this many standard deviations wide; a frame must hold one, and emitters are drawn half
# as far beyond its border: their tails reach into it.
SPOT_SIGMAS = 6.0
# Molecules of a frame: a density that was mistyped is refused before it takes all memory.
MOST_MOLECULES = 8000
StructureName = Literal["uniform", "filaments", "tubes", "clusters", "nanorulers", "disc"]

# What can be simulated: float32 counts single photons up to 1.6e7, and a range must be finite.
_LIMITS: dict[str, Range] = {
    "psf_sigma_px": (0.01, 100.0),
    "photons": (0.01, 1e7),
    "photon_cv": (0.0, 10.0),
    "background": (0.0, 1e6),
    "background_gradient": (0.0, 10.0),
    "read_noise": (0.0, 1e5),
    "density_per_px2": (0.0, 100.0),
    "disc_count": (0, 10_000),
}


class Prior(Settings):
    """Ranges from which every training frame draws its own settings.

    Photons, background and read noise are *effective* (see `optics.camera`), so that one model
    serves EMCCD, sCMOS and plain CCD.
    """

    psf_sigma_px: Range = Field(
        (0.8, 1.8), title="PSF width", description="SD of the PSF, camera pixels"
    )
    photons: Range = Field(
        (100.0, 5000.0), title="Photons", description="mean effective photons of a molecule"
    )
    photon_cv: Range = Field(
        (0.0, 0.7), title="Photon spread", description="spread of the photons within a frame"
    )
    background: Range = Field(
        (0.0, 800.0), title="Background", description="effective photons per pixel"
    )
    background_gradient: Range = Field(
        (0.0, 0.5), title="Unevenness", description="smooth relative variation"
    )
    read_noise: Range = Field(
        (0.0, 20.0), title="Read noise", description="effective electrons rms"
    )
    density_per_px2: Range = Field(
        (0.0, 0.1), title="Density", description="mean emitters per camera pixel"
    )
    local_density_per_px2: float = Field(
        0.25,
        gt=0,
        allow_inf_nan=False,
        title="In structures",
        description="on filaments and in clusters",
    )
    structures: tuple[StructureName, ...] = Field(
        ("uniform", "filaments", "clusters"), title="Structures"
    )
    disc_radius_px: float = Field(
        7.0,
        gt=0,
        allow_inf_nan=False,
        title="Disc radius",
        description="of the papers' setting",
    )
    disc_count: tuple[int, int] = Field((1, 20), title="Disc", description="emitters on the disc")

    @field_validator(*_LIMITS)
    @classmethod
    def _within(cls, ends: Range, info: ValidationInfo) -> Range:
        least, most = _LIMITS[str(info.field_name)]
        # Written so that a NaN is refused too.
        if not least <= ends[0] <= ends[1] <= most:
            raise ValueError(f"must be {least:g} <= low <= high <= {most:g}")
        return ends

    @field_validator("structures")
    @classmethod
    def _somewhere(cls, structures: tuple[StructureName, ...]) -> tuple[StructureName, ...]:
        if not structures:
            raise ValueError(f"must have one of {', '.join(get_args(StructureName))} at least")
        return structures

    def most_molecules(self, size: int) -> float:
        """Mean number in the densest frames of `size` px; 0 of a disc, which has its own number."""
        if set(self.structures) == {"disc"}:
            return 0.0
        return self.density_per_px2[1] * (size + SPOT_SIGMAS * self.psf_sigma_px[1]) ** 2


GENERAL = Prior()
"""The shipped general model: most microscopes, sparse to very dense."""

PAPERS = Prior(
    psf_sigma_px=(0.92, 0.92),
    photons=(200.0, 200.0),
    photon_cv=(0.0, 0.0),
    background=(0.0, 0.0),
    background_gradient=(0.0, 0.0),
    read_noise=(1.0, 1.0),
    structures=("disc",),
)
"""The setting of the guided-diffusion papers: equal emitters on a disc, no background."""
