"""``smlm-diffusion simulate``: a movie, its truth, and the settings it came from."""

import argparse
import dataclasses
from pathlib import Path

from napari_smlm_diffusion.cli.parser import add_out, add_settings, settings_from
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.localize.settings import CAMERA, LocalizeSettings
from napari_smlm_diffusion.jobs.simulated_files import write_movie
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.results import run_folder
from napari_smlm_diffusion.settings import read_json
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_out(parser, "folder to write", "DIR", required=True)
    parser.add_argument(
        "--config",
        metavar="FILE.json",
        type=Path,
        help="settings, as in the settings.json of an earlier movie; options overrule it",
    )
    own = [name for name in MovieSettings.model_fields if name not in ("camera", "psf")]
    add_settings(parser, MovieSettings, own)
    width = MovieSettings.model_fields["psf"].default.sigma_nm
    parser.add_argument(
        "--psf-sigma",
        dest="psf_sigma_nm",
        metavar="NM",
        help=f"standard deviation of a spot, nm (default {width:g})",
    )
    camera = MovieSettings.model_fields["camera"].default
    add_settings(parser, LocalizeSettings, CAMERA, camera)
    add_settings(parser, LocalizeSettings, ["camera"])


def run(options: argparse.Namespace) -> int:
    """Simulate and write."""
    settings = _settings(options)
    folder = run_folder.check(options.out, options.overwrite)
    movie = simulate(settings)
    folder = run_folder.create(folder, options.overwrite)
    write_movie(movie, folder)
    print(f"{len(movie.truth)} molecules in {settings.frames} frames, written to {folder}")
    return 0


def _settings(options: argparse.Namespace) -> MovieSettings:
    values = read_json(options.config) if options.config else {}
    # Of density and count one is the other's opposite: the one given as an option wins.
    for name, other in (
        ("density_per_um2", "count_per_frame"),
        ("count_per_frame", "density_per_um2"),
    ):
        if getattr(options, name) is not None:
            values.pop(other, None)
    both = [getattr(options, name) is not None for name in ("density_per_um2", "count_per_frame")]
    if all(both) or not (any(both) or options.config):
        raise InputError("give one of --density (per square micron) and --count-per-frame")
    if options.psf_sigma_nm is not None:
        values.pop("psf", None)
        values["psf_sigma_nm"] = options.psf_sigma_nm
    camera = values.get("camera", MovieSettings.model_fields["camera"].default)
    if options.camera is not None:
        camera = Camera.from_json(options.camera)
    elif isinstance(camera, dict):
        camera = Camera.from_dict(camera, folder=options.config.parent)
    asked = LocalizeSettings(**{name: getattr(options, name) for name in CAMERA})
    given = asked.model_dump(include=set(CAMERA), exclude_none=True)
    options.camera = None  # the file has been read
    return settings_from(
        MovieSettings, options, {**values, "camera": dataclasses.replace(camera, **given)}
    )
