"""Numbers with known answers, and uncertainties whose honesty is known."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation import judgement
from napari_smlm_diffusion.evaluation.judgement import Rule, apply_rule, judge
from napari_smlm_diffusion.evaluation.metrics import evaluate
from napari_smlm_diffusion.evaluation.report import Estimate


def simulated(rng, *, frames=100, per_frame=15, claim=1.0, shift=0.0, recall=0.8, extra=2, sd=None):
    """Found and true tables; errors are Gaussian with 5 to 20 nm, claimed as `claim` times that."""
    n = frames * per_frame
    # On a jittered grid, so that each molecule's own match is the nearest.
    place = np.stack(np.divmod(rng.permuted(np.tile(np.arange(25), (frames, 1)), axis=1), 5))
    xy = place[:, :, :per_frame].reshape(2, -1).T * 1000.0 + rng.uniform(0, 300, (n, 2))
    frame = np.repeat(np.arange(frames), per_frame)
    truth = pd.DataFrame({"frame": frame, "x_nm": xy[:, 0], "y_nm": xy[:, 1]})
    true_sd = rng.uniform(5, 20, (n, 2)) if sd is None else np.full((n, 2), sd)
    error = true_sd * (rng.normal(size=(n, 2)) + shift)
    found = truth.assign(
        x_nm=xy[:, 0] + error[:, 0],
        y_nm=xy[:, 1] + error[:, 1],
        uncertainty_x_nm=claim * true_sd[:, 0],
        uncertainty_y_nm=claim * true_sd[:, 1],
    )[rng.random(n) < recall]
    false = found.sample(extra * frames, random_state=1, replace=True)
    false = false.assign(x_nm=false["x_nm"] + 20_000, frame=np.repeat(np.arange(frames), extra))
    return pd.concat([found, false], ignore_index=True), truth


def table(rows):
    return pd.DataFrame(rows, columns=["frame", "x_nm", "y_nm"])


def test_numbers_by_hand(rng):
    truth = table([(0, 0, 0), (0, 500, 0), (1, 0, 0), (2, 0, 0)])
    found = table([(0, 3, 4), (0, 500, -10), (1, 90, 90), (1, 700, 0)])
    found["multiplicity"] = [3, 1, 1, 1]  # one row is one found molecule
    e = evaluate(found, truth, 100, rng)
    assert (e.frames, e.found, e.truth, e.matched) == (3, 4, 4, 2)
    assert e.precision.value == 2 / 4
    assert e.recall.value == 2 / 4
    assert e.jaccard.value == pytest.approx(2 / 6)
    assert e.bias_x_nm.value == 1.5
    assert e.bias_y_nm.value == -3
    assert e.rmse_x_nm.value == pytest.approx(math.sqrt(9 / 2))
    assert e.rmse_y_nm.value == pytest.approx(math.sqrt(116 / 2))
    assert e.rmse_lateral_nm.value == pytest.approx(math.sqrt(125 / 2))
    expected = 100 - math.sqrt((100 - 100 * 2 / 6) ** 2 + 125 / 2)
    assert e.efficiency.value == pytest.approx(expected)
    assert e.honesty is None
    assert "no uncertainties" in e.text()


def test_pulls_by_hand(rng):
    # Gaussian intervals end at 0.674, 0.994, 1.645 and 1.960 SD: a row just inside each, one
    # just outside; y is exact.
    pulls = np.array([0.67, 0.68, 0.99, -1.00, -1.64, 1.65, 1.95, 1.97])
    frame = np.arange(8)
    truth = pd.DataFrame({"frame": frame, "x_nm": 0.0, "y_nm": 0.0})
    found = truth.assign(x_nm=20 * pulls, uncertainty_x_nm=20.0, uncertainty_y_nm=10.0)
    honesty = evaluate(found, truth, 100, rng).honesty
    assert honesty.rows == 8
    share = {level: 16 * estimate.value - 8 for level, estimate in honesty.coverage.items()}
    assert share == {"50": 1, "68": 3, "90": 5, "95": 7}
    assert honesty.pull_mean.value == pytest.approx(pulls.sum() / 16)
    assert honesty.pull_sd.value == pytest.approx(np.append(pulls, np.zeros(8)).std())
    claimed, true = 8 * (20**2 + 10**2), ((20 * pulls) ** 2).sum()
    assert honesty.claimed_over_true.value == pytest.approx(math.sqrt(claimed / true))


def test_a_perfect_table(rng):
    _, truth = simulated(rng)
    e = evaluate(truth, truth, 100, rng)
    assert e.precision == e.recall == e.jaccard == Estimate(1, 0)
    assert e.rmse_lateral_nm == Estimate(0, 0)
    assert e.efficiency == Estimate(100, 0)


HONESTY = {
    "honest": ({}, []),
    "narrow": ({"claim": 0.75}, ["SD of the pull", "50 %", "68 %", "90 %", "95 %"]),
    "wide": ({"claim": 1.3}, ["SD of the pull", "50 %", "68 %", "90 %"]),
    "shifted": ({"shift": 0.4}, ["mean pull"]),
}


def complaints(honesty, frames):
    """What the gate of `judgement` says of the pulls and intervals of a table."""
    rules = {
        Rule("mean", "the mean pull", 0.0, judgement.PULL_MEAN_BAND): honesty.pull_mean,
        Rule("sd", "the SD of the pull", 1.0, judgement.PULL_SD_BAND): honesty.pull_sd,
    }
    for level, share in honesty.coverage.items():
        what = f"the coverage of the {level} % interval"
        rules[Rule(level, what, float(level) / 100, judgement.COVERAGE_BAND)] = share
    checks = judge([apply_rule(rule, got, honesty.rows, frames) for rule, got in rules.items()])
    return [check.sentence() for check in checks if not check.passed]


@pytest.mark.parametrize("kind", HONESTY)
@pytest.mark.parametrize("seed", range(3))
def test_honest_passes_and_narrow_wide_shifted_fail(kind, seed):
    rng = np.random.default_rng(seed)
    options, expected = HONESTY[kind]
    e = evaluate(*simulated(rng, **options), 100, rng)
    print(e.text())
    for honesty in (e.honesty, e.honesty_narrow):
        wrong = complaints(honesty, e.frames)
        assert bool(wrong) == bool(expected)
        for what in expected:
            assert any(what in sentence for sentence in wrong)
    claimed = e.honesty.claimed_over_true
    # A shift adds to the true error: sqrt(1 + 0.4^2) = 1.077.
    target = {"honest": 1, "narrow": 0.75, "wide": 1.3, "shifted": 1 / 1.077}[kind]
    assert abs(claimed.value - target) < 4 * claimed.error


def test_honest_tables_are_seldom_accused():
    accused = 0
    for seed in range(40):
        rng = np.random.default_rng(1000 + seed)
        e = evaluate(*simulated(rng, frames=60), 100, rng, draws=200)
        accused += bool(complaints(e.honesty, e.frames))
    # The family of six errs in 1 % of all cases, less where the bands leave room.
    assert accused <= 1


def test_standard_errors_are_the_spread_over_repeated_movies():
    # The bootstrap's own promise: its error is the SD of the number over independent movies.
    names = ("recall", "jaccard", "rmse_x_nm", "bias_y_nm", "efficiency")
    values, errors = [], []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        e = evaluate(*simulated(rng, frames=40), 100, rng, draws=200)
        all_of_it = [getattr(e, name) for name in names]
        all_of_it += [e.honesty.pull_mean, e.honesty.pull_sd, e.honesty.coverage["90"]]
        values.append([estimate.value for estimate in all_of_it])
        errors.append([estimate.error for estimate in all_of_it])
    ratio = np.mean(errors, axis=0) / np.std(values, axis=0, ddof=1)
    # The SD of 80 values is known to 8 %.
    assert (np.abs(ratio - 1) < 0.3).all(), ratio


def test_frames_and_not_molecules_are_independent(rng):
    # Every molecule of a frame has the same error: 30 frames are 30 numbers and not 450.
    _, truth = simulated(rng, frames=30)
    shift = rng.normal(0, 10, 30)[truth["frame"]]
    e = evaluate(truth.assign(x_nm=truth["x_nm"] + shift), truth, 100, rng)
    assert e.bias_x_nm.error == pytest.approx(10 / math.sqrt(30), rel=0.35)


def test_a_tolerance_cuts_the_tail_and_the_narrow_rows_do_not_feel_it(rng):
    # One third of the rows claim, truly, 70 nm at a tolerance of 100 nm.
    fine = simulated(rng, sd=10.0, recall=1, extra=0)
    broad = simulated(rng, sd=70.0, recall=1, extra=0, frames=50)
    tables = []
    for a, b in zip(fine, broad, strict=True):
        tables.append(pd.concat([a, b.assign(frame=b["frame"] + 100)], ignore_index=True))
    e = evaluate(*tables, 100, rng)
    assert e.honesty.pull_sd.value < 0.95
    assert e.honesty_narrow.pull_sd.value == pytest.approx(1, abs=0.05)
    assert e.honesty_narrow.rows == len(fine[0])


def test_rows_without_a_usable_uncertainty_do_not_count(rng):
    found, truth = simulated(rng, extra=0)
    found.loc[0, "uncertainty_x_nm"] = np.nan
    found.loc[1, "uncertainty_y_nm"] = 0
    found.loc[2, "uncertainty_y_nm"] = np.inf
    e = evaluate(found, truth, 100, rng)
    assert e.honesty.rows == e.matched - 3
    assert math.isfinite(e.honesty.claimed_over_true.value)
    blank = found.assign(uncertainty_x_nm=np.nan)
    assert evaluate(blank, truth, 100, rng).honesty is None


def test_only_the_frames_that_were_localized(rng):
    found, truth = simulated(rng, frames=20, recall=1, extra=0)
    part = found[found["frame"] < 5]
    assert evaluate(part, truth, 100, rng).recall.value == 0.25
    assert evaluate(part, truth, 100, rng, frames=(0, 5)).recall.value == 1


def test_nothing_matched_is_a_result(rng):
    e = evaluate(table([(0, 0, 0)]), table([(0, 900, 0)]), 100, rng)
    assert e.jaccard.value == 0
    assert math.isnan(e.rmse_x_nm.value)
    assert math.isnan(e.jaccard.error)  # one frame says nothing about the spread
    assert json.loads(json.dumps(e.to_dict(), allow_nan=False))["rmse_x_nm"]["value"] is None
    found_nothing = evaluate(table([]), table([(0, 900, 0)]), 100, rng)
    assert found_nothing.recall.value == 0
    assert math.isnan(found_nothing.precision.value)


def test_inputs_that_cannot_be_compared(rng):
    some = table([(0, 0, 0)])
    for tolerance in (0, -5, math.nan, math.inf):
        with pytest.raises(InputError, match="tolerance_nm must be above 0"):
            evaluate(some, some, tolerance, rng)
    with pytest.raises(InputError, match="nothing to compare"):
        evaluate(table([]), table([]), 100, rng)
    with pytest.raises(InputError, match="nothing to compare"):
        evaluate(some, some, 100, rng, frames=(5, 9))


def test_the_same_seed_gives_the_same_numbers(rng):
    tables = simulated(rng, frames=10)
    first, second = (evaluate(*tables, 100, np.random.default_rng(3)) for _ in range(2))
    assert first.to_dict() == second.to_dict()
    before = [t.copy() for t in tables]
    evaluate(*tables, 100, rng)
    for t, b in zip(tables, before, strict=True):
        pd.testing.assert_frame_equal(t, b)


def test_json_and_text_say_the_same(rng):
    e = evaluate(*simulated(rng), 90, rng)
    read = json.loads(json.dumps(e.to_dict(), allow_nan=False))
    assert read["jaccard"] == {"value": e.jaccard.value, "error": e.jaccard.error}
    assert read["honesty"]["coverage"]["95"]["value"] == e.honesty.coverage["95"].value
    text = e.text()
    assert str(e.jaccard) in text
    assert str(e.honesty_narrow.coverage["68"]) in text
    assert "claim under 30 nm" in text
    assert max(map(len, text.splitlines())) < 100
