"""``smlm-diffusion models``: what is shipped, and what a model was made for."""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "model", metavar="NAME", nargs="?", help="a shipped model, or a model file: show its card"
    )


def run(options: argparse.Namespace) -> int:
    """Print the list, or one card."""
    from napari_smlm_diffusion.inference.model import resolve, shipped_names
    from napari_smlm_diffusion.networks.checkpoint import file_hash, load_card

    if options.model is not None:
        path = resolve(options.model)
        card = load_card(path)
        print("\n".join(_lines({**card.model_dump(mode="json"), "sha256": file_hash(path)})))
        return 0
    names = shipped_names()
    for name in names:
        print(f"{name:<10} {load_card(resolve(name)).description}".rstrip())
    if not names:
        print("no model is shipped with this installation")
    return 0


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
        if (
            len(value) == 2
            and all(isinstance(v, int | float) for v in value)
            and value == sorted(value)
        ):
            return f"{value[0]:g} to {value[1]:g}"
        if len(value) > 8:
            return f"{len(value)} values, the last {_text(value[-1])}"
        return ", ".join(_text(v) for v in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
