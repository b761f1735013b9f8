"""A family of settings is open: a kind joins by being defined, wherever that is."""

import json
import sys
from typing import Literal

import pytest
from pydantic import Field

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.kinds import Kind
from napari_smlm_diffusion.settings import Settings


class Shape(Kind):
    pass


class Circle(Shape):
    kind: Literal["circle"] = "circle"
    radius: float


class Square(Shape):
    kind: Literal["square"] = "square"
    side: float = 2.0


class Other(Kind):
    pass


class Page(Settings):
    shape: Shape = Square()
    others: dict[str, Shape] = Field(default_factory=dict)


def test_a_dictionary_becomes_the_settings_of_its_kind():
    assert Shape.parse({"kind": "circle", "radius": 1.5}) == Circle(radius=1.5)
    assert Shape.parse(Square(side=3)) == Square(side=3)
    assert Page(shape={"kind": "circle", "radius": 2}).shape == Circle(radius=2)


def test_a_field_of_the_family_is_saved_with_all_that_its_kind_has():
    page = Page(shape=Circle(radius=1.5), others={"a": Square(side=7)})
    plain = {"shape": {"kind": "circle", "radius": 1.5}}
    plain["others"] = {"a": {"kind": "square", "side": 7.0}}
    assert page.model_dump() == page.model_dump(mode="json") == plain
    assert json.loads(page.model_dump_json()) == plain
    assert Page.model_validate_json(page.model_dump_json()) == Page(**plain) == page


@pytest.mark.parametrize(
    "values", [{"kind": "heptagon"}, {"kind": None}, {"kind": ["circle"]}, {}, 3, "heptagon"]
)
def test_an_unknown_kind_is_refused_by_name_and_the_known_ones_are_listed(values):
    got = values.get("kind") if isinstance(values, dict) else values
    with pytest.raises(InputError, match="circle, square") as refused:
        Shape.parse(values)
    assert f"{got!r} is unknown" in str(refused.value)
    with pytest.raises(InputError, match="circle, square"):
        Page(shape=values)


def test_what_a_kind_does_not_take_is_refused_by_it():
    with pytest.raises(InputError, match=r"^radius is missing; side is unknown"):
        Shape.parse({"kind": "circle", "side": 1})


def test_what_a_kind_does_not_take_is_named_with_the_path_to_it():
    with pytest.raises(InputError) as caught:
        Page(shape={"kind": "circle", "radius": "wide"})
    (remark,) = caught.value.remarks
    assert remark.fields == ("shape.radius",)


def test_families_know_nothing_of_each_other():
    assert Other.kinds() == {}
    with pytest.raises(InputError, match="unknown"):
        Other.parse({"kind": "circle", "radius": 1})


def test_two_kinds_of_one_name_are_refused():
    with pytest.raises(TypeError, match="two kinds are called 'circle'"):

        class Round(Shape):
            kind: Literal["circle"] = "circle"

    assert Shape.kinds()["circle"] is Circle


def test_a_new_file_in_the_home_package_is_enough(tmp_path, monkeypatch):
    home = tmp_path / "kinds_home"
    home.mkdir()
    (home / "__init__.py").write_text("")
    (home / "animal.py").write_text(
        "from napari_smlm_diffusion.kinds import Kind\n"
        "class Animal(Kind):\n    home = 'kinds_home'\n"
    )
    (home / "cat.py").write_text(
        "from typing import Literal\n"
        "from kinds_home.animal import Animal\n"
        "class Cat(Animal):\n    kind: Literal['cat'] = 'cat'\n    lives: int = 9\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from kinds_home.animal import Animal

    assert "kinds_home.cat" not in sys.modules
    assert Animal.parse({"kind": "cat"}).lives == 9
    assert list(Animal.kinds()) == ["cat"]
