"""ThunderSTORM's CSV: ours, its own, and sloppy ones."""

import os

import numpy as np
import pandas as pd
import pytest

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results import run_folder
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.formats.text_formats import read_corner
from napari_smlm_diffusion.results.formats.text_writer import CsvWriter, write_table

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
    write_table(tmp_path / "localizations.csv", table, PIXEL)
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
    write_table(path, table, PIXEL)
    back = registry.read(path, PIXEL, name="thunderstorm").table
    assert list(back["id"]) == list(range(1, 51))
    pd.testing.assert_frame_equal(
        back.drop(columns="id"), table, check_exact=False, rtol=0, atol=6e-4, check_dtype=True
    )


def test_ids_of_a_simulation_are_kept(tmp_path):
    write_table(tmp_path / "truth.csv", table_of(3, id=[7, 7, 9]), PIXEL)
    assert list(read_corner(tmp_path / "truth.csv")["id"]) == [7, 7, 9]


def test_parts_make_the_same_file_as_the_whole(tmp_path):
    table = table_of(30)
    write_table(tmp_path / "whole.csv", table, PIXEL)
    with CsvWriter(tmp_path / "parts.csv", PIXEL) as writer:
        for start in range(0, 30, 7):
            writer.append(table.iloc[start : start + 7])
            on_disk = read_corner(writer.partial)
            assert len(on_disk) == writer.count == min(start + 7, 30)
        writer.append(table.iloc[:0])
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["parts.csv", "whole.csv"]


def test_an_interrupted_run_keeps_its_finished_frames(tmp_path):
    path = tmp_path / "localizations.csv"
    with pytest.raises(KeyboardInterrupt), CsvWriter(path, PIXEL) as writer:
        writer.append(table_of(5))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["localizations.partial.csv"]
    assert len(registry.read(writer.partial, PIXEL, name="thunderstorm").table) == 5


def test_a_table_that_is_none_is_not_written(tmp_path):
    with CsvWriter(tmp_path / "x.csv", PIXEL) as writer:
        with pytest.raises(InputError, match="lacks the columns"):
            writer.append(pd.DataFrame({"frame": [1]}))
    assert (tmp_path / "x.csv").read_text() == HEADER + "\n"
    assert localizations.validate(read_corner(tmp_path / "x.csv")).empty


def test_the_pixel_size_is_given_or_found_beside_the_file(tmp_path):
    path = write_text(tmp_path / "truth.csv", '"frame","x [nm]","y [nm]"\n1,50,150\n')
    with pytest.raises(InputError, match=r"pixel_size_nm: .*truth\.csv is not known"):
        registry.read(path, name="thunderstorm")
    assert read_corner(path)["x_nm"].iloc[0] == 50
    assert registry.read(path, 20, name="thunderstorm").table["x_nm"].iloc[0] == 40
    run_folder.write_json(tmp_path / "settings.json", {"microscope": {"pixel_size_nm": 100}})
    assert registry.read(path, name="thunderstorm").table["x_nm"].iloc[0] == 0
    assert registry.read(path, name="thunderstorm").table["y_nm"].iloc[0] == 100
    assert registry.read(path, 20, name="thunderstorm").table["x_nm"].iloc[0] == 40  # given wins


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
    row = read_corner(path).iloc[0]
    assert (row["id"], row["frame"], row["x_nm"], row["y_nm"]) == (1, 2, 10.5, 20.5)
    assert row["uncertainty_xy_nm"] == row["uncertainty_x_nm"] == row["uncertainty_y_nm"] == 7


