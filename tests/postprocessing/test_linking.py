"""Linking: perfect tables link perfectly, and the combined error bars are as true as the single."""

import numpy as np
import pandas as pd
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.postprocessing.linking import LinkSettings, link
from napari_smlm_diffusion.postprocessing.scatter import scatter
from napari_smlm_diffusion.simulation.blinking import Blinking
from napari_smlm_diffusion.simulation.observed import ObservedSettings, observe
from napari_smlm_diffusion.simulation.structures import UniformField


def blinking(scale=1.0, seed=3, per_frame=12.0):
    return ObservedSettings(
        frames=1000,
        per_frame=per_frame,
        structure=UniformField(),
        blinking=Blinking(on_frames=4, duty=0.01),
        error_scale=scale,
        seed=seed,
    )


def pulls(linked, table, settings):
    """Error over claim of the linked rows, (M, 2)."""
    still = observe(settings.model_copy(update={"error_scale": 1e-9}))
    place = still.groupby("id")[["x_nm", "y_nm"]].first()
    rows = linked.dataset.table
    claim = rows[["uncertainty_x_nm", "uncertainty_y_nm"]].to_numpy()
    return (rows[["x_nm", "y_nm"]].to_numpy() - place.loc[rows["id"]].to_numpy()) / claim


def test_a_perfect_table_links_perfectly(table_of, dataset_of, finish):
    rng = np.random.default_rng(0)
    places = 500.0 * np.stack(np.meshgrid(np.arange(8), np.arange(8)), -1).reshape(-1, 2)
    frame = np.tile(np.arange(5), 64)
    molecule = np.repeat(np.arange(64), 5)
    xy = places[molecule] + rng.normal(0, 5, (320, 2))
    table = table_of(xy, 5.0, frame, id=molecule)
    linked = finish(link(dataset_of(table)))
    rows = linked.dataset.table
    assert len(rows) == 64
    assert (rows["detections"] == 5).all()
    assert (rows["frame"] == 0).all()
    assert (rows["photons"] == 500).all()
    assert (rows["background"] == 2).all()
    np.testing.assert_allclose(rows["uncertainty_x_nm"], 5 / np.sqrt(5))
    np.testing.assert_allclose(rows["crlb_xy_nm"], 8 / np.sqrt(5))
    # `track` leads from each row to the molecule it went into.
    np.testing.assert_array_equal(rows["id"].to_numpy()[linked.track], table["id"])
    mean = table.groupby("id")["x_nm"].mean()
    np.testing.assert_allclose(rows["x_nm"], mean.loc[rows["id"]])


def test_precise_rows_count_more(table_of, dataset_of, finish):
    table = table_of([[0, 0], [10, 0]], np.array([2.0, 8.0]), [0, 1])
    rows = finish(link(dataset_of(table))).dataset.table
    assert len(rows) == 1
    weight = np.array([1 / 4, 1 / 64])
    assert rows["x_nm"][0] == pytest.approx(10 * weight[1] / weight.sum())
    assert rows["uncertainty_x_nm"][0] == pytest.approx(weight.sum() ** -0.5)


@pytest.mark.parametrize(
    ("distance", "sd", "frames", "linked"),
    [
        (30.0, 10.0, (0, 1), True),
        (30.0, 4.0, (0, 1), False),  # the same distance, but the rows are sure of their places
        (90.0, 40.0, (0, 1), True),
        (110.0, 40.0, (0, 1), False),  # beyond the largest distance
        (5.0, 10.0, (0, 2), True),  # one dark frame
        (5.0, 10.0, (0, 3), False),
        (5.0, 10.0, (0, 0), False),  # never two rows of one frame
    ],
)
def test_rows_are_judged_by_their_own_uncertainty(
    distance, sd, frames, linked, table_of, dataset_of, finish
):
    table = table_of([[0, 0], [distance, 0]], sd, frames)
    assert len(finish(link(dataset_of(table))).dataset.table) == (1 if linked else 2)


def test_a_row_that_two_could_have_goes_to_the_nearer(table_of, dataset_of, finish):
    table = table_of([[0, 0], [30, 0], [20, 0], [2, 0]], 10.0, [0, 0, 1, 1])
    rows = finish(link(dataset_of(table))).dataset.table
    np.testing.assert_allclose(sorted(rows["x_nm"]), [1, 25])


def test_linked_error_bars_are_as_true_as_the_single_ones(dataset_of, finish):
    settings = blinking()
    table = observe(settings)
    linked = finish(link(dataset_of(table)))
    error = pulls(linked, table, settings)
    several = linked.dataset.table["detections"].to_numpy() > 1
    assert several.mean() > 0.7
    # A few molecules have a neighbour's row, which no error bar covers.
    honest = np.abs(error[several]).max(axis=1) < 5
    assert honest.mean() > 0.985
    assert np.std(error[several][honest]) == pytest.approx(1, abs=0.06)
    same = table.groupby(linked.track)["id"].nunique()
    assert (same == 1).mean() > 0.98


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.5])
def test_the_scatter_between_frames_tells_whether_the_claims_are_true(scale):
    found = scatter(observe(blinking(scale)))
    assert found.ratio == pytest.approx(scale, abs=max(4 * found.error, 0.02))
    assert found.error < 0.02 * scale
    assert found.by_chance < 0.2


