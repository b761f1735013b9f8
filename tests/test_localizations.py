import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.localizations import BY_NAME, COLUMNS, concat, empty, sort, validate

OPTIONAL = [column.name for column in COLUMNS if not column.required]


def table(rows=3, optional=()):
    """Valid rows, every value different from its neighbours."""
    columns = {}
    for i, name in enumerate(empty(optional)):
        values = np.arange(rows) + 10 * i
        columns[name] = pd.Series(values).astype(BY_NAME[name].dtype)
    return pd.DataFrame(columns)


# Few different values, so that frames and positions coincide often.
few = st.integers(0, 2)
rows = st.lists(st.tuples(few, few, few, few), max_size=12)


def from_rows(values):
    result = table(len(values))
    if values:
        for name, column in zip(
            ["frame", "y_nm", "x_nm", "photons"], zip(*values, strict=True), strict=True
        ):
            result[name] = pd.Series(column).astype(BY_NAME[name].dtype)
    return result


@pytest.mark.parametrize("optional", [(), ("id",), OPTIONAL])
def test_empty_is_valid_and_has_the_registered_columns(optional):
    result = validate(empty(optional))
    assert len(result) == 0
    assert list(result) == [c.name for c in COLUMNS if c.required or c.name in optional]


def test_empty_refuses_a_column_that_is_not_registered():
    with pytest.raises(InputError, match=r"\['colour'\].*'id', 'z_nm'"):
        empty(["colour"])


def test_a_length_carries_its_unit_in_its_name():
    assert {c.name for c in COLUMNS if c.unit == "nm"} == {n for n in BY_NAME if n.endswith("_nm")}


def test_validate_returns_the_table_itself():
    valid = table()
    assert validate(valid) is valid


@pytest.mark.parametrize("name", [c.name for c in COLUMNS if c.required])
def test_a_missing_column_is_named(name):
    with pytest.raises(InputError, match=rf"lacks the columns \['{name}'\]"):
        validate(table().drop(columns=name))


def test_an_unknown_column_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"unknown columns \['x'\].*'x_nm'"):
        validate(table().assign(x=1.0))


def test_a_column_that_is_there_twice_is_named():
    twice = pd.concat([table(), table()[["x_nm"]]], axis=1)
    with pytest.raises(InputError, match=r"columns \['x_nm'\] more than once"):
        validate(twice)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("frame", "float64"),
        ("frame", "int32"),
        ("x_nm", "float32"),
        ("multiplicity", "Int64"),
        ("uncertainty_source", "int64"),
    ],
)
def test_a_wrong_dtype_is_named_with_the_right_one(name, dtype):
    message = f"column {name} must be {BY_NAME[name].dtype}, got {dtype}"
    with pytest.raises(InputError, match=message):
        validate(table().astype({name: dtype}))


@pytest.mark.parametrize("name", ["x_nm", "y_nm", "z_nm"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_position_must_be_finite(name, value):
    broken = table(optional=["z_nm"])
    broken.loc[1, name] = value
    with pytest.raises(
        InputError, match=f"{name} must be finite, in nm, got {value} for localization 1"
    ):
        validate(broken)


def test_what_is_not_known_may_be_nan():
    blank = table().assign(uncertainty_x_nm=np.nan, crlb_xy_nm=np.nan)
    assert validate(blank) is blank


def test_frames_count_from_zero():
    broken = table()
    broken.loc[2, "frame"] = -1
    with pytest.raises(InputError, match=r"frame must be 0 or more .* got -1 for localization 2"):
        validate(broken)


@given(rows, st.data())
def test_concat_of_any_split_is_the_whole(values, data):
    whole = from_rows(values)
    cut = data.draw(st.integers(0, len(whole)))
    parts = [whole.iloc[:cut], empty(), whole.iloc[cut:].reset_index(drop=True)]
    pd.testing.assert_frame_equal(concat(parts), whole)


def test_concat_of_nothing_is_empty():
    pd.testing.assert_frame_equal(concat([]), empty())


def test_concat_refuses_tables_that_differ_in_an_optional_column():
    with pytest.raises(InputError, match=r"\['z_nm'\] are only in some"):
        concat([table(), table(optional=["z_nm"])])


def test_concat_validates_every_part():
    with pytest.raises(InputError, match="lacks the columns"):
        concat([table(), table().drop(columns="photons")])


def test_sort_validates():
    with pytest.raises(InputError, match="unknown columns"):
        sort(table().assign(x=1.0))


@given(rows, st.randoms(use_true_random=False))
def test_sort_does_not_depend_on_the_order_of_arrival(values, random):
    arrived = from_rows(values)
    # Rows alike in every key may change places, but then only with rows that look the same here.
    keys = ["frame", "y_nm", "x_nm", "photons"]
    order = list(range(len(arrived)))
    random.shuffle(order)
    first = sort(arrived)[keys]
    pd.testing.assert_frame_equal(first, sort(arrived.iloc[order])[keys])
    assert list(first.itertuples(index=False, name=None)) == sorted(
        arrived[keys].itertuples(index=False, name=None)
    )


@given(rows)
def test_sort_keeps_rows_whole_and_leaves_its_input_alone(values):
    arrived = from_rows(values)
    before = arrived.copy()
    result = sort(arrived)
    pd.testing.assert_frame_equal(arrived, before)
    restored = result.sort_values("crlb_xy_nm", ignore_index=True)
    pd.testing.assert_frame_equal(restored, arrived)


def test_sort_puts_the_columns_in_their_registered_order():
    shuffled = table(optional=OPTIONAL)[list(reversed(BY_NAME))]
    assert list(sort(shuffled)) == list(BY_NAME)
