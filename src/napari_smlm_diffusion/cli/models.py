"""``smlm-diffusion models``: the shipped ones, your own, and what a model was made for."""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.cli.parser import add_overwrite
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models import library
from napari_smlm_diffusion.models.card import file_hash, load_card


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "model", metavar="NAME", nargs="?", help="a model, or a model file: show its card"
    )
    parser.add_argument("--export", metavar="FILE", help="write the model NAME to a file")
    parser.add_argument(
        "--import",
        dest="import_",
        metavar="FILE",
        help="keep a copy of a model file among your own models, under NAME or the card's name",
    )
    add_overwrite(parser)


def run(options: argparse.Namespace) -> int:
    """Print the list or one card, or copy a model file in or out."""
    if options.import_ is not None and options.export is not None:
        raise InputError("--import and --export: choose one of them")
    if options.import_ is not None:
        file = Path(options.import_)
        path = library.add(file, options.model, replace=options.overwrite)
        print(f"{path.stem}: kept as {path}")
    elif options.export is not None:
        _export(options.model, Path(options.export), options.overwrite)
    elif options.overwrite:
        raise InputError("--overwrite without --import or --export")
    elif options.model is not None:
        _show(library.resolve(options.model))
    else:
        _list()
    return 0


def _export(name: str | None, to: Path, replace: bool) -> None:
    if name is None:
        raise InputError("--export: say which model, as in `models general --export FILE`")
    path = library.resolve(name)
    load_card(path)  # no file that is none of ours is handed on
    if to.suffix != ".safetensors":
        raise InputError(f"--export {to}: the name of a model file ends in .safetensors")
    if to.exists() and not replace:
        raise InputError(f"--export {to}: the file exists; replace it with --overwrite")
    library.copy(path, to)
    print(to)


def _show(path: Path) -> None:
    card = load_card(path)
    print("\n".join(_lines({**card.model_dump(mode="json"), "sha256": file_hash(path)})))


def _list() -> None:
    shipped, own = library.shipped_names(), library.own_names()
    for name in shipped + [name for name in own if name not in shipped]:
        where = "" if name in shipped else "  (your own)"
        try:
            said = load_card(library.resolve(name)).description
        except InputError as error:  # one damaged file hides no other model
            said = str(error)
        print(f"{name:<12} {said}{where}".rstrip())
    if not shipped:
        print("no model is shipped with this installation")
    if not own:
        print(f"your own models are kept in {library.own_folder()} (models --import FILE)")


def _lines(values: Mapping[str, Any], indent: int = 0) -> Iterator[str]:
    """Return the card as indented lines, one value a line; long lists are cut."""
    for name, value in values.items():
        label = "  " * indent + name.replace("_", " ")
        if isinstance(value, Mapping) and value:
            yield label
            yield from _lines(value, indent + 1)
        else:
            yield f"{label:<32} {_text(value)}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        numbers = all(isinstance(v, int | float) for v in value)
        if len(value) == 2 and numbers and value == sorted(value):
            return f"{value[0]:g} to {value[1]:g}"
        if len(value) > 8:
            return f"{len(value)} values, the last {_text(value[-1])}"
        return ", ".join(_text(v) for v in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
