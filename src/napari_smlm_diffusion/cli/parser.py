"""Options made from settings, and settings made from options.

A field ``psf_sigma_nm`` becomes ``--psf-sigma NM``; its description is the help. Values travel as
text and the settings check them, so that a rule is written in one place only.
"""

import argparse
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.settings import Settings

S = TypeVar("S", bound=Settings)

_UNITS = {"_per_um2": "PER_UM2", "_nm": "NM"}


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one sentence, raised as `InputError`."""

    def __init__(self, **keywords: Any) -> None:
        # An abbreviation that is clear today would break a script when an option is added.
        super().__init__(**keywords, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise; argparse would print the usage and leave."""
        raise InputError(f"{message}; see {self.prog} --help")


def add_out(
    parser: argparse.ArgumentParser, what: str, metavar: str = "FILE", **keywords: Any
) -> None:
    """Add the option ``--out``, with `what` it is in its help, and ``--overwrite``."""
    parser.add_argument("--out", metavar=metavar, type=Path, help=what, **keywords)
    add_overwrite(parser)


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--overwrite``."""
    parser.add_argument("--overwrite", action="store_true", help="replace what is there already")


def add_settings(
    parser: argparse.ArgumentParser,
    kind: type[Settings],
    names: Iterable[str] | None = None,
    defaults: object = None,
) -> None:
    """Add an option for each field of `kind`, or for those of these names.

    Their help says the default: that of the field, or the attribute of `defaults`.
    """
    for name in kind.model_fields if names is None else names:
        field = kind.model_fields[name]
        types_ = _alternatives(field.annotation)
        default = getattr(defaults, name, field.get_default(call_default_factory=True))
        keywords: dict[str, Any] = {"dest": name, "help": _help(field, types_, default)}
        if types_ == (bool,):
            keywords |= {"action": "store_const", "const": True}
        elif get_origin(types_[0]) is Literal:
            keywords["choices"] = get_args(types_[0])
        else:
            keywords |= {"metavar": _unit(name, field), "type": _reader(types_)}
        parser.add_argument(option(name), **keywords)


def settings_from(
    kind: type[S], options: argparse.Namespace, base: Mapping[str, Any] | None = None
) -> S:
    """Return settings: the fields that were given as options, over those of `base`.

    Raises
    ------
    InputError
        As the settings do.
    """
    given = {name: getattr(options, name, None) for name in kind.model_fields}
    values = {**(base or {}), **{k: v for k, v in given.items() if v is not None}}
    return kind(**values)


def option(field: str) -> str:
    """Return the option of a field: its name without the unit, which the help states.

    Of a field of settings inside others, which has no option, also its path there.
    """
    name, _, inner = field.partition(".")
    for ending in _UNITS:
        name = name.removesuffix(ending)
    return f"--{name.replace('_', '-')}" + (f" ({inner})" if inner else "")


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union, without None; a type that is no union alone."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(t for t in get_args(annotation) if t is not type(None))
    return (annotation,)


def _help(field: FieldInfo, types_: tuple[Any, ...], default: Any) -> str:
    text = field.description or ""
    if kinds := _kinds(types_):
        text += f"; KIND is {', '.join(kinds)}"
    if isinstance(default, BaseModel):
        default = getattr(default, "kind", None)
    if isinstance(default, tuple):
        default = "x".join(map(str, default))
    if isinstance(default, float):
        default = f"{default:g}"
    if default is not None and default is not False:
        text += f" (default {default})"
    return text.replace("%", "%%")


def _unit(name: str, field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "unit" in extra:
        return str(extra["unit"])
    types_ = _alternatives(field.annotation)
    if _kinds(types_):
        return "KIND[,NAME=VALUE...]"
    if get_origin(types_[0]) is tuple:
        return "x".join("N" for _ in get_args(types_[0]))
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "N")


def _kinds(types_: tuple[Any, ...]) -> list[str]:
    """Return the names of alternatives that are settings themselves, told apart by their kind."""
    models = [t for t in types_ if isinstance(t, type) and issubclass(t, BaseModel)]
    return [str(m.model_fields["kind"].default) for m in models if "kind" in m.model_fields]


def _reader(types_: tuple[Any, ...]) -> Any:
    """Return what turns the text of an option into what the settings take."""
    if _kinds(types_):
        return _read_kind
    if get_origin(types_[0]) is tuple:
        return lambda text: tuple(text.replace("x", ",").split(","))
    return str


def _read_kind(text: str) -> dict[str, str]:
    """``filaments,count=6`` -> {"kind": "filaments", "count": "6"}."""
    kind, *rest = text.split(",")
    values = {"kind": kind}
    for part in rest:
        name, equals, value = part.partition("=")
        if not equals:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not KIND,NAME=VALUE,...: {part!r} has no ="
            )
        values[name] = value
    return values
