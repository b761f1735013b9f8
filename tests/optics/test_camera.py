import json

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.camera import Camera

PLAIN = Camera(offset=100.0, gain=2.0, qe=0.8, read_noise=1.5)
EMCCD = Camera(offset=300.0, gain=0.1, em_gain=30.0, qe=0.9, read_noise=20.0)
WEAK_EMCCD = Camera(offset=100.0, gain=1.0, em_gain=2.0, qe=1.0, read_noise=1.0)


@pytest.mark.parametrize("camera", [PLAIN, EMCCD, WEAK_EMCCD], ids=["plain", "emccd", "weak"])
def test_round_trip_has_the_mean_and_variance_of_the_convention(camera, rng):
    n, photons = 200_000, 40.0
    counts = camera.expose(np.full((1, n), photons), rng)
    effective = camera.effective(counts).astype(float)

    # Rounding to whole counts adds 1/12 ADU^2.
    rounding = 1 / 12 / (camera.gain * camera.em_gain * camera.excess) ** 2
    mean = photons / camera.photons_per_effective
    variance = mean + camera.effective_read_noise**2 + rounding
    assert effective.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / n))
    fourth = np.mean((effective - mean) ** 4)
    assert effective.var() == pytest.approx(variance, abs=4 * np.sqrt((fourth - variance**2) / n))
    found = camera.photons(counts).astype(float)
    error = np.sqrt(variance / n) * camera.photons_per_effective
    assert found.mean() == pytest.approx(photons, abs=4 * error)


def test_excess_noise_is_that_of_the_register():
    assert PLAIN.excess == 1
    assert WEAK_EMCCD.excess == 1.5
    assert PLAIN.effective_read_noise == 1.5
    assert EMCCD.effective_read_noise == pytest.approx(20 / 30 / (2 - 1 / 30))


def test_a_register_without_gain_is_no_register(rng):
    image = np.full((20, 20), 5.0)
    one = Camera(offset=0, gain=1, em_gain=1 + 1e-12).expose(image, np.random.default_rng(1))
    none = Camera(offset=0, gain=1).expose(image, np.random.default_rng(1))
    assert np.array_equal(one, none)


def test_identity_camera_returns_the_counts(rng):
    counts = rng.integers(0, 65535, (3, 5, 7), dtype=np.uint16)
    before = counts.tobytes()
    identity = Camera(offset=0, gain=1)
    assert np.array_equal(identity.effective(counts), counts)
    assert np.array_equal(identity.photons(counts), counts)
    assert identity.effective(counts).dtype == np.float32
    assert counts.tobytes() == before


def test_floats_are_not_changed_in_place(rng):
    counts = rng.random((4, 4), dtype=np.float32)
    before = counts.copy()
    PLAIN.effective(counts)
    assert np.array_equal(counts, before)


def test_counts_are_rounded_and_clipped(rng):
    dark = Camera(offset=99.6, gain=1.0)
    assert np.all(dark.expose(np.zeros((2, 2)), rng) == 100)
    assert np.all(Camera(offset=1e6, gain=1.0).expose(np.zeros((2, 2)), rng) == 65535)
    assert np.all(Camera(offset=-5.0, gain=1.0).expose(np.zeros((2, 2)), rng) == 0)
    assert dark.expose(np.zeros((2, 2)), rng, dtype=np.float32)[0, 0] == np.float32(99.6)


def test_scmos_maps_act_per_pixel(rng):
    offset = np.array([[100.0, 200.0, 300.0]])
    gain = np.array([[1.0, 2.0, 4.0]])
    noise = np.array([[0.5, 2.0, 8.0]])
    camera = Camera(offset=offset, gain=gain, read_noise=noise)
    n = 40_000
    effective = camera.effective(camera.expose(np.full((n, 1, 3), 30.0), rng)).astype(float)
    variance = (30 + noise**2 + 1 / 12 / gain**2)[0]
    assert effective.mean((0, 1)) == pytest.approx(30, abs=4 * np.sqrt(variance.max() / n))
    assert effective.var((0, 1)) == pytest.approx(variance, rel=4 * np.sqrt(2.1 / n))


