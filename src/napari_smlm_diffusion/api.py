"""The package in three lines of Python: what the command line does, for arrays and scripts."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_smlm_diffusion.frames import FrameStack, open_movie
from napari_smlm_diffusion.frames.stack import ArrayLike
from napari_smlm_diffusion.jobs.localize.in_memory import localize_in_memory
from napari_smlm_diffusion.jobs.localize.results import Results
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.progress import Progress, result_of

if TYPE_CHECKING:
    from napari_smlm_diffusion.models.model import Model

__all__ = ["load_model", "localize", "open_movie"]


def localize(
    movie: "str | Path | Sequence[str | Path] | ArrayLike | FrameStack",
    *,
    progress: Callable[[Progress], None] | None = None,
    **settings: Any,
) -> Results:
    """Localize a movie.

    Parameters
    ----------
    movie : path, paths, (T, Y, X) array or FrameStack
        Camera counts, ADU. A `FrameStack` stays open; what is opened here is closed.
    progress : callable, optional
        Is told after each batch.
    **settings
        Fields of `jobs.localize.settings.LocalizeSettings`, among them ``pixel_size_nm``,
        ``offset``, ``gain``, ``em_gain``, ``qe``, ``read_noise``, ``psf_sigma_nm``, ``model``,
        ``frames`` ("0:100"), ``refine`` ("map", "posterior"), ``proposal`` ("spots"), ``samples``.
        What is not given the movie's metadata or the movie itself must say.

    Returns
    -------
    Results
        ``localizations`` (a table, see `napari_smlm_diffusion.localizations`), ``density`` and
        ``variance`` ((sY, sX) sums over the frames), and `Results.save`.

    Raises
    ------
    InputError
        For what the movie or the settings lack, before the work begins.

    Warns
    -----
    UserWarning
        For what of the movie lies outside the model's range: error bars are then not true.
    """
    chosen = LocalizeSettings(**settings)
    with _opened(movie, chosen) as stack:
        results = result_of(localize_in_memory(stack, chosen), progress)
        stack.fingerprint()  # remembered: the movie's identity is wanted by `Results.save`
    for warning in results.plan.warnings:
        warnings.warn(str(warning), stacklevel=2)
    return results


def load_model(name_or_file: str | Path = "general", device: str = "cpu") -> "Model":
    """Return the networks of a shipped model, one of the user's own, or a file.

    Raises
    ------
    InputError
        If there is none of this name, or the file is no model of this package.
    """
    from napari_smlm_diffusion.models.model import load_model as load

    return load(resolve(str(name_or_file)), device)


def _opened(movie: Any, settings: LocalizeSettings) -> Any:
    if isinstance(movie, FrameStack):
        return nullcontext(movie)
    if isinstance(movie, str | Path) or not hasattr(movie, "shape"):
        return open_movie(movie, settings.raw_layout)
    return FrameStack.from_array(movie)
