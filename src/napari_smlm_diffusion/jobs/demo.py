"""The demo: a dense movie is simulated, localized like any other, and held against its truth."""

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pandas as pd

from napari_smlm_diffusion.evaluation.metrics import evaluate
from napari_smlm_diffusion.evaluation.report import Evaluation
from napari_smlm_diffusion.frames import open_movie
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.localize.plan import Plan, prepare
from napari_smlm_diffusion.jobs.localize.record import identity
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.jobs.localize.to_folder import localize_to_folder
from napari_smlm_diffusion.jobs.localize.work import block_of, with_context
from napari_smlm_diffusion.jobs.simulated_files import write_movie
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.images import read_image
from napari_smlm_diffusion.results.run_store import RunStore
from napari_smlm_diffusion.results.summary import Frame, write_summary
from napari_smlm_diffusion.simulation.examples import DENSE
from napari_smlm_diffusion.simulation.movie import Movie, MovieSettings, simulate

DEMO = DENSE
TOLERANCE_NM = 100.0


@as_job
def demo(
    folder: Path, settings: LocalizeSettings, movie_settings: MovieSettings
) -> Generator[Progress, None, Evaluation]:
    """Write movie, truth, results and ``summary.png`` into a folder that is there already.

    Parameters
    ----------
    folder : Path
        Where to.
    settings : LocalizeSettings
        Of the localization. The width of the PSF, which is not in the metadata, is filled in, as
        from a measurement of beads.
    movie_settings : MovieSettings
        Of the movie.

    Returns
    -------
    Evaluation
        Found against truth.
    """
    yield Progress(0, 0, "simulating")
    movie = simulate(movie_settings)
    write_movie(movie, folder)
    settings = settings.model_copy(update={"psf_sigma_nm": movie_settings.psf_sigma_nm})
    with open_movie(folder / "movie.tif") as stack:
        plan = prepare(stack, settings)
        tables = []
        store = RunStore.create(folder, identity(plan, folder / "movie.tif"))
        for progress in localize_to_folder(plan, folder, store):
            if "found" in progress.info:
                tables.append(progress.info["found"].table)
            yield progress
        yield Progress(0, 0, "evaluating")
        found = pd.concat(tables, ignore_index=True)
        rng = np.random.default_rng(movie_settings.seed)
        result = evaluate(found, movie.truth, TOLERANCE_NM, rng)
        title = (
            f"{result.found:,} found, {result.truth:,} true      "
            f"precision {result.precision.value:.2f}      recall {result.recall.value:.2f}      "
            f"RMSE {result.rmse_lateral_nm.value / np.sqrt(2):.0f} nm per axis"
        )
        write_summary(
            folder / "summary.png",
            _middle_frame(plan, movie),
            read_image(folder / "density.tif").image.astype(np.float64),
            movie_settings.frames,
            movie_settings.pixel_size_nm,
            title,
        )
    return result


def _middle_frame(plan: Plan, movie: Movie) -> Frame:
    """Localize the middle frame once more, for its own density and variance."""
    index = len(movie.frames) // 2
    camera = plan.microscope.camera
    adu = movie.frames[index : index + 1]
    start, stop = with_context(plan, (index, index + 1))
    block = block_of(plan, (index, index + 1), movie.frames[start:stop])
    one = plan.estimator.localize(block, plan.microscope)
    if one.density is None or one.variance is None:
        raise ValueError("the demo needs a localizer with a density and a variance")
    truth = movie.truth[movie.truth["frame"] == index]
    photons = camera.photons(adu)[0]
    return Frame(index, photons, one.density, one.variance, one.table, truth)
