"""The whole: frames in, one by one, a verdict out."""

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.calibration import CalibrationData, check
from napari_smlm_diffusion.evaluation.frame_numbers import (
    CalibrationSettings,
    Claims,
    of_movie,
    reduce_claims,
    reduce_frame,
)
from napari_smlm_diffusion.evaluation.point_ranks import Peaks

from .posteriors import KINDS, SHARE, field_frame, molecule_frame

NOTHING = Emitters(np.empty(0), np.empty((0, 2)), sd=np.empty((0, 2)), probability=np.empty(0))
SETTINGS = CalibrationSettings(bins=2, draws=200)


def claims_of(molecules, wrong, rng, m=12):
    """Localizations at the molecules that are alone, from m samples of their own."""
    alone = slice(4, None)
    centre, sd = molecules.centre[alone], molecules.sd[alone, None]
    drawn = centre + sd * (wrong.scale * rng.normal(size=(m, 3, 2)) + wrong.shift)
    found = Emitters(
        frame=np.zeros(3, int),
        position=drawn.mean(axis=0),
        sd=drawn.std(axis=0, ddof=1),
        probability=molecules.probability[alone],
    )
    return Claims(found, m)


def run(kind, frames=100, seed=0, settings=SETTINGS, samples=39):
    data = CalibrationData(settings)
    for frame in range(frames):
        rng = np.random.default_rng([seed, frame])
        m = molecule_frame(rng, KINDS[kind], samples)
        numbers = reduce_frame(
            settings,
            frame,
            m.samples,
            m.truth,
            share=SHARE,
            # Of the frame, as a network's estimate would be.
            covariates={"density": m.probability.sum(), "background": m.sd.mean()},
            peaks=Peaks(m.points, m.true_points, m.centre),
            emitters=m.true_points,
            bounds=m.bounds,
            claims=claims_of(m, KINDS[kind], rng),
        )
        data = data.add_frame(numbers)
    return data


@pytest.fixture(scope="module")
def data():
    """Numbers of 100 frames of each kind."""
    return {kind: run(kind) for kind in KINDS}


@pytest.fixture(scope="module")
def reports(data):
    return {kind: check(numbers) for kind, numbers in data.items()}


def results(report):
    return {r.name: r.passed for r in report.whole.results}


def test_an_honest_posterior_is_calibrated(reports):
    report = reports["honest"]
    print(report.text())
    assert report.calibrated
    assert report.share_of_bins == 1
    assert len(report.bins) == 4
    judged = {name for name, passed in results(report).items() if passed is not None}
    # Everything is judged, but for what is shown for information only.
    assert set(results(report)) - judged == {"pulls of all localizations"}
    assert report.verdict().startswith("calibrated: 11 of 11 diagnostics pass over all frames")


def test_too_few_frames_are_owned_up_to(reports):
    thin = [b for b in reports["honest"].bins if b.undecided()]
    assert thin
    assert f"{len(thin)} of the bins and cells that pass" in reports["honest"].verdict()
    assert f"pass, {len(thin[0].undecided())} undecided" in reports["honest"].text()
    few = check(run("honest", frames=20, settings=SETTINGS.model_copy(update={"bins": 1})))
    assert "Errors larger than the band, take more frames: " in few.verdict()
    assert not any(r.undecided for r in few.whole.results if r.passed is None)


CAUGHT = {
    "narrow": {"density SD over error", "density pixels", "x of isolated", "SD over CRLB"},
    "wide": {"density pixels"},
    "shifted": {"molecules in frame", "x of isolated", "y of isolated"},
}


@pytest.mark.parametrize("kind", CAUGHT)
def test_narrow_wide_and_shifted_ones_are_not(reports, kind):
    report = reports[kind]
    print(report.text())
    failed = {name for name, passed in results(report).items() if passed is False}
    assert not report.calibrated
    assert failed >= CAUGHT[kind] | {"whole frame (TARP)", "pulls of localizations"}
    assert report.share_of_bins < 0.9
    assert report.failed_bins
    assert report.verdict().startswith("NOT calibrated")
    words = {"narrow": "too narrow", "wide": "too wide", "shifted": "estimates are too high"}
    assert words[kind] in report.text()


