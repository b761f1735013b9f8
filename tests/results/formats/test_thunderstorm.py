"""ThunderSTORM's CSV: ours, its own, and sloppy ones."""

import os

import numpy as np
import pandas as pd
import pytest

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results import run_folder
from napari_smlm_diffusion.results.formats import challenge, thunderstorm
from napari_smlm_diffusion.results.formats.tables import read_corner

PIXEL = 108.0
HEADER = (
    '"id","frame","x [nm]","y [nm]","sigma [nm]","intensity [photon]","offset [photon]",'
    '"bkgstd [photon]","uncertainty_xy [nm]","uncertainty_x [nm]","uncertainty_y [nm]",'
    '"probability","crlb_xy [nm]","density_sd","multiplicity","uncertainty_source"'
)


def table_of(n, seed=0, **changes):
    rng = np.random.default_rng(seed)
    table = localizations.empty().reindex(range(n))
    for column in localizations.COLUMNS:
        if not column.required:
            continue
        if column.dtype == "float64":
            table[column.name] = rng.uniform(0, 1000, n)
        elif column.dtype == "int64":
            table[column.name] = rng.integers(1, 50, n)
        else:
            table[column.name] = "head"
    return table.assign(**changes)


def write_text(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_the_file_is_in_thunderstorms_convention(tmp_path):
    # The centre of the first pixel in the first frame.
    table = table_of(1, frame=0, x_nm=0.0, y_nm=PIXEL, uncertainty_x_nm=np.nan)
    thunderstorm.write(tmp_path / "localizations.csv", table, PIXEL)
    header, row = (tmp_path / "localizations.csv").read_text().splitlines()
    assert header == HEADER
    cells = row.split(",")
    assert cells[:4] == ["1", "1", "54.000", "162.000"]
    assert cells[9] == "NaN"  # the only spelling that Java reads
    assert cells[-1] == "head"


def test_export_and_import_give_the_same_table(tmp_path):
    table = table_of(50)
    table.loc[::3, ["uncertainty_x_nm", "uncertainty_y_nm", "probability"]] = np.nan
    path = tmp_path / "localizations.csv"
    thunderstorm.write(path, table, PIXEL)
    back = thunderstorm.read(path, pixel_size_nm=PIXEL)
    assert list(back["id"]) == list(range(1, 51))
    pd.testing.assert_frame_equal(
        back.drop(columns="id"), table, check_exact=False, rtol=0, atol=6e-4, check_dtype=True
    )


def test_ids_of_a_simulation_are_kept(tmp_path):
    thunderstorm.write(tmp_path / "truth.csv", table_of(3, id=[7, 7, 9]), PIXEL)
    assert list(thunderstorm.read(tmp_path / "truth.csv", origin="corner")["id"]) == [7, 7, 9]


def test_parts_make_the_same_file_as_the_whole(tmp_path):
    table = table_of(30)
    thunderstorm.write(tmp_path / "whole.csv", table, PIXEL)
    with thunderstorm.CsvWriter(tmp_path / "parts.csv", PIXEL) as writer:
        for start in range(0, 30, 7):
            writer.append(table.iloc[start : start + 7])
            on_disk = thunderstorm.read(writer.partial, origin="corner")
            assert len(on_disk) == writer.rows == min(start + 7, 30)
        writer.append(table.iloc[:0])
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["parts.csv", "whole.csv"]


def test_an_interrupted_run_keeps_its_finished_frames(tmp_path):
    path = tmp_path / "localizations.csv"
    with pytest.raises(KeyboardInterrupt), thunderstorm.CsvWriter(path, PIXEL) as writer:
        writer.append(table_of(5))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["localizations.partial.csv"]
    assert len(thunderstorm.read(writer.partial, pixel_size_nm=PIXEL)) == 5


def test_a_table_that_is_none_is_not_written(tmp_path):
    with thunderstorm.CsvWriter(tmp_path / "x.csv", PIXEL) as writer:
        with pytest.raises(InputError, match="lacks the columns"):
            writer.append(pd.DataFrame({"frame": [1]}))
    assert (tmp_path / "x.csv").read_text() == HEADER + "\n"
    assert localizations.validate(thunderstorm.read(tmp_path / "x.csv", origin="corner")).empty


def test_the_pixel_size_is_given_or_found_beside_the_file(tmp_path):
    path = write_text(tmp_path / "truth.csv", '"frame","x [nm]","y [nm]"\n1,50,150\n')
    with pytest.raises(InputError, match=r"pixel size of .*truth\.csv is not known.* --pixel-size"):
        thunderstorm.read(path)
    assert thunderstorm.read(path, origin="corner")["x_nm"].iloc[0] == 50
    assert thunderstorm.read(path, pixel_size_nm=20)["x_nm"].iloc[0] == 40
    run_folder.write_json(tmp_path / "settings.json", {"microscope": {"pixel_size_nm": 100}})
    assert thunderstorm.read(path)["x_nm"].iloc[0] == 0
    assert thunderstorm.read(path)["y_nm"].iloc[0] == 100
    assert thunderstorm.read(path, pixel_size_nm=20)["x_nm"].iloc[0] == 40  # given wins


@pytest.mark.parametrize(
    "header",
    [
        '"id","frame","x [nm]","y [nm]","uncertainty_xy [nm]"',
        "id,frame,x [nm],y [nm],uncertainty_xy [nm]",
        "id, frame , x  [nm],y[ nm ], uncertainty [nm]",
        '\ufeff"ID","Frame","X [nm]","Y [nm]","uncertainty [nm]"',
        '"id,""frame"",""x [nm]"",""y [nm]"",""uncertainty [nm]"""',
    ],
)
def test_headers_of_all_manners(header, tmp_path):
    path = write_text(tmp_path / "table.csv", f"{header}\n1.0,3.0,10.5,20.5,7.0\n")
    row = thunderstorm.read(path, origin="corner").iloc[0]
    assert (row["id"], row["frame"], row["x_nm"], row["y_nm"]) == (1, 2, 10.5, 20.5)
    assert row["uncertainty_xy_nm"] == row["uncertainty_x_nm"] == row["uncertainty_y_nm"] == 7


def test_what_is_missing_is_unknown_and_what_is_strange_is_left_out(tmp_path):
    text = '"frame","x [nm]","y [nm]","z [nm]","intensity [AU]","chi2","detections"\n'
    table = thunderstorm.read(
        write_text(tmp_path / "table.csv", text + "1,10,20,-300,5,6,2\n"), origin="corner"
    )
    row = table.iloc[0]
    assert row["z_nm"] == -300
    assert np.isnan(row["photons"])  # counts are not photons
    assert np.isnan(row["uncertainty_x_nm"])
    assert row["multiplicity"] == 1
    assert row["uncertainty_source"] == ""
    assert "chi2" not in table


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column frame and x"),
        ("just text\n", "has no column frame and x"),
        ('"frame","x [nm]"\n1,2\n', r"has no column y \[nm\]"),
        ('"frame","x [px]","y [px]"\n1,2,3\n', "has x in px; export it .* in nm"),
        ('"frame","x [nm]","y [nm]"\n0,2,3\n', "frame 0, but ThunderSTORM counts frames from 1"),
        ('"frame","x [nm]","y [nm]"\n1,2,3\n1,2,5,3\n', "more cells than its header"),
        ('"frame","x [nm]","y [nm]"\n1,2,3\n1,2,5,3,5\n', "rows that do not fit its header"),
        ('"frame","x [nm]","y [nm]"\n1,,3\n', "rows without a number in the column of x_nm"),
        ('"frame","x [nm]","y [nm]"\n1,abc,3\n', "has text in the column of x_nm"),
        ('"frame","x [nm]","y [nm]","x [nm]"\n1,2,3,4\n', "columns .'x_nm'. more than once"),
        ('"frame","x [nm]","y [nm]","multiplicity"\n1,2,3,\n', "in the column of multiplicity"),
    ],
)
def test_files_that_are_no_table_are_refused_with_a_sentence(text, message, tmp_path):
    path = write_text(tmp_path / "table.csv", text)
    with pytest.raises(InputError, match=message) as caught:
        thunderstorm.read(path, origin="corner")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv cannot be read \(No such file"):
        thunderstorm.read(tmp_path / "none.csv", origin="corner")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match=r"binary\.csv is not a text file"):
        thunderstorm.read(tmp_path / "binary.csv", origin="corner")
    with pytest.raises(InputError, match="cannot be read"):
        thunderstorm.read(tmp_path, origin="corner")


