"""``smlm-diffusion estimate``: what a movie says of its camera, its PSF, its light and density."""

import argparse
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.cli.localize import FRAMES
from napari_smlm_diffusion.cli.parser import add_out, add_settings, settings_from
from napari_smlm_diffusion.cli.tables import check_new
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings

_KNOWN = (
    "pixel_size_nm", "offset", "gain", "em_gain", "qe", "read_noise", "camera",
    "raw_shape", "raw_dtype", "raw_offset",
)  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.epilog = (
        "Photon transfer tells gain and offset, for the read noise and the EM gain that are given; "
        "it needs brighter and darker places. Photons and noise are effective: on an EMCCD the "
        "photo-electrons divided by the excess noise, 2."
    )
    parser.add_argument("movie", metavar="FRAMES", type=Path, help=FRAMES)
    add_settings(parser, LocalizeSettings, _KNOWN)
    add_out(parser, "camera file, as localize --camera takes it", "FILE.json")
    parser.add_argument(
        "--training",
        metavar="FILE.json",
        type=Path,
        help="settings of a training for movies like this one, as train --config takes them",
    )


def run(options: argparse.Namespace) -> int:
    """Measure, print, and write what is asked for."""
    from napari_smlm_diffusion.frames import open_movie
    from napari_smlm_diffusion.jobs.estimate import estimate_movie
    from napari_smlm_diffusion.results.run_folder import write_json

    settings = settings_from(LocalizeSettings, options)
    for path in (options.out, options.training):
        if path is not None:
            check_new(path, options.overwrite)
    with open_movie(options.movie, settings.raw_layout) as stack:
        found = estimate_movie(stack, settings)
        for name, value, how in found.rows():
            print(f"{name:<12}{value:<34}{how}".rstrip())
        if options.out is not None:
            write_json(options.out, found.used.to_dict())
            print(f"\ncamera: {options.out}")
        if options.training is not None:
            from napari_smlm_diffusion.jobs.train.movie_ranges import prior_for, ranges_of
            from napari_smlm_diffusion.jobs.train.settings_file import save_settings

            ranges = ranges_of(stack, found.filled(settings))
            values: dict[str, Any] = {"prior": prior_for(ranges).model_dump(mode="json")}
            save_settings(values, options.training)
            print(f"\n{ranges.words}\ntraining: {options.training}")
    return 0