def test_neither_order_nor_process_matters(data):
    frames = data["honest"].frames
    mixed = CalibrationData(SETTINGS, (*frames[::2], *frames[1::2][::-1]))
    assert check(mixed).to_dict() == check(data["honest"]).to_dict()


def test_a_frame_is_a_few_hundred_numbers(data):
    numbers = data["honest"].frames[0]
    kept = [*numbers.ranks.values(), numbers.spread, numbers.bound, numbers.scores]
    kept += [numbers.narrow, numbers.probability, numbers.hit]
    assert sum(np.size(a) for a in kept) < 500
    again = run("honest", frames=1).frames[0]
    for name, ranks in numbers.ranks.items():
        assert (ranks == again.ranks[name]).all()


def test_the_json_holds_the_verdict_and_all_a_plot_needs(reports):
    report = reports["narrow"]
    read = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert read["calibrated"] is False
    assert read["failed_bins"] == report.failed_bins
    by_name = {d["name"]: d for d in read["diagnostics"]}
    assert len(by_name["density pixels"]["histogram"]) == 20
    assert len(by_name["probability of localizations"]["reliability"]) == 10
    checks = by_name["density pixels"]["checks"]
    assert {"what", "value", "error", "target", "band", "allowed", "passed"} == checks[0].keys()
    assert read["bins"][0]["axis"] == "density"
    assert read["bins"][0]["failed"]
    assert read["bins"][0]["numbers"]["density pixels"]["what"] == "coverage 0.9"
    assert read["settings"]["threshold"] == 0.05
    assert len(json.dumps(read)) < 40_000  # it goes into a model card


def test_text_is_for_people(reports):
    text = reports["wide"].text()
    assert "100 frames, 39 samples each" in text
    assert "density pixels: " in text
    assert "FAIL" in text


def test_densities_alone_are_enough(rng):
    data = CalibrationData(SETTINGS)
    for frame in range(60):
        truth, samples = field_frame(rng, KINDS["honest"])
        data = data.add_frame(reduce_frame(SETTINGS, frame, samples, truth, share=0.1))
    report = check(data)
    assert report.calibrated
    assert report.bins == ()
    assert results(report)["x of isolated"] is None
    assert "Not judged, too little to see: x of isolated, y of isolated" in report.verdict()
    assert json.dumps(report.to_dict(), allow_nan=False)


def test_empty_frames_are_frames(rng):
    data = CalibrationData(SETTINGS)
    for frame in range(40):
        noise = 0.0005 * rng.normal(size=(39, 16, 16))
        numbers = reduce_frame(
            SETTINGS, frame, noise, np.zeros((16, 16)), share=SHARE,
            peaks=Peaks([np.empty((0, 2))] * 39, np.empty((0, 2)), np.empty((0, 2))),
            emitters=np.empty((0, 2)), bounds=np.empty((0, 2)), claims=Claims(NOTHING, 9),
        )  # fmt: skip
        data = data.add_frame(numbers)
    report = check(data)
    assert report.calibrated
    assert results(report)["density pixels"] is None
    assert results(report)["whole frame (TARP)"] is True


def test_a_sampler_that_never_changes_its_mind_fails(rng):
    # All samples the same, and wrong: a mask or a choice by the samples' spread would be empty.
    data = CalibrationData(SETTINGS)
    for frame in range(40):
        m = molecule_frame(rng, KINDS["honest"], 2)
        samples = np.repeat(m.samples[:1], 39, axis=0)
        data = data.add_frame(reduce_frame(SETTINGS, frame, samples, m.truth, share=SHARE))
    failed = {name for name, passed in results(check(data)).items() if passed is False}
    assert failed >= {"density SD over error", "density pixels", "molecules in boxes"}