def test_exports_of_other_programs(data_dir):
    generated = thunderstorm.read(
        data_dir / "deep-storm-demo1/positions_demo1.csv", pixel_size_nm=100
    )
    assert len(generated) == 4956
    assert sorted(generated["frame"].unique()) == list(range(20))
    # 67.843 nm from the corner is 17.843 nm from the centre of the first pixel.
    assert generated["x_nm"].iloc[0] == pytest.approx(17.843)
    assert generated["sigma_nm"].between(90, 130).all()
    plain = thunderstorm.read(data_dir / "sdt-python/thunderstorm.csv", origin="corner")
    assert len(plain) == 3
    assert plain["uncertainty_xy_nm"].iloc[0] == pytest.approx(25.891, abs=1e-3)
    misquoted = thunderstorm.read(
        data_dir / "locan-tables/Thunderstorm_dstorm_data.csv", origin="corner"
    )
    assert len(misquoted) == 19
    assert misquoted["frame"].iloc[0] == 2000
    assert misquoted["uncertainty_xy_nm"].iloc[0] == pytest.approx(22.932551)
    with pytest.raises(InputError, match=r"no column x \[nm\] and y \[nm\]"):
        thunderstorm.read(data_dir / "locan-tables/Nanoimager_dstorm_data.csv", origin="corner")


