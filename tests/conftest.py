import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

REPO = Path(__file__).resolve().parents[1]

# No deadline: a loaded machine must not fail a test. On CI the same examples every time. Slow
# tests that are asked for bring more examples too.
for profile, examples in (("fast", 25), ("slow", 200)):
    settings.register_profile(
        profile, deadline=None, derandomize="CI" in os.environ, max_examples=examples
    )


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("fast" if config.option.markexpr == "not slow" else "slow")


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260201)


@pytest.fixture(autouse=True)
def own_models(tmp_path_factory, monkeypatch) -> None:
    """No test sees the models of whoever runs it."""
    folder = tmp_path_factory.getbasetemp() / "none" / "models"
    monkeypatch.setenv("SMLM_DIFFUSION_MODELS", str(folder))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Other people's recordings; they are too large for the repository."""
    folder = Path(os.environ.get("SMLM_DATA") or REPO.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; set SMLM_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A model file whose weights are written by hand: it marks what is brighter than around it.

    It finds every clear spot, though in several pieces, and its rows claim
    the Cramer-Rao bound. Without training it is the same everywhere.
    """
    import torch

    from napari_smlm_diffusion.models import file as checkpoint
    from napari_smlm_diffusion.models.card import ModelCard
    from napari_smlm_diffusion.networks.localization_head import LocalizationHead
    from napari_smlm_diffusion.networks.settings import (
        LocalizationHeadSettings,
        PhiSettings,
        VarianceSettings,
    )
    from napari_smlm_diffusion.networks.variance import VarianceHead

    # Fewer channels, and some CPUs round a lone frame otherwise than one of several.
    network = PhiSettings(channels=16, dilations=(1,), up_channels=(16, 8))
    phi = network.build()
    head, rows = VarianceHead(network.channels), LocalizationHead()
    with torch.no_grad():
        for weights in (*phi.parameters(), *head.parameters(), *rows.parameters()):
            weights.zero_()
        decoder = phi.decoder
        phi.entry.weight[0, 0] = -0.125  # the signal, less its neighbours ...
        phi.entry.weight[0, 0, 1, 1] = 1.0
        phi.entry.bias[0] = -0.25  # ... and less what noise may do
        decoder.squeeze.weight[0, 0] = 1.0
        blur = torch.tensor([1.0, 2.0, 1.0])
        for layer in (decoder.at_half, decoder.at_full, *decoder.refine, decoder.last):
            layer.weight[0, 0] = torch.outer(blur, blur) / 16
        decoder.last.weight *= 0.8
    tensors = {
        **checkpoint.with_prefix(phi.state_dict(), "phi"),
        **checkpoint.with_prefix(head.state_dict(), "variance"),
        **checkpoint.with_prefix(rows.state_dict(), "rows"),
    }
    card = ModelCard(
        name="tiny",
        package_version="0",
        networks={
            "phi": network,
            "variance": VarianceSettings(),
            "rows": LocalizationHeadSettings(),
        },
        prior={"photons": [100.0, 20_000.0], "psf_sigma_px": [0.8, 1.8]},
        stages={"phi": {}, "variance": {}, "rows": {}},
    )
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    checkpoint.save(path, tensors, card)
    return path


@pytest.fixture(scope="session")
def tiny_psi_model(tiny_model) -> Path:
    """The tiny model with a U-Net that says nothing, for frames of 16 x 16 pixels.

    Its posterior is a Gaussian about phi's density, with the SD of 0.03 that an untrained head
    claims: far too narrow.
    """
    from napari_smlm_diffusion.models import file as checkpoint
    from napari_smlm_diffusion.networks.settings import PsiSettings

    tensors, card = checkpoint.load(tiny_model)
    settings = PsiSettings(width=4, encoder_width=8, multipliers=(1, 1, 1))
    unet = settings.build({"phi": card.phi})
    half = {name: weights.half() for name, weights in unet.state_dict().items()}
    stages = {**card.stages, "psi": {"settings": {"frame_size": 16}}}
    prior = {**card.prior, "density_per_px2": [0.0, 0.02]}
    card = card.with_networks(psi=settings)
    card = card.model_copy(update={"stages": stages, "prior": prior})
    path = tiny_model.with_name("tiny_psi.safetensors")
    checkpoint.save(path, tensors | checkpoint.with_prefix(half, "psi"), card)
    return path


@pytest.fixture(scope="session")
def movie_file(tmp_path_factory) -> Path:
    """``movie.tif`` of 24 frames of 28 x 36 pixels, bright and sparse, with its ``truth.csv``."""
    from napari_smlm_diffusion.jobs.simulated_files import write_movie
    from napari_smlm_diffusion.simulation.light import ConstantPhotons
    from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate

    settings = MovieSettings(
        frames=24, shape=(28, 36), count_per_frame=4, photons=ConstantPhotons(mean=3000.0), seed=2
    )
    folder = tmp_path_factory.mktemp("movie")
    write_movie(simulate(settings), folder)
    return folder / "movie.tif"


@pytest.fixture(scope="session")
def compiled_refiner():
    """Compile what refines, which may take a minute: no test need wait for that with patience."""
    from napari_smlm_diffusion.frames import FrameStack
    from napari_smlm_diffusion.jobs.localize.in_memory import localize_in_memory
    from napari_smlm_diffusion.jobs.localize.plan import prepare
    from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
    from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
    from napari_smlm_diffusion.posterior.prior import MoviePrior, PhotonPrior

    known = MoviePrior(
        photons=PhotonPrior.lognormal(500, 0.3),
        density=np.full((1, 20, 20), 0.01),
        blocks=((0, 2),),
        margin_px=2.0,
        cell_px=1.0,
        background=np.full((16, 16), 10.0),
        background_free=True,
        psf=GaussianPsf(sigma_nm=130.0),
    )
    frames = np.random.default_rng(0).poisson(10.0, (2, 16, 16)).astype(np.uint16)
    frames[:, 7:10, 7:10] += 60
    stack = FrameStack.from_array(frames)
    camera = {"offset": 0, "gain": 1, "pixel_size_nm": 100, "psf_sigma_nm": 130}
    settings = LocalizeSettings(refine="posterior", proposal="spots", draws=8, **camera)
    for _ in localize_in_memory(stack, settings, prepare(stack, settings, known)):
        pass


@pytest.fixture
def finish():
    """Run a job to its end and return what it returns; its progress must never go back."""

    def run(job):
        last = None
        while True:
            try:
                step = next(job)
            except StopIteration as end:
                return end.value
            if last is not None and step.message == last.message:
                assert step.done >= last.done
            last = step

    return run


@pytest.fixture
def quick_validation(monkeypatch):
    """Validate trainings on a handful of frames."""
    from napari_smlm_diffusion.training import metrics, validation

    monkeypatch.setattr(validation, "_FRAMES", 8)
    for name, number in (("_WIDTHS", 1), ("_FRAMES", 2), ("_ALONE", 4)):
        monkeypatch.setattr(metrics, name, number)


@pytest.fixture(scope="session")
def dataset_of():
    """Make a dataset of n random rows; see the options."""
    from napari_smlm_diffusion import localizations
    from napari_smlm_diffusion.results.dataset import Dataset

    def make(n=60, *, seed=0, z=False, gaps=True, filtered=False, size=64, **options):
        """With heights, with values that are not known, with a mask, in frames of that size."""
        rng = np.random.default_rng(seed)
        table = localizations.empty(["z_nm", "uncertainty_z_nm"] if z else ()).reindex(range(n))
        for name in table.columns:
            column = localizations.BY_NAME[name]
            if column.dtype == "float64":
                table[name] = rng.uniform(0, 1 if column.unit == "" else 60 * size, n)
            elif column.dtype == "int64":
                table[name] = rng.integers(1, 50, n)
            else:
                table[name] = np.where(np.arange(n) % 3, "head", "samples:32")
        if gaps:
            table.loc[::4, ["uncertainty_x_nm", "uncertainty_y_nm", "probability"]] = np.nan
            table.loc[::5, "density_sd"] = np.nan
            table["background_sd"] = np.nan
        provenance = {"model": "general", "model_sha256": "ab" * 32, "samples": 32}
        known = {"pixel_size_nm": 108.0, "frame_shape": (50, size, size), "provenance": provenance}
        dataset = Dataset(table=localizations.validate(table), **known | options)
        if not filtered:
            return dataset
        kept = np.arange(n) % 3 > 0
        reason = np.where(kept, "", 'uncertainty above 30 nm, "too wide"')
        return dataset.filtered(kept, reason, {"uncertainty_xy_nm": [0, 30]})

    return make


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
            pytest.skip("needs a CUDA or MPS device")
    if item.get_closest_marker("gui") and not has_screen():
        pytest.skip("needs a screen; a virtual one will do: xvfb-run -a make test")


def has_screen() -> bool:
    """Whether Qt can open a window; without, it does not fail but ends the process."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return sys.platform != "linux" or any(os.environ.get(name) for name in names)
