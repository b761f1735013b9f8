"""Bands, errors, Holm, bins."""

from itertools import pairwise

import numpy as np
import pytest

from napari_smlm_diffusion.evaluation.bins import grid_cells, quantile_bins
from napari_smlm_diffusion.evaluation.judgement import Rule, apply_rule, holm, judge
from napari_smlm_diffusion.evaluation.report import Estimate

BOTH = Rule("a", "the thing", 1.0, 0.1, low="low", high="high")


def one(value, error, rule=BOTH, values=1000, frames=100):
    (check,) = judge([apply_rule(rule, Estimate(value, error), values, frames)])
    return check


def test_a_number_may_be_out_by_its_error_and_no_further():
    assert one(1.09, 0.0).passed  # in the band
    assert one(1.14, 0.02).passed  # 2 errors beyond it
    assert not one(1.16, 0.02).passed  # 3
    assert not one(0.84, 0.02).passed
    assert one(1.16, 0.05).passed
    assert not one(1.11, 0.0).passed  # known exactly
    assert not one(np.nan, 0.1).passed


def test_one_side_is_allowed():
    below = BOTH.__class__("a", "the thing", 1.0, 0.1, side="below", low="too good")
    assert one(5, 0.01, below).passed
    assert not one(0.5, 0.01, below).passed
    assert "0.9 or more: too good" in one(0.5, 0.01, below).sentence()


def test_agreement_of_a_few_is_not_certainty():
    # All of 30 truths inside the 95 % interval: the bootstrap says 1.00 +- 0.
    share = Rule("a", "the share", 0.95, 0.03, unit_error=(0.95 * 0.05) ** 0.5)
    check = one(1.0, 0.0, share, values=30, frames=30)
    assert check.passed
    assert check.got.error == pytest.approx(0.04, abs=0.001)
    assert not one(1.0, 0.0, share, values=30_000, frames=3000).passed


def test_sentences_name_what_was_got_and_what_is_allowed():
    assert one(1.5, 0.02).sentence() == "the thing is 1.5 +- 0.02, allowed is 1 +- 0.1: high"
    assert one(0.5, 0.02).sentence().endswith(": low")


def test_holm_by_hand():
    # 4 * 0.01, then 3 * 0.02 and 2 * 0.02, never falling, then 1 * 0.9.
    assert holm([0.02, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([]).size == 0
    assert holm([0.7, 0.8]).tolist() == [1, 1]


def test_one_of_many_may_be_out_by_chance():
    unlucky = apply_rule(BOTH, Estimate(1.16, 0.02), 1000, 100)
    good = apply_rule(BOTH, Estimate(1.0, 0.02), 1000, 100)
    assert not judge([unlucky])[0].passed
    assert all(check.passed for check in judge([unlucky, *[good] * 50]))


def test_honest_families_are_seldom_accused(rng):
    # At the very edge of the band, where chance is worst: 1 % of the families.
    accused = 0
    for _ in range(300):
        checks = [
            apply_rule(BOTH, Estimate(1.1 + 0.02 * z, 0.02), 1000, 100) for z in rng.normal(size=20)
        ]
        accused += not all(check.passed for check in judge(checks))
    assert accused <= 9


def test_bins_hold_equally_many_and_every_frame_once(rng):
    values = rng.lognormal(size=100)
    bins = quantile_bins({"photons": values}, 4)
    assert [len(b.frames) for b in bins] == [25] * 4
    assert np.sort(np.concatenate([b.frames for b in bins])).tolist() == list(range(100))
    assert all(a.high < b.low for a, b in pairwise(bins))
    assert bins[0].name.startswith("photons ")


def test_bins_are_no_smaller_than_asked():
    assert len(quantile_bins({"a": np.arange(50.0)}, 5, min_frames=20)) == 2
    assert quantile_bins({"a": np.arange(30.0)}, 5, min_frames=20) == []
    assert quantile_bins({"a": np.full(50, 3.0)}, 5) == []


def test_a_cell_holds_the_frames_of_one_bin_of_each_axis():
    rng = np.random.default_rng(0)
    values = {"density": rng.random(300), "photons": rng.random(300), "PSF": np.ones(300)}
    cells = grid_cells(quantile_bins(values, 3))
    assert len(cells) == 9  # an axis that does not vary is none
    assert sorted(np.concatenate([c.frames for c in cells])) == list(range(300))
    low = cells[0].frames
    assert values["density"][low].max() < np.quantile(values["density"], 0.35)
    assert values["photons"][low].max() < np.quantile(values["photons"], 0.35)
    assert cells[0].name.startswith("density 0.00")
    assert ", photons 0.00" in cells[0].name
    assert grid_cells([]) == []


def test_a_few_values_are_bins_of_their_own():
    values = np.repeat([1.0, 3.0, 5.0], [30, 25, 10])
    bins = quantile_bins({"molecules": values}, 3)
    assert [(b.name, len(b.frames)) for b in bins] == [("molecules 1", 30), ("molecules 3", 25)]


def test_equal_values_are_in_one_bin_and_unknown_ones_in_none():
    values = np.append(np.zeros(40), np.arange(1.0, 41.0))
    values[-1] = np.nan
    bins = quantile_bins({"background": values}, 2)
    zero = set(range(40))
    assert sum(bool(zero & set(b.frames)) for b in bins) == 1
    assert 79 not in np.concatenate([b.frames for b in bins])