CHALLENGE = "1,150.5,250.5,-100.0,1234.5\n3,50.0,150.0,0.0,900.0\n"
CHALLENGE_TRUTH = "Ground-truth,frame,xnano,ynano,znano,intensity \n" + "".join(
    f"{i},{line}\n" for i, line in enumerate(CHALLENGE.splitlines())
)


@pytest.mark.parametrize("text", [CHALLENGE, CHALLENGE_TRUTH])
def test_tables_of_the_challenge(text, tmp_path):
    path = write_text(tmp_path / "table.csv", text)
    table = challenge.read(path, pixel_size_nm=100)
    assert list(table["frame"]) == [0, 2]
    assert list(table["x_nm"]) == [100.5, 0]
    assert list(table["y_nm"]) == [200.5, 100]
    assert list(table["z_nm"]) == [-100, 0]
    assert list(table["photons"]) == [1234.5, 900]
    corner = read_corner(path)
    assert list(corner["x_nm"]) == [150.5, 50]


def test_any_known_table_is_told_by_its_first_line(tmp_path):
    thunderstorm.write(tmp_path / "ours.csv", table_of(4), PIXEL)
    pd.testing.assert_frame_equal(
        read_corner(tmp_path / "ours.csv"),
        thunderstorm.read(tmp_path / "ours.csv", origin="corner"),
    )
    with pytest.raises(InputError, match="is not a table of the SMLM challenge"):
        challenge.read(write_text(tmp_path / "text.csv", "a,b\n1,2\n"), pixel_size_nm=100)
    with pytest.raises(InputError, match="the challenge counts them from 1"):
        read_corner(write_text(tmp_path / "zero.csv", "0,1,2,3,4\n"))
