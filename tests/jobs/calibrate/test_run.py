"""Calibration of a model: the frames, what is made of them, and the verdict."""

import json
import pickle
from multiprocessing import active_children

import numpy as np
import pytest

from napari_smlm_diffusion.density import density_image, kernel_share
from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.calibration import CalibrationData, check
from napari_smlm_diffusion.evaluation.frame_numbers import CalibrationSettings
from napari_smlm_diffusion.inference.from_samples import localizations_from_peaks
from napari_smlm_diffusion.jobs.calibrate.frames import (
    DrawnFrame,
    SimulatedFrame,
    claims,
    estimates,
    frame_numbers,
    isolated_bounds,
    simulate_frame,
)
from napari_smlm_diffusion.jobs.calibrate.plan import frame_size, prepare, varying
from napari_smlm_diffusion.jobs.calibrate.run import calibrate, judge
from napari_smlm_diffusion.jobs.calibrate.settings import CalibrateSettings, narrowed
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.networks.settings import PhiSettings
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.proposals.sample_peaks import peaks_of_samples
from napari_smlm_diffusion.simulation.prior import GENERAL, PAPERS

from ...rendering import expected_image

MICROSCOPE = Microscope(
    camera=Camera(offset=0.0, gain=1.0, read_noise=1.0), pixel_size_nm=100.0, psf_sigma_nm=110.0
)
NETWORK = PhiSettings()


def frame_of(emitters, effective=None, photons=3000.0, size=16, index=0):
    emitters = np.asarray(emitters, float).reshape(-1, 2)
    empty = np.zeros((size, size), np.float32)
    density = density_image(*emitters.T, (size, size), 4, 1.25).astype(np.float32)
    return SimulatedFrame(
        index, empty if effective is None else effective, MICROSCOPE, density,
        Emitters(np.zeros(len(emitters)), emitters, np.full(len(emitters), photons)), 1.0,
    )  # fmt: skip


def test_a_simulated_frame_depends_on_seed_and_number_only():
    first = simulate_frame(GENERAL, NETWORK, 24, seed=3, index=5)
    again = simulate_frame(GENERAL, NETWORK, 24, seed=3, index=5)
    np.testing.assert_array_equal(first.effective, again.effective)
    np.testing.assert_array_equal(first.emitters.position, again.emitters.position)
    for seed, index in ((3, 6), (4, 5)):
        other = simulate_frame(GENERAL, NETWORK, 24, seed=seed, index=index)
        assert not np.array_equal(other.effective, first.effective)


def test_the_truth_of_a_frame_is_what_lies_inside():
    for index in range(20):
        disc = simulate_frame(PAPERS, NETWORK, 20, 0, index)
        count = disc.density.sum() * kernel_share(NETWORK.kernel_sigma)
        assert len(disc.emitters) == pytest.approx(count, abs=1e-3)
        np.testing.assert_allclose(disc.emitters.photons, 200)
        wide = simulate_frame(GENERAL, NETWORK, 16, 0, index)
        assert (np.abs(wide.emitters.position - 7.5) < 8).all()


def test_claims_are_the_spread_of_the_samples_alone(rng):
    """Student's t adds the error of their mean; twice would make an honest claim look too wide."""
    y, x = rng.normal(8, 0.2, 12), rng.normal(5, 0.1, 12)
    peaks = Emitters(np.arange(12), np.stack([y, x], 1), multiplicity=np.ones(12))
    got = claims(localizations_from_peaks(peaks, 12), 12)
    np.testing.assert_allclose(got.emitters.sd[0], [y.std(ddof=1), x.std(ddof=1)])
    assert got.samples.tolist() == [12]


def test_bounds_are_of_molecules_alone_and_bright():
    frame = frame_of([[3, 3], [12, 4], [12, 12], [12, 13]])
    frame.emitters.photons[1] = 1.0
    bounds = isolated_bounds(frame, 3.0)
    known = crlb([[3, 3]], 3000.0, Gaussian(1.1), (16, 16), 1.0, 1.0, background_known=True)
    np.testing.assert_allclose(bounds[0], [known.y[0], known.x[0]])
    assert np.isnan(bounds[1:]).all()
    assert isolated_bounds(frame_of([]), 3.0).shape == (0, 2)


