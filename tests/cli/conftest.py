import pytest


@pytest.fixture
def quick_validation(monkeypatch):
    """Validate trainings on a handful of frames."""
    from napari_smlm_diffusion.training import metrics, validation

    monkeypatch.setattr(validation, "_FRAMES", 8)
    for name, number in (("_WIDTHS", 1), ("_FRAMES", 2), ("_ALONE", 4)):
        monkeypatch.setattr(metrics, name, number)
