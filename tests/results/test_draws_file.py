import numpy as np
import pandas as pd
import pytest

from napari_smlm_diffusion.results import draws_file


def draws(first, n, rng):
    columns = {
        "frame": np.sort(rng.integers(first, first + 4, n)),
        "draw": rng.integers(0, 8, n).astype(np.int32),
        "chain": rng.integers(0, 2, n).astype(np.int32),
        "x_nm": rng.uniform(-100, 230_000, n),
        "y_nm": rng.uniform(-100, 230_000, n),
        "photons": rng.lognormal(7, 1, n),
    }
    return pd.DataFrame(columns)


@pytest.mark.parametrize("group", [7, 1000])
def test_parts_are_one_file_to_the_last_bit(group, tmp_path, rng, monkeypatch):
    monkeypatch.setattr(draws_file, "_GROUP", group)
    parts = [draws(0, 50, rng), draws(4, 0, rng), draws(8, 30, rng)]
    for i, part in enumerate(parts):
        draws_file.write_part(tmp_path / f"{i}.parquet", part)
    read = (draws_file.read_part(tmp_path / f"{i}.parquet") for i in range(3))
    draws_file.write(tmp_path / "draws.parquet", read, {"pixel_size_nm": 100.0})
    whole = pd.read_parquet(tmp_path / "draws.parquet")
    pd.testing.assert_frame_equal(whole, pd.concat(parts, ignore_index=True))
    one = pd.concat(parts, ignore_index=True)
    draws_file.write(tmp_path / "one.parquet", [one], {"pixel_size_nm": 100.0})
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "draws.parquet").read_bytes()
    assert dict(whole.dtypes.astype(str)) == draws_file.COLUMNS