def test_what_is_missing_is_unknown_and_what_is_strange_is_left_out(tmp_path):
    text = '"frame","x [nm]","y [nm]","z [nm]","intensity [AU]","chi2","detections"\n'
    table = read_corner(write_text(tmp_path / "table.csv", text + "1,10,20,-300,5,6,2\n"))
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
        ('"frame","x [nm]","y [nm]"\n1,2,3\n1,2,5,3,5\n', "lines that do not fit its header"),
        ('"frame","x [nm]","y [nm]"\n1,,3\n', "lines without a number in the column of x_nm"),
        ('"frame","x [nm]","y [nm]"\n1,abc,3\n', "has text in the column of x_nm"),
        ('"frame","x [nm]","y [nm]","x [nm]"\n1,2,3,4\n', "columns .'x_nm'. more than once"),
        ('"frame","x [nm]","y [nm]","multiplicity"\n1,2,3,\n', "in the column of multiplicity"),
    ],
)
def test_files_that_are_no_table_are_refused_with_a_sentence(text, message, tmp_path):
    path = write_text(tmp_path / "table.csv", text)
    with pytest.raises(InputError, match=message) as caught:
        read_corner(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv cannot be read \(No such file"):
        read_corner(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match=r"binary\.csv is not a text file"):
        read_corner(tmp_path / "binary.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_corner(tmp_path)


def test_exports_of_other_programs(data_dir):
    generated = registry.read(
        data_dir / "deep-storm-demo1/positions_demo1.csv", 100, name="thunderstorm"
    ).table
    assert len(generated) == 4956
    assert sorted(generated["frame"].unique()) == list(range(20))
    # 67.843 nm from the corner is 17.843 nm from the centre of the first pixel.
    assert generated["x_nm"].iloc[0] == pytest.approx(17.843)
    assert generated["sigma_nm"].between(90, 130).all()
    plain = read_corner(data_dir / "sdt-python/thunderstorm.csv")
    assert len(plain) == 3
    assert plain["uncertainty_xy_nm"].iloc[0] == pytest.approx(25.891, abs=1e-3)
    misquoted = read_corner(data_dir / "locan-tables/Thunderstorm_dstorm_data.csv")
    assert len(misquoted) == 19
    assert misquoted["frame"].iloc[0] == 2000
    assert misquoted["uncertainty_xy_nm"].iloc[0] == pytest.approx(22.932551)
    with pytest.raises(InputError, match=r"no column x \[nm\] and y \[nm\]"):
        read_corner(data_dir / "locan-tables/Nanoimager_dstorm_data.csv")


CHALLENGE = "1,150.5,250.5,-100.0,1234.5\n3,50.0,150.0,0.0,900.0\n"
CHALLENGE_TRUTH = "Ground-truth,frame,xnano,ynano,znano,intensity \n" + "".join(
    f"{i},{line}\n" for i, line in enumerate(CHALLENGE.splitlines())
)


@pytest.mark.parametrize("text", [CHALLENGE, CHALLENGE_TRUTH])
def test_tables_of_the_challenge(text, tmp_path):
    path = write_text(tmp_path / "table.csv", text)
    table = registry.read(path, 100, "challenge").table
    assert list(table["frame"]) == [0, 2]
    assert list(table["x_nm"]) == [100.5, 0]
    assert list(table["y_nm"]) == [200.5, 100]
    assert list(table["z_nm"]) == [-100, 0]
    assert list(table["photons"]) == [1234.5, 900]
    corner = read_corner(path)
    assert list(corner["x_nm"]) == [150.5, 50]


def test_any_known_table_is_told_by_its_first_line(tmp_path):
    write_table(tmp_path / "ours.csv", table_of(4), PIXEL)
    pd.testing.assert_frame_equal(
        read_corner(tmp_path / "ours.csv"),
        read_corner(tmp_path / "ours.csv"),
    )
    with pytest.raises(InputError, match="is not a table of the SMLM challenge"):
        registry.read(write_text(tmp_path / "text.csv", "a,b\n1,2\n"), 100, "challenge")
    with pytest.raises(InputError, match="the SMLM challenge counts frames from 1"):
        read_corner(write_text(tmp_path / "zero.csv", "0,1,2,3,4\n"))


def test_the_columns_of_the_first_localizations_are_those_of_the_file(tmp_path):
    table = table_of(6).assign(fit_p=np.linspace(0, 1, 6))
    with CsvWriter(tmp_path / "run.csv", PIXEL) as writer:
        writer.append(localizations.empty())  # a frame without a molecule
        writer.append(table[:3])
        writer.append(localizations.empty())
        writer.append(table[3:])
    back = read_corner(tmp_path / "run.csv")
    np.testing.assert_allclose(back["fit_p"], table["fit_p"], atol=1e-6)
