"""Filters: what they promise about any table, what they say, and that they come back from disk."""

import functools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.criteria import Range, Region, SdMap
from napari_smlm_diffusion.results.filters import Filter, LiveFilter
from napari_smlm_diffusion.results.fine_grid import FineGrid

COLUMNS = ("photons", "uncertainty_xy_nm", "probability")
PIXEL = 100.0


@functools.cache
def table_of(n, seed=0):
    """`n` rows over 4 x 6 camera pixels, a fifth of each column of COLUMNS not known."""
    rng = np.random.default_rng(seed)
    table = localizations.empty().reindex(range(n))
    for column in localizations.COLUMNS:
        if not column.required:
            continue
        if column.dtype == "float64":
            table[column.name] = rng.integers(0, 10, n).astype(float)
        elif column.dtype == "int64":
            table[column.name] = rng.integers(1, 50, n)
        else:
            table[column.name] = "head"
    table["y_nm"] = rng.uniform(-0.5, 3.5, n) * PIXEL
    table["x_nm"] = rng.uniform(-0.5, 5.5, n) * PIXEL
    for name in COLUMNS:
        table.loc[rng.random(n) < 0.2, name] = np.nan
    return localizations.validate(table)


def maps_of(seed=0, **changes):
    rng = np.random.default_rng(seed)
    grid = FineGrid(shape=(8, 12), pixel_size_nm=PIXEL, upsampling=2)
    return SdMap(
        **{"sd": rng.random((8, 12)), "grid": grid, "density": rng.random((8, 12))} | changes
    )


ends = st.none() | st.integers(-1, 10).map(float)


@st.composite
def ranges(draw):
    low, high = draw(ends), draw(ends)
    if low is not None and high is not None and low > high:
        low, high = high, low
    column = draw(st.sampled_from(COLUMNS))
    return Range(column=column, minimum=low, maximum=high, keep_unknown=draw(st.booleans()))


regions = st.builds(
    Region,
    quantity=st.sampled_from(["sd", "relative_sd"]),
    maximum=st.floats(0.05, 2.0),
    keep_unknown=st.booleans(),
)
filters = st.builds(
    Filter,
    ranges=st.lists(ranges(), max_size=3, unique_by=lambda r: r.column).map(tuple),
    region=st.none() | regions,
)
seeds = st.integers(0, 19)  # few, so that most tables are made once


@given(filters, seeds)
def test_kept_rows_are_those_a_row_by_row_reading_keeps(rules, seed):
    table, maps = table_of(60, seed), maps_of(seed)
    y, x = (np.floor((table[c].to_numpy() / PIXEL + 0.5) * 2).astype(int) for c in ("y_nm", "x_nm"))

    columns = {name: table[name].to_numpy() for name in COLUMNS}

    def fine(row, criterion):
        if isinstance(criterion, Range):
            value = columns[criterion.column][row]
            low, high = criterion.minimum, criterion.maximum
        else:
            value = maps.sd[y[row], x[row]]
            if criterion.quantity == "relative_sd":
                value /= max(maps.density[y[row], x[row]], criterion.floor)
            low, high = None, criterion.maximum
        if np.isnan(value):
            return criterion.keep_unknown
        return (low is None or value >= low) and (high is None or value <= high)

    expected = [all(fine(row, c) for c in rules.criteria) for row in range(60)]
    np.testing.assert_array_equal(rules.apply(table, maps).kept, expected)


@given(filters, filters, seeds)
def test_more_criteria_keep_a_subset(one, other, seed):
    taken = [r.column for r in one.ranges]
    more = tuple(r for r in other.ranges if r.column not in taken)
    both = Filter(ranges=one.ranges + more, region=one.region or other.region)
    table, maps = table_of(40, seed), maps_of(seed)
    assert not (both.apply(table, maps).kept & ~one.apply(table, maps).kept).any()


@given(ranges(), st.floats(0, 5), st.floats(0, 5), seeds)
def test_a_tighter_range_keeps_a_subset(loose, up, down, seed):
    low = -1.0 if loose.minimum is None else loose.minimum
    high = 10.0 if loose.maximum is None else loose.maximum
    low, high = low + up, high - down
    if low > high:
        return
    tight = Range(column=loose.column, minimum=low, maximum=high)
    table = table_of(40, seed)
    kept = [Filter(ranges=(r,)).apply(table).kept for r in (tight, loose)]
    assert not (kept[0] & ~kept[1]).any()


@given(regions, st.floats(0.1, 1.0), seeds)
def test_a_lower_threshold_masks_more(loose, factor, seed):
    table, maps = table_of(40, seed), maps_of(seed)
    tight = loose.model_copy(update={"maximum": loose.maximum * factor})
    assert not (loose.masked(maps) & ~tight.masked(maps)).any()
    kept = [Filter(region=r).apply(table, maps).kept for r in (tight, loose)]
    assert not (kept[0] & ~kept[1]).any()


@given(filters, seeds)
def test_table_and_images_stay_as_they_are(rules, seed):
    table, maps = table_of(30, seed), maps_of(seed)
    before, sd = table.copy(deep=True), maps.sd.copy()
    _ = rules.apply(table, maps).reason
    pd.testing.assert_frame_equal(table, before)
    np.testing.assert_array_equal(maps.sd, sd)