def test_inputs_that_cannot_be_used(rng):
    truth, samples = field_frame(rng, KINDS["honest"])
    with pytest.raises(ValueError, match="L >= 2"):
        reduce_frame(SETTINGS, 0, samples[:1], truth, share=1)
    with pytest.raises(ValueError, match=r"got \(39, 24, 24\)"):
        reduce_frame(SETTINGS, 0, samples, truth[1:], share=1)
    with pytest.raises(ValueError, match=r"frame 7: .* not finite"):
        reduce_frame(SETTINGS, 7, samples * np.nan, truth, share=1)
    with pytest.raises(ValueError, match="true emitters"):
        reduce_frame(SETTINGS, 0, samples, truth, share=1, claims=Claims(NOTHING, 9))
    with pytest.raises(InputError, match="at least 20 frames, got 0"):
        check(CalibrationData())
    with pytest.raises(InputError, match="bins must be"):
        CalibrationSettings(bins=0)


@pytest.mark.slow
def test_honest_posteriors_are_seldom_accused():
    # The whole verdict, bins and all, on posteriors that are right.
    accused = [seed for seed in range(20) if not check(run("honest", 60, 100 + seed)).calibrated]
    assert len(accused) <= 1, accused


@pytest.mark.slow
@pytest.mark.parametrize("samples", [9, 99])
def test_the_number_of_samples_does_not_matter(samples):
    report = check(run("honest", 200, 5, samples=samples))
    assert report.calibrated, report.text()
    ratio = report.whole.number("density SD over error", "ratio")
    coverage = report.whole.number("density pixels", "coverage 0.9")
    assert abs(ratio.value - 1) < 3 * ratio.error
    assert abs(coverage.value - 0.9) < 3 * coverage.error


def test_movies_are_judged_as_wholes(data):
    frames = data["honest"].frames
    movies = [of_movie(m, frames[4 * m : 4 * m + 4], {"density": m}) for m in range(25)]
    settings = SETTINGS.model_copy(update={"movie": 4, "bins": 1})
    report = check(CalibrationData(settings, tuple(movies)))
    alone = check(data["honest"]).whole
    for name, statistic in (("density pixels", "coverage 0.9"), ("pulls of localizations", "sd")):
        together = report.whole.number(name, statistic)
        assert together.value == pytest.approx(alone.number(name, statistic).value)
        assert together.error != alone.number(name, statistic).error
    assert report.to_dict()["frames"] == 100
    assert "25 movies of 4 frames, 39 samples each (+- standard error over movies)" in report.text()


def test_localizations_alone_are_judged_alone(rng):
    data = CalibrationData(SETTINGS)
    for frame in range(30):
        truth = rng.uniform(2, 10, (6, 2))
        found = Emitters(
            np.zeros(6), truth + 0.1 * rng.normal(size=(6, 2)), sd=np.full((6, 2), 0.1),
            probability=np.full(6, 0.99),
        )  # fmt: skip
        claims = Claims(found, np.full(6, np.inf))
        bounds = np.full((6, 2), 0.08)
        data = data.add_frame(reduce_claims(SETTINGS, frame, claims, truth, bounds, {}))
    whole = check(data).whole
    assert [r.name for r in whole.results] == [
        "pulls of localizations",
        "pulls of all localizations",
        "SD over CRLB",
        "probability of localizations",
    ]
    assert whole.number("SD over CRLB", "ratio").value == pytest.approx(1.25)
    assert whole.number("pulls of localizations", "sd").value == pytest.approx(1, abs=0.15)


def test_who_could_hardly_be_judged_is_not_calibrated(data):
    # Of most movies there is nothing: too few are left for any verdict but that on whole frames.
    empty = of_movie(0, [run("honest", frames=1).frames[0]], {})
    nothing = {name: np.empty(0) for name in empty.ranks}
    blank = {name: np.empty(0) for name in ("scores", "probability")}
    blank |= {name: np.empty(0, bool) for name in ("narrow", "hit")}
    empty = replace(
        empty, ranks=nothing, spread=np.zeros(4), bound=np.zeros(2), features=np.empty((0, 0)),
        **blank,
    )  # fmt: skip
    frames = [replace(empty, frame=k, tarp=np.array([(k + 0.5) / 15])) for k in range(15)]
    frames += [replace(f, frame=15 + k) for k, f in enumerate(data["honest"].frames[:10])]
    report = check(CalibrationData(SETTINGS.model_copy(update={"bins": 1}), tuple(frames)))
    assert report.whole.passed
    assert not report.calibrated