def test_a_microscope_narrows_the_prior(tmp_path):
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({"offset": 100, "gain": 0.5, "read_noise": 1.5, "qe": 0.5}))
    settings = CalibrateSettings(
        camera=path, pixel_size_nm=100, psf_sigma_nm=130, photons="400:1000", background=20,
        density_per_um2="2",
    )  # fmt: skip
    prior, notes = narrowed(GENERAL, settings)
    assert prior.read_noise == (1.5, 1.5)
    assert prior.psf_sigma_px == pytest.approx((1.3, 1.3))
    assert prior.photons == (200, 500)  # half of them become electrons
    assert prior.background == (10, 10)
    assert prior.density_per_px2 == pytest.approx((0.02, 0.02))
    assert prior.structures == GENERAL.structures
    assert varying(prior, full=False) == ("photons",)
    assert len(notes) == 1
    assert "narrower than the model was trained for" in notes[0]


def test_a_microscope_outside_of_the_training_is_said():
    prior, notes = narrowed(PAPERS, CalibrateSettings(pixel_size_nm=100, psf_sigma_nm=150))
    assert prior.psf_sigma_px == (1.5, 1.5)
    assert notes == ["psf sigma px 1.5 is outside of what the model was trained for, 0.92"]
    unchanged, nothing = narrowed(PAPERS, CalibrateSettings())
    assert unchanged == PAPERS
    assert nothing == []
    with pytest.raises(InputError, match="1 to 20 molecules on a disc"):
        narrowed(PAPERS, CalibrateSettings(pixel_size_nm=100, density_per_um2=2))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"frames": 19}, "frames must be greater than or equal to 20"),
        ({"samples": 8}, "samples must be greater than or equal to 9"),
        ({"density_per_um2": 1}, "density_per_um2, pixel_size_nm: the width"),
        ({"photons": "300:100"}, "0 <= A <= B"),
        ({"photons": "many"}, "must be a number, or two as A:B"),
    ],
)
def test_settings_that_are_refused(wrong, says):
    with pytest.raises(InputError, match=says):
        CalibrateSettings(**wrong)


# What the samples scatter by, for a truth that scatters by 1, and where they lie.
POSTERIORS = {"honest": (1.0, 0.0), "narrow": (0.5, 0.0), "wide": (2.0, 0.0), "shifted": (1.0, 1.0)}


@pytest.mark.parametrize("name", POSTERIORS)
def test_only_an_honest_posterior_passes(name, tiny_model):
    """The frame shows where two molecules are within 0.15 px; truth and samples are drawn there."""
    width, shift = POSTERIORS[name]
    model, rng, sd, draws = load_model(tiny_model), np.random.default_rng(7), 0.15, 19
    data = CalibrationData(CalibrationSettings(draws=200))
    for index in range(30):
        seen = np.array([[4, 5], [11, 10]]) + rng.uniform(-1, 1, (2, 2))
        shown = expected_image(*seen.T, 3000.0, (16, 16), 1.1, 1.0).astype(np.float32)
        frame = frame_of(seen + sd * rng.normal(size=(2, 2)), shown, index=index)
        drawn = seen + sd * (shift + width * rng.normal(size=(draws, 2, 2)))
        samples = np.stack([frame_of(points).density for points in drawn])
        phi = PhiLocalizer(model).propose(FrameBlock(shown[None]), MICROSCOPE)
        one = DrawnFrame(samples, peaks_of_samples(samples, 1.25, 4), phi)
        data = data.add_frame(frame_numbers(frame, one, NETWORK, data.settings))
    report = check(data)
    judged = {r.name: r.passed for r in report.whole.results}
    assert {
        "x of isolated",
        "pulls of localizations",
        "density pixels",
        "SD over CRLB",
    } <= judged.keys()
    told = ["x of isolated", "y of isolated", "pulls of localizations", "density SD over error"]
    if name == "honest":
        assert report.whole.passed, report.text()
        assert all(judged[what] for what in told)
    else:
        assert not any(judged[what] for what in told[:3]), report.text()


