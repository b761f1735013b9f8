"""What the tests of the widgets share."""

import pytest

NAME = "napari-smlm-diffusion"


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
