"""What the tests of the widgets share."""

import gc

import numpy as np
import pytest

NAME = "napari-smlm-diffusion"


@pytest.fixture(scope="session", autouse=True)
def libraries():
    """Load what all need, and search it for garbage no more: napari's fixture does after a test."""
    import napari.viewer  # noqa: F401
    import torch  # noqa: F401

    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def manifest():
    from npe2 import PluginManifest

    return PluginManifest.from_distribution(NAME)


@pytest.fixture(autouse=True)
def alone(npe2pm, manifest, monkeypatch):
    """No test looks for other plugins, nor reads our manifest again."""
    monkeypatch.setattr(type(manifest), "from_distribution", lambda name: manifest)


@pytest.fixture
def told():
    """Sentences that the user was notified of."""
    from napari.utils.notifications import notification_manager

    before = len(notification_manager.records)
    return lambda: [str(n.message) for n in list(notification_manager.records)[before:]]


@pytest.fixture
def viewer(make_napari_viewer, npe2pm):
    """A viewer that knows the plugin, and no other one."""
    with npe2pm.tmp_plugin(package=NAME):
        yield make_napari_viewer()


@pytest.fixture
def know(monkeypatch, compiled_refiner):
    """Tell what is known of a movie, in place of learning it; give the settings that asked."""
    from napari_smlm_diffusion.jobs.localize import plan
    from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
    from napari_smlm_diffusion.posterior.prior import MoviePrior, PhotonPrior
    from napari_smlm_diffusion.progress import Progress

    def tell(*, photons, shape, density, frames, background, sigma_nm):
        known = MoviePrior(
            photons=PhotonPrior.lognormal(photons, 0.3),
            density=np.full((1, shape[0] + 4, shape[1] + 4), density),
            blocks=((0, frames),),
            margin_px=2.0,
            cell_px=1.0,
            background=np.full(shape, background),
            background_free=True,
            psf=GaussianPsf(sigma_nm=sigma_nm),
        )
        whole, asked = plan.preparing, []

        def preparing(stack, settings, prior=None):
            if settings.refine == "posterior":
                asked.append(settings)
                yield Progress(1, 2, "Learning from the movie")
            return (yield from whole(stack, settings, known))

        monkeypatch.setattr(plan, "preparing", preparing)
        return asked

    return tell