@pytest.mark.slow
def test_the_scatters_error_is_its_spread():
    found = [scatter(observe(blinking(seed=seed, per_frame=3.0))) for seed in range(10)]
    spread = np.std([each.ratio for each in found], ddof=1)
    assert 0.4 < spread / np.mean([each.error for each in found]) < 1.8


def test_no_molecule_twice_no_verdict(table_of):
    rng = np.random.default_rng(1)
    table = table_of(rng.uniform(0, 1e5, (500, 2)), 5.0, np.arange(500))
    assert np.isnan(scatter(table).ratio)
    assert "too few" in scatter(table).text()


def test_the_order_of_the_rows_is_of_no_account(dataset_of, finish):
    table = observe(blinking())
    order = np.random.default_rng(0).permutation(len(table))
    shuffled = table.iloc[order].reset_index(drop=True)
    one, other = (finish(link(dataset_of(t))) for t in (table, shuffled))
    key = ["frame", "x_nm", "y_nm"]
    pd.testing.assert_frame_equal(
        one.dataset.table.sort_values(key, ignore_index=True)[key],
        other.dataset.table.sort_values(key, ignore_index=True)[key],
    )
    pairs = np.unique(np.stack([one.track[order], other.track]), axis=1)
    assert pairs.shape[1] == len(one.dataset.table)


def test_nothing_is_lost_and_heights_are_combined(table_of, dataset_of, finish):
    table = table_of(
        [[0, 0], [1, 0], [900, 0]], 10.0, [0, 1, 1], z_nm=[0.0, 30.0, 5.0],
        uncertainty_z_nm=[10.0, 20.0, 7.0], probability=[0.3, 0.8, np.nan],
    )  # fmt: skip
    rows = finish(link(dataset_of(table))).dataset.table
    np.testing.assert_allclose(rows["z_nm"], [6.0, 5.0])
    np.testing.assert_allclose(rows["uncertainty_z_nm"], [80**0.5, 7.0])
    assert rows["probability"][0] == 0.8
    assert np.isnan(rows["probability"][1])
    again = finish(link(dataset_of(rows))).dataset.table
    assert list(again["detections"]) == [2, 1]


def test_what_draws_say_of_the_errors_is_combined_as_the_errors_are(table_of, dataset_of, finish):
    rng = np.random.default_rng(0)
    covariances = [np.array(c) for c in ([[9.0, 5.0], [5.0, 16.0]], [[25.0, -3.0], [-3.0, 4.0]])]
    table = table_of(
        [[0, 0], [1, 0]], 10.0, [0, 1], covariance_xy_nm2=[c[0, 1] for c in covariances],
        uncertainty_photons=[3.0, 4.0], uncertainty_background=[0.6, 0.8], fit_p=[0.7, 0.2],
    )  # fmt: skip
    for axis, i in (("x", 0), ("y", 1)):
        table[f"uncertainty_{axis}_nm"] = [c[i, i] ** 0.5 for c in covariances]
    one = finish(link(dataset_of(table))).dataset.table.iloc[0]
    errors = np.stack([rng.multivariate_normal([0, 0], c, 200_000) for c in covariances])
    weights = np.stack([1 / np.diag(c) for c in covariances])[:, None]
    mean = (weights * errors).sum(0) / weights.sum(0)
    assert one["covariance_xy_nm2"] == pytest.approx(np.cov(mean.T)[0, 1], abs=0.06)
    assert one["uncertainty_photons"] == pytest.approx(5.0)
    assert one["uncertainty_background"] == pytest.approx(0.5)
    assert one["fit_p"] == 0.2


def test_rows_without_uncertainty_are_refused(table_of, dataset_of, finish):
    table = table_of([[0, 0], [1, 1]], np.array([np.nan, 5.0]), [0, 1])
    with pytest.raises(InputError, match="1 of 2 localizations"):
        finish(link(dataset_of(table), LinkSettings()))


def test_detections_come_back_from_a_file(table_of, dataset_of, finish, tmp_path):
    from napari_smlm_diffusion.results.formats import registry

    linked = finish(link(dataset_of(table_of([[0, 0], [1, 0]], 10.0, [0, 1])))).dataset
    for name in ("csv", "thunderstorm"):
        registry.write(tmp_path / f"{name}.csv", linked, name)
        assert list(registry.read(tmp_path / f"{name}.csv", 100.0).table["detections"]) == [2]