def test_estimates_see_the_frame_only(tiny_model):
    shown = expected_image([8], [8], 3000.0, (16, 16), 1.1, 5.0).astype(np.float32)
    phi = PhiLocalizer(load_model(tiny_model)).propose(FrameBlock(shown[None]), MICROSCOPE)
    one, other = (estimates(frame_of(e, shown), phi, NETWORK) for e in ([], [[2, 2], [3, 9]]))
    assert one == other
    assert one["background"] == pytest.approx(5, abs=1)
    empty = np.full((16, 16), 5.0, np.float32)
    phi = PhiLocalizer(load_model(tiny_model)).propose(FrameBlock(empty[None]), MICROSCOPE)
    nothing = estimates(frame_of([], empty), phi, NETWORK)
    assert nothing["background"] == 5
    assert np.isnan(nothing["photons"])


def run(plan, stop=None):
    job = calibrate(plan)
    for progress in job:
        last = progress
        if progress.done == stop:
            job.close()
    return last


def test_a_run_can_be_stopped_and_made_again(tiny_psi_model):
    plan = prepare(CalibrateSettings(model=str(tiny_psi_model), frames=20, samples=9, seed=5))
    assert plan.size == frame_size(plan.model.card) == 16
    last = run(plan)
    assert (last.done, last.total) == (20, 20)
    few = run(plan, stop=3).info["data"]
    assert len(few.frames) == 3
    for again, before in zip(few.frames, last.info["data"].frames, strict=False):
        np.testing.assert_array_equal(again.spread, before.spread)
        np.testing.assert_array_equal(again.scores, before.scores)
        np.testing.assert_array_equal(again.ranks["density pixels"], before.ranks["density pixels"])

    result = judge(plan, last.info["data"], 0.0)
    assert not result.report.calibrated
    assert result.report.whole.number("density SD over error", "ratio").value < 0.5
    assert "Errors larger than the band, take more frames: " in result.text()
    content = result.to_dict()
    assert content["sampling"]["steps"] == 8
    assert content["frames"] == 20
    assert "whole frame (TARP)" in content["more_frames_needed_for"]
    json.dumps(content)
    with pytest.raises(InputError, match="at least 20 frames, got 3"):
        judge(plan, few, 0.0)


# That real processes keep the order and end is held by the tests of `compute.workers`.
@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_workers_make_the_same_frames_and_can_be_stopped(real, tiny_psi_model, monkeypatch):
    settings = CalibrateSettings(model=str(tiny_psi_model), frames=20, samples=9, seed=4)
    alone = run(prepare(settings), stop=4).info["data"]
    if real:  # spawned processes import the real one
        monkeypatch.setattr("napari_smlm_diffusion.jobs.calibrate.run.one_frame", None)
    else:  # all that a process is sent

        def sent(work, indices, workers, ahead):
            yield from map(pickle.loads(pickle.dumps(work)), indices)  # noqa: S301

        monkeypatch.setattr("napari_smlm_diffusion.jobs.calibrate.run.in_order", sent)
    shared = run(prepare(settings.model_copy(update={"workers": 2})), stop=4).info["data"]
    assert not active_children()
    assert [f.frame for f in shared.frames] == [0, 1, 2, 3]
    for one, other in zip(alone.frames, shared.frames, strict=True):
        # One thread adds in another order than several.
        np.testing.assert_allclose(other.spread, one.spread, rtol=1e-3)


def test_a_model_without_psi_is_refused(tiny_model):
    with pytest.raises(InputError, match="has no diffusion model"):
        prepare(CalibrateSettings(model=str(tiny_model)))