@given(filters, seeds)
def test_every_rejected_row_has_a_reason_and_no_kept_row_has_one(rules, seed):
    done = rules.apply(table_of(50, seed), maps_of(seed))
    np.testing.assert_array_equal(done.reason == "", done.kept)
    assert done.counts == tuple(f.sum() for f in done.failed)
    for row in np.flatnonzero(~done.kept):
        assert len(done.reason[row].split("; ")) == sum(f[row] for f in done.failed)


@given(st.lists(filters, min_size=2, max_size=5), seeds)
def test_one_filter_after_another_is_as_each_alone(several, seed):
    table, maps = table_of(40, seed), maps_of(seed)
    live = LiveFilter(table, maps)
    for rules in several:
        np.testing.assert_array_equal(live.apply(rules).kept, rules.apply(table, maps).kept)


@given(filters)
def test_a_saved_filter_comes_back(tmp_path_factory, rules):
    path = tmp_path_factory.mktemp("filter") / "filter.json"
    rules.save(path)
    assert Filter.load(path) == rules


def test_reasons_are_words_with_units():
    table = table_of(3).assign(photons=[50.0, 500.0, np.nan], uncertainty_xy_nm=[30.0, 5.0, 5.0])
    rules = Filter(
        ranges=(
            Range(column="photons", minimum=100),
            Range(column="uncertainty_xy_nm", maximum=12.5),
        ),
        region=Region(maximum=0.25),
    )
    maps = maps_of(sd=np.full((8, 12), 0.3))
    assert rules.apply(table, maps).reason.tolist() == [
        "photons below 100 photon; uncertainty_xy_nm above 12.5 nm; SD image above 0.25 here",
        "SD image above 0.25 here",
        "photons not known; SD image above 0.25 here",
    ]


def test_unknown_values_are_rejected_unless_asked_for():
    table = table_of(2).assign(probability=[np.nan, 0.9])
    rules = Filter(ranges=(Range(column="probability", minimum=0.5),))
    assert rules.apply(table).kept.tolist() == [False, True]
    rules = Filter(ranges=(Range(column="probability", minimum=0.5, keep_unknown=True),))
    assert rules.apply(table).kept.tolist() == [True, True]
    assert Filter().apply(table).kept.all()


@pytest.mark.parametrize("upsampling", [1, 2, 4])
@pytest.mark.parametrize("origin", [(0, 0), (3, 7)])
def test_the_image_masks_the_rows_that_lie_in_its_pixels(upsampling, origin):
    s = upsampling
    grid = FineGrid(shape=(5 * s, 6 * s), pixel_size_nm=PIXEL, upsampling=s, origin_px=origin)
    sd = np.full(grid.shape, 0.1)
    sd[2 * s + s - 1, 4 * s] = 1.0  # lowest row of fine pixels in camera pixel (2, 4), its first
    # The centre of that fine pixel, and places a little beyond each of its four edges.
    y = origin[0] + 2 + (s - 0.5) / s - 0.5
    x = origin[1] + 4 + 0.5 / s - 0.5
    step = 0.51 / s
    places = [(y, x), (y - step, x), (y + step, x), (y, x - step), (y, x + step), (y - 50, x)]
    table = table_of(len(places))
    table["y_nm"], table["x_nm"] = (np.array(places) * PIXEL).T
    kept = Filter(region=Region(maximum=0.5)).apply(table, SdMap(sd, grid)).kept
    assert kept.tolist() == [False, True, True, True, True, False]  # the last lies outside
    inside = Filter(region=Region(maximum=0.5, keep_unknown=True)).apply(table, SdMap(sd, grid))
    assert inside.kept.tolist() == [False, True, True, True, True, True]


@pytest.mark.parametrize(
    ("rules", "maps", "words"),
    [
        ({"ranges": [{"column": "brightness"}]}, None, "brightness, which this table does not"),
        ({"ranges": [{"column": "uncertainty_source"}]}, None, "which holds text"),
        ({"region": {"maximum": 1.0}}, None, "no such image is given"),
        (
            {"region": {"maximum": 1.0, "quantity": "relative_sd"}},
            maps_of(density=None),
            "needs the density",
        ),
    ],
)
def test_filters_that_do_not_fit(rules, maps, words):
    with pytest.raises(InputError, match=words):
        Filter(**rules).apply(table_of(3), maps)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "filter.json cannot be read .No such file"),
        ("ranges", "is not a saved filter"),
        ("[]", "holds no ranges"),
        ('{"ranges": [], "format": 2}', "of this version"),
        ('{"ranges": [{"column": "photons", "minimum": 3, "maximum": 1}]}', "swap the two"),
        ('{"ranges": [{"column": "photons", "least": 3}]}', "least is unknown"),
        ('{"ranges": [{"column": "photons"}, {"column": "photons"}]}', "one range a column"),
    ],
)
def test_files_that_are_no_filters(tmp_path, text, words):
    path = tmp_path / "filter.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words):
        Filter.load(path)


def test_images_must_fit_their_grid():
    with pytest.raises(InputError, match=r"density has the shape \(8, 11\)"):
        maps_of(density=np.zeros((8, 11)))
