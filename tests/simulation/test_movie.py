import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.simulation.blinking import Blinking, Independent
from napari_smlm_diffusion.simulation.light import (
    ConstantPhotons,
    ExponentialPhotons,
    FlatBackground,
    FrameBackground,
    GradientBackground,
    LognormalPhotons,
    UniformPhotons,
)
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate
from napari_smlm_diffusion.simulation.structures import (
    Clusters,
    Disc,
    Filaments,
    Nanorulers,
    Tubes,
    UniformField,
)

from ..rendering import expected_image

QUIET = Camera(offset=100.0, gain=1.0)


def by_frame(movie):
    return np.bincount(movie.truth["frame"], minlength=movie.settings.frames)


def test_the_same_seed_gives_the_same_bytes():
    for blinking in (Independent(), Blinking()):
        settings = MovieSettings(
            frames=5, density_per_um2=2, structure=Tubes(), blinking=blinking, seed=7
        )
        one, other = simulate(settings), simulate(settings, np.random.default_rng(7))
        assert one.frames.tobytes() == other.frames.tobytes()
        assert one.truth.equals(other.truth)
        changed = simulate(settings, np.random.default_rng(8))
        assert changed.frames.tobytes() != one.frames.tobytes()


def test_truth_is_a_table_of_localizations_within_the_frame():
    movie = simulate(MovieSettings(frames=20, density_per_um2=5, shape=(30, 20)))
    assert movie.frames.shape == (20, 30, 20)
    assert movie.frames.dtype == np.uint16
    truth = localizations.validate(movie.truth)
    assert truth["frame"].is_monotonic_increasing
    for name, size in [("y_nm", 30), ("x_nm", 20)]:
        assert truth[name].between(-50, size * 100 - 50).all()
        # Up to the very border.
        assert truth[name].min() < 0
        assert truth[name].max() > size * 100 - 100


def test_density_is_the_one_asked_for():
    density, shape, pixel = 3.0, (50, 40), 108.0
    movie = simulate(
        MovieSettings(frames=200, shape=shape, pixel_size_nm=pixel, density_per_um2=density)
    )
    expected = density * 50 * 40 * 0.108**2 * 200
    assert len(movie.truth) == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_the_papers_disc_holds_exactly_k():
    movie = simulate(MovieSettings(frames=30, shape=(20, 20), count_per_frame=10, structure=Disc()))
    assert np.all(by_frame(movie) == 10)


def test_truth_lies_where_the_spot_is():
    pixel = 108.0
    movie = simulate(
        MovieSettings(
            frames=1,
            shape=(31, 41),
            pixel_size_nm=pixel,
            psf_sigma_nm=100,
            camera=QUIET,
            count_per_frame=1,
            structure=Disc(radius_px=6),
            photons=ConstantPhotons(mean=1e5),
            background=FlatBackground(level=0),
        )
    )
    light = QUIET.photons(movie.frames[0]).astype(float)
    y, x = np.indices(light.shape)
    row = movie.truth.iloc[0]
    # The centroid of N photons has the error sigma / sqrt(N), 0.003 px.
    assert (light * y).sum() / light.sum() == pytest.approx(row["y_nm"] / pixel, abs=0.015)
    assert (light * x).sum() / light.sum() == pytest.approx(row["x_nm"] / pixel, abs=0.015)
    assert light.sum() == pytest.approx(row["photons"], abs=5 * np.sqrt(1e5))


def test_frames_are_the_truth_seen_by_the_camera():
    # Reconstructed from the table alone; no margin, so that nobody is missing from it.
    settings = MovieSettings(
        frames=40,
        density_per_um2=4,
        shape=(32, 32),
        structure=UniformField(margin_px=0),
        background=FrameBackground(low=2, high=30),
        blinking=Blinking(),
    )
    movie = simulate(settings)
    chi2 = []
    for t, rows in movie.truth.groupby("frame"):
        mean = expected_image(
            rows["y_nm"] / 100, rows["x_nm"] / 100, rows["photons"], (32, 32), 1.3
        )
        mean = (mean + rows["background"].iloc[0]) / settings.camera.photons_per_effective
        residual = settings.camera.effective(movie.frames[t]) - mean
        noise = settings.camera.effective_read_noise**2 + 1 / 12 / settings.camera.gain**2
        chi2.append(residual**2 / (mean + noise))
    assert np.mean(chi2) == pytest.approx(1, abs=4 * np.sqrt(2.2 / np.size(chi2)))


