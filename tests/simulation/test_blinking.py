import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smlm_diffusion.simulation.blinking import Blinking, Independent


def test_independent_counts(rng):
    fixed = Independent().draw(50, 7, True, rng)
    assert np.all(np.bincount(fixed.frame) == 7)
    assert fixed.molecules == 350 == len(set(fixed.molecule))
    assert np.all(fixed.fraction == 1)
    drawn = Independent().draw(2000, 7, False, rng)
    counts = np.bincount(drawn.frame, minlength=2000)
    assert counts.mean() == pytest.approx(7, abs=4 * np.sqrt(7 / 2000))
    assert counts.var() == pytest.approx(7, rel=4 * np.sqrt(2.2 / 2000))


@given(
    st.integers(1, 30),
    st.floats(0, 20),
    st.floats(0.05, 50),
    st.floats(0.001, 0.9),
    st.integers(0, 2**32 - 1),
)
def test_activations_are_one_per_molecule_and_frame(frames, mean, on_frames, duty, seed):
    blinking = Blinking(on_frames=on_frames, duty=duty)
    active = blinking.draw(frames, mean, False, np.random.default_rng(seed))
    assert len(set(zip(active.frame, active.molecule, strict=True))) == len(active.frame)
    assert np.all((active.fraction > 0) & (active.fraction <= 1))
    assert np.all(np.diff(active.frame) >= 0)
    assert np.all((active.frame >= 0) & (active.frame < frames))
    assert np.all((active.molecule >= 0) & (active.molecule < active.molecules))


@pytest.mark.parametrize(("on_frames", "duty"), [(0.3, 0.05), (3.0, 0.02), (8.0, 0.4)])
def test_as_many_are_visible_as_asked_and_on_as_long_as_the_duty_says(on_frames, duty, rng):
    # Molecules are independent: errors from their spread.
    blinking = Blinking(on_frames=on_frames, duty=duty)
    frames, mean = 100, 400.0
    active = blinking.draw(frames, mean, False, rng)
    n = active.molecules
    seen = np.bincount(active.molecule, minlength=n) / frames
    light = np.bincount(active.molecule, active.fraction, minlength=n) / frames
    # The number of molecules is whole: half a one is lost at most.
    assert seen.sum() == pytest.approx(mean, abs=4 * seen.std() * np.sqrt(n) + blinking.visible)
    assert light.mean() == pytest.approx(duty, abs=4 * light.std() / np.sqrt(n))


def test_dwell_times_are_those_asked_for(rng):
    # Runs of light that neither the start nor the end of the movie cuts.
    owner, start, end = Blinking(on_frames=5.0, duty=0.1)._intervals(2000, 1000, rng)
    whole = (start > 0) & (end < 1000)
    assert np.mean((end - start)[whole]) == pytest.approx(5, rel=4 / np.sqrt(whole.sum()) + 0.01)
    order = np.lexsort((start, owner))
    same = np.diff(owner[order]) == 0
    gaps = (start[order][1:] - end[order][:-1])[same]
    assert np.all(gaps > 0)
    # Gaps cut off by the end of the movie are missing: the long ones, 45 of 1000 frames mean.
    assert np.mean(gaps) == pytest.approx(45, rel=0.1)


def test_nothing_asked_nothing_drawn(rng):
    for activity in (Independent(), Blinking()):
        active = activity.draw(10, 0.0, False, rng)
        assert active.molecules == len(active.frame) == 0
