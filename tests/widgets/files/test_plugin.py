"""The plugin as napari meets it: manifest, readers, writers, sample movies, preferences. No Qt."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from napari.layers import Layer, Points
from npe2 import io_utils
from scipy.spatial import KDTree

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import LazyFrames
from napari_smlm_diffusion.frames.metadata import nm_per_unit
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.layers import KEY, placement
from napari_smlm_diffusion.results.point_layers import dataset_of, points_layer
from napari_smlm_diffusion.widgets.files import samples
from napari_smlm_diffusion.widgets.shared.preferences import Preferences, preferences

NAME = "napari-smlm-diffusion"


@pytest.fixture
def plugin(npe2pm):
    with npe2pm.tmp_plugin(package=NAME):
        yield npe2pm


def opened(*paths):
    """Layers of what napari opens with our plugin."""
    texts = [str(path) for path in paths]
    data, reader = io_utils.read_get_reader(texts if len(texts) > 1 else texts[0], plugin_name=NAME)
    assert reader.plugin_name == NAME
    return [Layer.create(*layer) for layer in data]


def not_ours(path):
    with pytest.raises(ValueError, match="but refused the file"):
        io_utils.read([str(path)], stack=False, plugin_name=NAME)


def save(path, layer):
    """What napari does to save one layer by the writer that belongs to the name of the file."""
    return io_utils.write(str(path), [layer.as_layer_data_tuple()], plugin_name=NAME)


def test_a_movie_is_opened_lazily_with_its_scale_and_its_camera(plugin, movie_file):
    (layer,) = opened(movie_file)
    assert layer.name == "movie"
    assert isinstance(layer.data, LazyFrames)
    np.testing.assert_array_equal(np.asarray(layer.data), tifffile.imread(movie_file))
    assert list(layer.scale) == [1, 100, 100]
    assert [str(unit) for unit in layer.units] == ["pixel", "nanometer", "nanometer"]
    assert layer.axis_labels == ("t", "y", "x")
    about = layer.metadata[KEY]
    assert about["pixel_size_nm"] == 100
    assert about["camera"]["offset"] == 100
    assert about["camera"]["gain"] == 0.5
    json.dumps(about)  # plain values, for any other plugin


@pytest.mark.parametrize("name", ["a.ome.tif", "a.TIFF", "a.btf"])
def test_all_kinds_of_tiff(plugin, name, tmp_path):
    frames = np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9)
    options = {}
    if ".ome" in name:
        unit = {"PhysicalSizeX": 0.13, "PhysicalSizeY": 0.13}
        options = {"metadata": {"axes": "TYX", **unit}}
    tifffile.imwrite(tmp_path / name, frames, photometric="minisblack", **options)
    (layer,) = opened(tmp_path / name)
    assert layer.name == "a"
    np.testing.assert_array_equal(layer.data[1], frames[1])
    assert layer.scale[1] == pytest.approx(130 if ".ome" in name else 1)


def test_several_tiffs_and_a_folder_of_them_are_one_movie(plugin, tmp_path):
    folder = tmp_path / "movie"
    folder.mkdir()
    frames = np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9)
    files = [folder / f"f{i}.tif" for i in (1, 2, 10)]
    for file, frame in zip(files, frames, strict=True):
        tifffile.imwrite(file, frame)
    for layer in (*opened(*reversed(files)), *opened(folder)):
        np.testing.assert_array_equal(np.asarray(layer.data), frames)
    (folder / "notes.docx").write_text("")
    not_ours(folder)  # a folder of many things is nobody's movie


def test_files_of_others_are_left_to_others(plugin, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "a.tif").write_text("no TIFF")
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    (tmp_path / "empty").mkdir()
    for name in ("a.csv", "a.tif", "a.h5", "empty"):
        not_ours(tmp_path / name)


def test_movies_that_are_folders(plugin, tmp_path):
    zarr = pytest.importorskip("zarr")
    frames = np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9)
    array = zarr.create_array(tmp_path / "a.zarr", data=frames, chunks=(1, 8, 9))
    (layer,) = opened(tmp_path / "a.zarr")
    assert isinstance(layer.data, LazyFrames)
    np.testing.assert_array_equal(np.asarray(layer.data), array[:])
    # Two axes of stacks are no movie: napari shows them itself.
    zarr.create_array(tmp_path / "b.zarr", data=frames.reshape(1, 3, 8, 9).repeat(2, 0))
    not_ours(tmp_path / "b.zarr")


def test_a_raw_binary_without_a_sidecar_is_left_to_others(plugin, tmp_path):
    (tmp_path / "movie.raw").write_bytes(bytes(24))
    not_ours(tmp_path / "movie.raw")
    (tmp_path / "movie.yaml").write_text("Frames: 1\n")
    with pytest.raises(InputError, match="'Byte Order' must be"):
        opened(tmp_path / "movie.raw")


def test_a_damaged_movie_is_a_sentence(plugin, movie_file, tmp_path):
    (tmp_path / "cut.tif").write_bytes(movie_file.read_bytes()[:-5000])
    with pytest.raises(InputError, match=r"cut\.tif is truncated"):
        opened(tmp_path / "cut.tif")


def test_the_folder_of_a_run(plugin, movie_file, tiny_model, tmp_path):
    command = [sys.executable, "-m", "napari_smlm_diffusion", "localize", movie_file]
    command += ["--out", tmp_path / "run", "--model", tiny_model, "--psf-sigma", "130"]
    subprocess.run([*map(str, command), "--roi", "4:24,8:32"], check=True, capture_output=True)
    density, sd, points = opened(tmp_path / "run")
    assert [layer.name for layer in (density, sd, points)] == [
        "density",
        "density SD",
        "localizations",
    ]
    assert list(density.scale) == [25, 25]
    assert list(density.translate) == list(sd.translate) == [400 - 37.5, 800 - 37.5]
    dataset = dataset_of(points.metadata)
    assert len(points.data) == len(dataset.table) > 50
    assert len(dataset.provenance["model"]["sha256"]) == 64
    assert dataset.frame_shape == (24, 28, 36)
    # Points are where the molecules of the simulation are, half a pixel would be 50 nm.
    (truth,) = opened(movie_file.with_name("truth.csv"))
    found, true = (
        KDTree(np.column_stack([1e6 * layer.features["frame"], layer.data]))
        for layer in (points, truth)
    )
    distance, nearest = true.query(found.data)
    offset = (found.data - true.data[nearest])[distance < 100]
    assert len(offset) > 30
    np.testing.assert_allclose(np.median(offset, axis=0), 0, atol=20)
    # One image alone is known by its content.
    (alone,) = opened(tmp_path / "run" / "density.tif")
    assert list(alone.translate) == list(density.translate)
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(InputError, match=r"pixel size of .* is not known"):
        opened(tmp_path / "run")


def test_a_refined_run_has_its_residual(plugin, movie_file, tmp_path):
    from napari_smlm_diffusion.cli import main

    run = tmp_path / "run"
    command = ["localize", movie_file, "--out", run, "--psf-sigma", "130", "--roi", "4:24,8:32"]
    assert main([*map(str, command), "--proposal", "spots", "--refine", "map"]) == 0
    residual, points = opened(run)
    (alone,) = opened(run / "residual.tif")
    (run / "run.json").unlink()
    unfinished = opened(run)[0]
    for layer in (residual, alone, unfinished):
        assert layer.name == "residual"
        assert layer.data.shape == (20, 24)
        assert list(layer.scale) == [100, 100] and list(layer.translate) == [400, 800]
        assert np.nanmean(layer.data) == pytest.approx(1, abs=0.1)
    assert "uncertainty_photons" in points.features


@pytest.mark.parametrize(
    ("ending", "name"),
    [
        (".csv", "csv"),
        (".smlm.csv", "csv"),
        (".hdf5", "picasso"),
        (".h5", "decode"),
        (".mat", "smap"),
        (".smlm", "smlm"),
        (".parquet", "parquet"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*localizations have no uncertainty")
@pytest.mark.filterwarnings("ignore:.*SMAP leaves such out", "ignore:SMAP knows its tables")
def test_all_rows_are_saved_and_opened_again(plugin, dataset_of, ending, name, tmp_path):
    dataset = dataset_of(filtered=True)
    rows = np.arange(0, 60, 7)
    layer = Layer.create(*points_layer(dataset, rows=rows))
    layer.data = layer.data[:3]  # whatever happens to the points on the screen
    path = tmp_path / f"out{ending}"
    assert save(path, layer) == [str(path)]
    assert registry.recognise(path).name == name
    (again,) = opened(path)
    back = again.metadata[KEY]["dataset"]
    np.testing.assert_allclose(back.table["x_nm"], dataset.table["x_nm"], atol=2e-3)
    assert list(back.kept) == list(dataset.kept)
    assert len(again.data) == dataset.kept.sum()
    assert again.name == "out"


def test_every_writer_can_be_chosen(plugin, dataset_of, tmp_path):
    layer = Layer.create(*points_layer(dataset_of(gaps=False)))
    data, options, _ = layer.as_layer_data_tuple()
    written = {}
    for writer in plugin.get_manifest(NAME).contributions.writers:
        path = tmp_path / f"{len(written)}{writer.filename_extensions[0]}"
        notes = {"thunderstorm": "one uncertainty each", "smap": "SMAP"}
        name = writer.command.partition(".write_")[2]
        if name in notes:
            with pytest.warns(UserWarning, match=notes[name]):
                assert writer.exec(args=(str(path), data, options)) == [str(path)]
        else:
            assert writer.exec(args=(str(path), data, options)) == [str(path)]
        written[name] = registry.recognise(path).name
    names = ["csv", "thunderstorm", "picasso", "decode", "smap", "smlm", "parquet"]
    assert written == {name: name for name in names}


def test_a_run_that_was_killed_shows_what_it_had(plugin, movie_file, tiny_model, tmp_path):
    from napari_smlm_diffusion.cli import main

    run = tmp_path / "run"
    command = ["localize", movie_file, "--out", run, "--model", tiny_model, "--psf-sigma", "130"]
    assert main([*map(str, command), "--roi", "4:28,8:36"]) == 0
    whole = opened(run)
    assert registry.read(run).frame_shape == (24, 28, 36)
    for name in ("run.json", "localizations.csv", "density.tif", "variance.tif"):
        (run / name).unlink()
    layers = opened(run)
    assert len(registry.read(run).table) == len(layers[2].data)
    assert [layer.name for layer in layers[:2]] == ["density", "density SD"]
    assert layers[2].name == "localizations (24 of 24 frames)"
    for then, now in zip(layers, whole, strict=True):
        np.testing.assert_allclose(then.data, now.data, atol=1e-3)  # a csv has three decimals
        np.testing.assert_allclose(then.scale, now.scale)
        np.testing.assert_allclose(then.translate, now.translate)
        assert then.units == now.units
    assert dataset_of(layers[2].metadata).frame_shape == dataset_of(whole[2].metadata).frame_shape
    journal = run / "store" / "journal.json"
    content = json.loads(journal.read_text())
    journal.write_text(json.dumps(content | {"finished": [[0, 20]]}))
    with pytest.warns(UserWarning, match="the run is not finished: 20 of 24 frames"):
        opened(run)
    with pytest.warns(UserWarning, match="the run is not finished"):
        opened(run / "store")
    journal.write_text(json.dumps(content | {"finished": []}))
    with pytest.raises(InputError, match="has not finished a frame yet"):
        opened(run)


def test_a_folder_of_parts_is_one_table(plugin, dataset_of, tmp_path):
    for part in (1, 2):
        registry.write(tmp_path / f"localizations-{part}.parquet", dataset_of(), "parquet")
    (layer,) = opened(tmp_path)
    assert len(layer.metadata[KEY]["dataset"].table) == 120


def test_a_foreign_layer_is_refused_and_nothing_is_written(plugin, tmp_path):
    with pytest.raises(InputError, match="layer 'spots' has no table of localizations"):
        save(tmp_path / "a.csv", Points(np.zeros((3, 2)), name="spots"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("settings", [samples.DENSE, samples.SPARSE, samples.PAIR])
def test_sample_movies_come_with_their_truth(settings):
    frames, truth = (Layer.create(*t) for t in samples.layers(settings, "sample"))
    assert frames.data.shape == (settings.frames, *settings.shape)
    assert frames.metadata[KEY]["camera"]["gain"] > 0
    assert not truth.visible
    place = placement(frames.scale, frames.translate, frames.units)
    assert place.pixel_size_nm == settings.pixel_size_nm
    # Where a molecule is there is light.
    nm = truth.data[:, 1:] / [nm_per_unit(unit) for unit in truth.units[1:]]
    y, x = np.rint(nm / settings.pixel_size_nm).astype(int).T
    t = truth.data[:, 0].astype(int)
    assert frames.data[t, y, x].mean() > frames.data.mean() + 2 * frames.data.std()


def test_the_sample_movies_are_what_their_names_say(plugin):
    ((_, listed),) = plugin.iter_sample_data()
    layers = {sample.key: sample.open() for sample in listed}
    assert sorted(layers) == ["dense", "pair", "sparse"]
    per_frame = {key: len(value[1][0]) / len(value[0][0]) for key, value in layers.items()}
    assert per_frame["dense"] > 15 * per_frame["sparse"] > 15
    assert per_frame["pair"] == 2
    position = layers["pair"][1][0][:, 1:].reshape(-1, 2, 2)
    distance = np.hypot(*(position[:, 1] - position[:, 0]).T) / samples.PAIR.pixel_size_nm
    np.testing.assert_allclose(distance, np.linspace(0.5, 3, 120), atol=1e-9)


def test_preferences_have_the_defaults_of_the_manifest(plugin_settings, plugin):
    manifest = plugin.get_manifest(NAME).contributions.configurations
    assert manifest.keys() == Preferences.model_fields.keys()
    ours = Preferences()
    for group, contribution in manifest.items():
        defaults = {key: p.default for key, p in contribution.properties.items()}
        assert defaults == getattr(ours, group).model_dump()
    assert preferences() == ours
    assert ours.microscope.camera == {}


def test_preferences_are_what_the_user_set(plugin_settings, plugin):
    from napari.settings import get_plugin_settings

    get_plugin_settings(NAME).microscope.gain = 2.5
    get_plugin_settings(NAME).sampling.samples = 64
    assert preferences().microscope.camera["gain"] == 2.5
    assert preferences().sampling.samples == 64


def test_preferences_without_the_plugin_are_the_defaults(plugin_settings):
    assert preferences() == Preferences()


def test_a_table_without_pixel_size_takes_that_of_the_preferences(
    plugin_settings, plugin, tmp_path
):
    from napari.settings import get_plugin_settings

    path = tmp_path / "a.csv"
    path.write_text('"frame","x [nm]","y [nm]"\n1,50,150\n')
    with pytest.raises(InputError, match="half a pixel beside the frames; set the pixel size"):
        opened(path)
    get_plugin_settings(NAME).microscope.pixel_size_nm = 100.0
    with pytest.warns(UserWarning, match="100 nm from the preferences is used"):
        (layer,) = opened(path)
    np.testing.assert_allclose(layer.data, [[100, 0]])


def test_patterns_of_the_manifest_lead_to_the_reader_that_reads_them(
    plugin, movie_file, dataset_of, tmp_path
):
    for contribution in plugin.get_manifest(NAME).contributions.readers:
        for pattern in contribution.filename_patterns:
            path = tmp_path / pattern.strip("*.") / pattern.replace("*", "file")
            path.parent.mkdir()
            if pattern in ("*.dax", "*.raw"):
                path.write_bytes(bytes(24))
                said = "frame dimensions = 4 x 3\ndata type = 16 bit integers (binary, big endian)"
                path.with_suffix(".inf").write_text(f"{said}\nnumber of frames = 1\n")
                said = "Byte Order: <\nData Type: uint16\nFrames: 1\nHeight: 3\nWidth: 4\n"
                path.with_suffix(".yaml").write_text(said)
            elif "frames" in contribution.command:
                shutil.copy(movie_file, path)
            elif pattern in ("*.hdf5", "*.h5"):
                h5py = pytest.importorskip("h5py")
                with h5py.File(path, "w") as file:
                    file["locs"] = np.zeros(0, [("frame", "u4"), ("x", "f4"), ("y", "f4")])
                    file["metadata"] = '[{"Pixelsize": 100}]'
            elif (fmt := registry.by_ending(path)) is not None and fmt.name != "csv":
                registry.write(path, dataset_of(gaps=False), fmt.name)
            elif pattern == "*.bin":
                path.write_bytes(b"M425" + np.array([1, 6, 0], "<i4").tobytes())
                (path.parent / "run.json").write_text('{"pixel_size_nm": 100}')
            else:
                path.write_text('"frame","x [nm]","y [nm]"\n1,50,150\n')
                (path.parent / "run.json").write_text('{"pixel_size_nm": 100}')
            assert len(opened(path)) == 1, pattern


@pytest.mark.parametrize(
    ("modules", "without"),
    [
        (("tables", "writers", "samples"), {"torch", "napari", "qtpy"}),
        (("readers",), {"torch", "napari", "qtpy", "pandas"}),  # a movie should not wait for pandas
    ],
)
def test_opening_files_loads_no_more_than_it_needs(modules, without):
    names = ", ".join(f"napari_smlm_diffusion.widgets.files.{name}" for name in modules)
    code = f"import sys, {names}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not without & set(done.stdout.split())
