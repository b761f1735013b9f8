import pytest

from napari_smlm_diffusion.progress import Progress


def test_fraction():
    assert Progress(done=3, total=12).fraction == 0.25
    assert Progress(done=12, total=12).fraction == 1.0


def test_fraction_is_none_while_the_total_is_unknown():
    assert Progress(done=7, total=0).fraction is None


@pytest.mark.parametrize(("done", "total"), [(-1, 4), (5, 4), (0, -1)])
def test_impossible_progress_is_refused(done, total):
    with pytest.raises(ValueError, match=f"got done={done}, total={total}"):
        Progress(done=done, total=total)
