"""``smlm-diffusion render``: a table as a picture."""

import argparse

from napari_smlm_diffusion.cli import tables
from napari_smlm_diffusion.cli.parser import settings_from
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.postprocessing.picture import PictureSettings, draw


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    out = "TIFF file for the picture (float32, with its pixel size)"
    tables.add_options(parser, PictureSettings, out)


def run(options: argparse.Namespace) -> int:
    """Draw and write."""
    settings = settings_from(PictureSettings, options)
    if options.out.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"--out {options.out} must end in .tif: the picture is a TIFF file")
    tables.check_out(options.out, options)
    picture = draw(tables.read_table(options), settings)
    picture.write(options.out)
    print(f"{picture.text()}, written to {options.out}")
    return 0
