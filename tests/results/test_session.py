"""What the widget holds between two moves of a handle, without the widget."""

import numpy as np
import pytest

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.criteria import Range, Region, SdMap
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.filters import Filter
from napari_smlm_diffusion.results.render import LivePicture
from napari_smlm_diffusion.results.session import KERNEL_SIGMA, FilterSession

BRIGHT = Filter(ranges=(Range(column="photons", minimum=50.0),))


def session_of(rows=120, **options):
    rng = np.random.default_rng(2)
    table = localizations.empty().reindex(range(rows))
    for column in localizations.COLUMNS:
        if column.required:
            values = {"float64": rng.uniform(1, 100, rows), "int64": 1, "str": "head"}
            table[column.name] = values[column.dtype]
    table["y_nm"], table["x_nm"] = rng.uniform(0, 1000, rows), rng.uniform(0, 700, rows)
    return FilterSession(
        Dataset(**{"table": table, "pixel_size_nm": 100.0, "frame_shape": (1, 12, 9)} | options)
    )


def test_pictures_do_not_depend_on_what_was_drawn_before():
    session = session_of()
    for rules in (Filter(), BRIGHT, Filter()):
        kept = session.judge(rules).kept
        for upsampling in (2, 4):
            for style, sigma in (("density", KERNEL_SIGMA), ("counts", 0.0)):
                grid = session.grid(upsampling)
                fresh = LivePicture(session.dataset.table, grid, sigma)
                fresh.show(kept)
                picture = session.picture(style, grid)
                np.testing.assert_allclose(picture, fresh.image, atol=2e-6)


def test_the_grid_is_the_field_or_what_the_rows_cover():
    assert session_of().grid(4).shape == (48, 36)
    covering = session_of(frame_shape=None).grid(2)
    assert covering.shape[0] <= 22 and covering.shape[1] <= 16


def test_a_filter_that_does_not_fit_leaves_the_one_before():
    session = session_of()
    before = session.judge(BRIGHT)
    with pytest.raises(InputError, match="no such image"):
        session.judge(Filter(region=Region(maximum=1.0)))
    assert session.rules == BRIGHT and session.filtered is before


def test_verdict_and_mask():
    session = session_of()
    assert session.masked() is None
    grid = session.grid(2)
    image = np.random.default_rng(0).random(grid.shape)
    session.use(SdMap(image, grid))
    rules = BRIGHT.model_copy(update={"region": Region(maximum=0.5)})
    session.judge(rules)
    np.testing.assert_array_equal(session.masked(), image > 0.5)
    verdict = session.verdict()
    np.testing.assert_array_equal(verdict.kept, session.filtered.kept)
    assert Filter(**verdict.filter) == rules
    assert session.dataset.kept is None


def test_gaussians_are_of_the_kept_rows():
    session = session_of()
    session.judge(BRIGHT)
    # Wide ones leave a little outside of the field.
    total = session.gaussians(session.grid(2)).sum()
    assert 0.7 * session.filtered.kept.sum() < total <= 1.001 * session.filtered.kept.sum()