def test_maps_are_cropped_and_belong_to_the_camera(rng):
    offset = rng.random((6, 8))
    camera = Camera(offset=offset, gain=1.0)
    part = camera.crop(1, 4, 2, 7)
    assert part.shape == (3, 5)
    assert np.array_equal(part.offset, offset[1:4, 2:7])
    assert PLAIN.crop(0, 1, 0, 1) == PLAIN
    kept = camera.offset.copy()
    offset[:] = 0
    assert np.array_equal(camera.offset, kept)


def test_frames_of_another_size_are_refused():
    camera = Camera(offset=np.zeros((6, 8)), gain=1.0)
    camera.check_shape((6, 8))
    with pytest.raises(InputError, match=r"\(6, 8\).*\(5, 8\)"):
        camera.effective(np.zeros((2, 5, 8)))


numbers = st.floats(0, 1e4)
positive = st.floats(1e-3, 1e3)


@given(numbers, positive, st.floats(1, 1000), st.floats(0.01, 1), numbers)
def test_dictionary_round_trip(offset, gain, em_gain, qe, noise):
    camera = Camera(offset=offset, gain=gain, em_gain=em_gain, qe=qe, read_noise=noise)
    assert Camera.from_dict(json.loads(json.dumps(camera.to_dict()))) == camera


def test_dictionary_round_trip_of_maps(rng):
    camera = Camera(offset=rng.random((2, 3)), gain=1 + rng.random((2, 3)))
    assert Camera.from_dict(json.loads(json.dumps(camera.to_dict()))) == camera
    assert camera != Camera(offset=camera.offset, gain=1.0)


def test_camera_file_names_maps_beside_it(tmp_path):
    gain = np.array([[2.0, 4.0]])
    np.save(tmp_path / "gain.npy", gain)
    tifffile.imwrite(tmp_path / "variance.tif", np.array([[4.0, 64.0]], dtype=np.float32))
    settings = {"offset": 100, "gain": "gain.npy", "variance": "variance.tif", "qe": 0.7}
    (tmp_path / "camera.json").write_text(json.dumps(settings))
    camera = Camera.from_json(tmp_path / "camera.json")
    assert camera == Camera(offset=100, gain=gain, qe=0.7, read_noise=np.array([[1.0, 2.0]]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "one JSON object"),
        ('{"offset": 1}', "'gain' is missing"),
        ('{"offset": 1, "gain": 1, "bias": 2}', "unknown key 'bias'"),
        ('{"offset": 1, "gain": "no.tif"}', "cannot read the gain map"),
        ('{"offset": 1, "gain": "high"}', r"neither a number nor"),
        ('{"offset": 1, "gain": 1, "variance": 1, "read_noise": 1}', "not both"),
        ('{"offset": 1, "gain": 1, "variance": -1}', "variance must be 0 ADU"),
        ('{"offset": [[1, 2]], "gain": [[1], [2]]}', "differ in shape"),
        ('{"offset": 1, "gain": [[1, 2]], "variance": [[1], [2]]}', "differ in shape"),
        ('{"offset": 1, "gain": [1, 2]}', r"\(Y, X\) map"),
    ],
)
def test_bad_camera_file_is_named(tmp_path, text, message):
    path = tmp_path / "camera.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        Camera.from_json(path)
    assert "camera" in str(error.value)


def test_missing_camera_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json"):
        Camera.from_json(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"gain": 0}, "gain must be above 0.*got 0"),
        ({"gain": np.array([[1.0, -1.0]])}, "gain must be above 0.*from -1.0 to 1.0"),
        ({"offset": np.nan}, "offset must be finite"),
        ({"offset": None}, "offset must be a number"),
        ({"em_gain": 0.5}, "em_gain must be 1"),
        ({"qe": 0}, "qe must be above 0"),
        ({"qe": 1.1}, "qe must be above 0"),
        ({"read_noise": -1}, "read_noise must be 0"),
    ],
)
def test_values_out_of_range(wrong, message):
    with pytest.raises(InputError, match=message):
        Camera(**{"offset": 0.0, "gain": 1.0, **wrong})
