import numpy as np
import pytest

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.results.dataset import Dataset


def _table_of(xy, sd, frame, **columns):
    """A table with these positions (N, 2), uncertainties and frames, in order of frames."""
    optional = {column.name for column in localizations.COLUMNS if not column.required}
    like = localizations.empty(columns.keys() & optional)
    table = like.reindex(range(len(xy)))
    xy = np.asarray(xy, float)
    table["frame"], table["x_nm"], table["y_nm"] = frame, xy[:, 0], xy[:, 1]
    for axis in ("x", "y", "xy"):
        table[f"uncertainty_{axis}_nm"] = sd
    table["multiplicity"], table["uncertainty_source"], table["photons"] = 1, "test", 100.0
    table["probability"], table["background"], table["background_sd"] = 0.9, 2.0, 1.0
    table["sigma_nm"], table["crlb_xy_nm"], table["density_sd"] = 130.0, 8.0, 0.1
    table = table.assign(**columns)
    order = np.argsort(np.asarray(frame), kind="stable")
    return localizations.validate(table.iloc[order].reset_index(drop=True).astype(like.dtypes))


def _dataset_of(table, frames=None):
    shape = None if frames is None else (frames, 64, 64)
    return Dataset(table=table, pixel_size_nm=100.0, frame_shape=shape)


@pytest.fixture
def table_of():
    return _table_of


@pytest.fixture
def dataset_of():
    return _dataset_of
