import argparse
import re
from typing import Annotated, Literal

import pytest
from pydantic import Field

from napari_smlm_diffusion.cli.parser import Parser, add_settings, option, settings_from
from napari_smlm_diffusion.errors import InputError, worded
from napari_smlm_diffusion.settings import Settings


class Uniform(Settings):
    kind: Literal["field"] = "field"


class Lines(Settings):
    kind: Literal["lines"] = "lines"
    count: int = Field(3, ge=1, description="number of lines")


class Everything(Settings):
    width_nm: float | None = Field(None, gt=0, description="width, nm")
    density_per_um2: float = Field(1.0, ge=0, description="100 % of them")
    shape: tuple[int, int] = (64, 32)
    where: Annotated[Uniform | Lines, Field(discriminator="kind")] = Uniform()
    how: Literal["fast", "slow"] = "fast"
    strict: bool = False


def parsed(*argv: str) -> argparse.Namespace:
    parser = Parser(prog="test")
    add_settings(parser, Everything)
    parser.format_help()  # a bare % in a description would raise
    return parser.parse_args(argv)


def test_no_options_give_the_defaults():
    assert settings_from(Everything, parsed()) == Everything()


def test_every_kind_of_field_is_read():
    got = settings_from(
        Everything,
        parsed(
            "--width", "3.5", "--density", "0", "--shape", "10x20", "--where", "lines,count=7",
            "--how", "slow", "--strict",
        ),
    )  # fmt: skip
    assert got == Everything(
        width_nm=3.5, density_per_um2=0.0, shape=(10, 20), where=Lines(count=7), how="slow",
        strict=True,
    )  # fmt: skip


def test_options_overrule_the_base():
    base = {"shape": (1, 2), "how": "slow"}
    assert settings_from(Everything, parsed("--how", "fast"), base) == Everything(shape=(1, 2))


def test_a_unit_is_no_part_of_an_option():
    assert option("psf_sigma_nm") == "--psf-sigma"
    assert option("density_per_um2") == "--density"
    assert option("count_per_frame") == "--count-per-frame"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--width", "0"], r"^--width must be greater than 0, got 0 "),
        (["--width", "x"], r"^--width .* got x "),
        (["--shape", "5"], "--shape"),
        (["--how", "later"], "--how.*fast"),
        (["--where", "lines,count"], "--where.*count"),
        # A field of the inner settings, which has no option of its own.
        (
            ["--where", "lines,count=0"],
            r"^--where \(lines.count\) must be greater than or equal to 1, got 0",
        ),
        (["--where", "cube"], "--where.*'cube'.*'field', 'lines'"),
        (["--widt", "3"], "--widt"),  # no abbreviations
        (["--unknown"], "--unknown"),
    ],
)
def test_what_cannot_be_used_is_named(argv, words):
    with pytest.raises(InputError) as caught:
        settings_from(Everything, parsed(*argv))
    said = worded(caught.value, option)
    assert re.search(words, said)
    assert "\n" not in said


def test_an_unknown_name_of_a_config_is_named():
    with pytest.raises(InputError, match="colour"):
        settings_from(Everything, parsed(), {"colour": 1})
