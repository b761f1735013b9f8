"""What the tests of the widgets share."""

import gc

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
