"""Movies to try things on: the demo of the command line and the samples of napari."""

from napari_smlm_diffusion.simulation.blinking import Blinking
from napari_smlm_diffusion.simulation.light import (
    ConstantPhotons,
    FlatBackground,
    LognormalPhotons,
)
from napari_smlm_diffusion.simulation.movie import MovieSettings
from napari_smlm_diffusion.simulation.structures import Filaments, Pairs

DENSE = MovieSettings(
    frames=200,
    shape=(64, 64),
    density_per_um2=3.0,
    structure=Filaments(),
    photons=LognormalPhotons(mean=1000.0, cv=0.4),
    background=FlatBackground(level=20.0),
    seed=3,
)
SPARSE = MovieSettings(
    frames=200,
    shape=(64, 64),
    density_per_um2=0.15,
    structure=Filaments(),
    photons=LognormalPhotons(mean=1500.0, cv=0.4),
    background=FlatBackground(level=10.0),
    blinking=Blinking(),
    seed=4,
)
PAIR = MovieSettings(
    frames=120,
    shape=(32, 32),
    count_per_frame=2,
    structure=Pairs(closest_px=0.5, furthest_px=3.0),
    photons=ConstantPhotons(mean=600.0),
    background=FlatBackground(level=10.0),
    seed=5,
)