def test_molecules_in_the_margin_shine_into_the_frame_but_are_not_in_the_truth():
    settings = dict(
        frames=20,
        density_per_um2=50,
        shape=(4, 4),
        camera=QUIET,
        background=FlatBackground(level=0),
    )
    movie = simulate(MovieSettings(structure=UniformField(margin_px=6), **settings))
    tight = simulate(MovieSettings(structure=UniformField(margin_px=0), **settings))
    light = [QUIET.photons(m.frames).sum() / m.truth["photons"].sum() for m in (movie, tight)]
    # As much light comes in from outside as goes out.
    assert light[0] == pytest.approx(1, abs=0.25)
    assert light[1] < 0.75


def test_blinking_molecules_stay_where_they_are():
    movie = simulate(MovieSettings(frames=60, density_per_um2=2, blinking=Blinking(duty=0.2)))
    places = movie.truth.groupby("id")[["x_nm", "y_nm"]].nunique()
    assert places.to_numpy().max() == 1
    assert movie.truth["id"].value_counts().max() > 1


def test_nothing_but_background():
    movie = simulate(MovieSettings(frames=3, count_per_frame=0))
    assert len(movie.truth) == 0
    light = movie.settings.camera.photons(movie.frames)
    assert light.mean() == pytest.approx(10, abs=4 * np.sqrt(14 / light.size))


structures = st.sampled_from(
    [UniformField(), Disc(radius_px=3), Filaments(count=(2, 3)), Tubes(), Clusters(), Nanorulers()]
)
brightness = st.sampled_from(
    [
        ConstantPhotons(),
        LognormalPhotons(cv=1.0),
        ExponentialPhotons(),
        UniformPhotons(low=1, high=2),
    ]
)
backgrounds = st.sampled_from(
    [FlatBackground(level=0), GradientBackground(), FrameBackground(low=1, high=2)]
)
cameras = st.sampled_from([QUIET, Camera(offset=np.full((6, 9), 99.0), gain=0.3, em_gain=200)])


@given(structures, brightness, backgrounds, cameras, st.sampled_from([Independent(), Blinking()]))
@hypothesis_settings(max_examples=40)
def test_settings_round_trip_and_every_combination_runs(
    structure, photons, background, camera, blinking
):
    settings = MovieSettings(
        frames=2,
        shape=(6, 9),
        density_per_um2=3.5,
        structure=structure,
        photons=photons,
        background=background,
        camera=camera,
        blinking=blinking,
    )
    back = MovieSettings(**json.loads(json.dumps(settings.model_dump(mode="json"))))
    assert back == settings
    assert simulate(back).frames.tobytes() == simulate(settings).frames.tobytes()


def test_the_microscope_is_what_the_localizer_is_told():
    microscope = MovieSettings(count_per_frame=1, psf_sigma_nm=150, camera=QUIET).microscope
    assert microscope.psf_sigma_px == 1.5
    assert microscope.camera == QUIET


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": 0}, "frames must be greater than or equal to 1, got 0"),
        ({"colour": "red"}, "colour is unknown; the names are pixel_size_nm"),
        ({"pixel_size_nm": -1}, "pixel_size_nm must be greater than 0, got -1"),
        ({"psf_sigma_nm": float("nan")}, "psf_sigma_nm must be .*got nan"),
        ({"shape": (0, 5)}, "shape.0 must be greater than or equal to 1, got 0"),
        ({"structure": {"kind": "disc", "radius_px": 0}}, "disc.radius_px must be .* got 0"),
        ({"structure": {"kind": "spiral"}}, "structure: .*'spiral'.*'disc'"),
        ({"photons": {"kind": "constant", "sd": 1}}, "photons.constant.sd is unknown"),
        ({"blinking": {"kind": "blinking", "duty": 1}}, "duty must be less than 1, got 1"),
        ({"camera": {"offset": 0, "gain": -2}}, "gain must be above 0.*got -2"),
        ({"camera": "mine"}, "camera must be an instance of Camera, got mine"),
        ({"count_per_frame": 4}, "count_per_frame: give one .* got 1.0 and 4"),
        (
            {"density_per_um2": None},
            "count_per_frame: give one .* got None and None",
        ),
    ],
)
def test_wrong_settings_name_field_value_and_range(wrong, message):
    with pytest.raises(InputError, match=message):
        MovieSettings(**{"density_per_um2": 1.0, **wrong})


def test_camera_maps_must_fit_the_frames():
    camera = Camera(offset=np.zeros((5, 5)), gain=1.0)
    with pytest.raises(InputError, match=r"\(5, 5\).*\(64, 64\)"):
        MovieSettings(density_per_um2=1, camera=camera)
