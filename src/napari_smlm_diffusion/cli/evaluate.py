"""``smlm-diffusion evaluate``: how much of the truth was found, and are the error bars true."""

import argparse
import json
from pathlib import Path

import numpy as np

from napari_smlm_diffusion.errors import require
from napari_smlm_diffusion.evaluation.metrics import evaluate
from napari_smlm_diffusion.frames import parse_frame_range
from napari_smlm_diffusion.results.formats.text_formats import read_corner


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    table = "CSV of this program, of ThunderSTORM or of the SMLM challenge"
    parser.add_argument("found", metavar="FOUND.csv", type=Path, help=table)
    parser.add_argument("truth", metavar="TRUTH.csv", type=Path, help="the true molecules, alike")
    parser.add_argument(
        "--tolerance",
        metavar="NM",
        type=float,
        default=100.0,
        help="largest distance of a pair, nm (default 100)",
    )
    parser.add_argument("--frames", metavar="A:B", help="only these frames, a Python slice from 0")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")


def run(options: argparse.Namespace) -> int:
    """Compare and print."""
    require(options.tolerance > 0, "tolerance", "above 0 nm", options.tolerance)
    found, truth = read_corner(options.found), read_corner(options.truth)
    frames = None
    if options.frames is not None:
        last = max((int(t["frame"].max()) for t in (found, truth) if len(t)), default=0)
        frames = parse_frame_range(options.frames, last + 1)
    # The same seed each time: the same two files give the same errors.
    rng = np.random.default_rng(0)
    result = evaluate(found, truth, options.tolerance, rng, frames=frames)
    print(json.dumps(result.to_dict(), indent=2) if options.json else result.text())
    return 0
