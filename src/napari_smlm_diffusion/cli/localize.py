"""``smlm-diffusion localize``: a movie in, a folder of results out."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_smlm_diffusion.cli.parser import add_overwrite, add_settings, option, settings_from
from napari_smlm_diffusion.cli.progress import drive
from napari_smlm_diffusion.errors import InputError, OutputError, require, worded
from napari_smlm_diffusion.jobs.localize.settings import FREE, LocalizeSettings
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results import run_folder
from napari_smlm_diffusion.settings import read_json

if TYPE_CHECKING:
    from napari_smlm_diffusion.jobs.localize.plan import Plan
    from napari_smlm_diffusion.jobs.localize.to_folder import Localizing
    from napari_smlm_diffusion.results.run_store import RunStore

FRAMES = "movie: TIFF, ND2, CZI, .raw, .dax or .npy; a folder of TIFF files, NDTiff or zarr"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("movie", metavar="FRAMES", type=Path, nargs="?", help=FRAMES)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", metavar="DIR", type=Path, help="folder to write")
    where.add_argument(
        "--resume",
        metavar="DIR",
        type=Path,
        help="go on with the run in DIR that ended early; FRAMES only if the movie has moved",
    )
    parser.epilog = "A value that begins with a minus needs an equals sign: --frames=-60:"
    add_overwrite(parser)
    add_settings(parser, LocalizeSettings)
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "--workers", metavar="N", type=int, help="share the work among N processes of one thread"
    )
    who.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="share the work among the workers of the dask scheduler at ADDRESS",
    )


def run(options: argparse.Namespace) -> int:
    """Check everything, then work; a folder is made only in between."""
    if options.resume is not None:
        return _resume(options)
    if options.movie is None:
        raise InputError("FRAMES is missing: name the movie to localize, or a run with --resume")
    settings = settings_from(LocalizeSettings, options)
    out = run_folder.check(options.out, options.overwrite)
    _keep_inputs(out, [options.movie, settings.camera, Path(settings.model)])

    # After the checks that need no torch: a mistyped option is answered at once.
    from napari_smlm_diffusion.frames import open_movie
    from napari_smlm_diffusion.jobs.localize.plan import prepare, preparing
    from napari_smlm_diffusion.jobs.localize.record import identity
    from napari_smlm_diffusion.results.run_store import RunStore

    with open_movie(options.movie, settings.raw_layout) as stack:
        learns = settings.refine == "posterior"
        plan = drive(preparing(stack, settings), "rounds") if learns else prepare(stack, settings)
        with _localizing(options, options.movie) as localizing:
            folder = run_folder.create(out, options.overwrite)
            store = RunStore.create(folder, identity(plan, options.movie))
            return _work(plan, folder, store, localizing)


def _resume(options: argparse.Namespace) -> int:
    from napari_smlm_diffusion.frames import open_movie
    from napari_smlm_diffusion.jobs.localize.plan import prepare
    from napari_smlm_diffusion.jobs.localize.record import require_same
    from napari_smlm_diffusion.posterior.prior import MoviePrior
    from napari_smlm_diffusion.results.run_store import RunStore, read_journal

    folder = options.resume
    given = [name for name in LocalizeSettings.model_fields if getattr(options, name) is not None]
    fixed = [option(name) for name in given if name not in FREE]
    if fixed or options.overwrite:
        raise InputError(
            f"{', '.join([*fixed, *(['--overwrite'] if options.overwrite else [])])} with "
            "--resume: a run goes on as it was begun; only "
            f"{', '.join(map(option, FREE))} may change"
        )
    before = read_journal(folder)["run"]
    movie = options.movie or Path(before["movie"])
    if not movie.exists():
        raise InputError(
            f"the movie {movie} is not there any more; say where it is: "
            f"smlm-diffusion localize MOVIE --resume {folder}"
        )
    if _record(folder).get("status") == "complete":
        print(f"the run in {folder} is complete: there is nothing left to do")
        return 0
    settings = settings_from(LocalizeSettings, options, before["settings"])
    with open_movie(movie, settings.raw_layout) as stack:
        learned = before.get("prior")
        prior = None if learned is None else MoviePrior.from_json(learned)
        plan = prepare(stack, settings, prior)
        require_same(plan, movie, before, folder)
        with _localizing(options, movie) as localizing:
            return _work(plan, folder, RunStore.resume(folder), localizing)


def _work(plan: "Plan", folder: Path, store: "RunStore", localizing: "Localizing") -> int:
    from napari_smlm_diffusion.compute.memory import keep_freed
    from napari_smlm_diffusion.jobs.localize.to_folder import localize_to_folder

    keep_freed()
    for note in plan.notes:
        print(worded(note, option), file=sys.stderr)
    for warning in plan.warnings:
        print(f"warning: {worded(warning, option)}", file=sys.stderr)
    if done := sum(stop - start for start, stop in store.finished):
        print(f"{done} frames were finished before", file=sys.stderr)

    def watch(progress: Progress) -> str:
        said = f"{store.count} molecules"
        if drawn := progress.info.get("drawn"):
            samples = plan.settings.samples
            said += f", {drawn.moments.count} of {samples} samples of the next frame"
        return said

    go_on = f"`smlm-diffusion localize --resume {folder}` goes on from there"
    try:
        drive(localize_to_folder(plan, folder, store, localizing), "frames", watch)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(
            f"{stop or 'stopped'}; what is finished is in {folder}, and {go_on}"
        ) from None
    except OutputError as error:
        raise OutputError(f"{error}; {go_on}") from error
    if not store.count:
        print("warning: no molecule was found; see --offset, --gain and --em-gain", file=sys.stderr)
    if share := _record(folder).get("as_proposed"):
        print(f"{share:.1%} of them are as proposed: the chains disagree there", file=sys.stderr)
    frames = plan.frames[1] - plan.frames[0]
    print(f"{store.count} molecules in {frames} frames, written to {folder}")
    return 0


def _record(folder: Path) -> dict[str, Any]:
    """Return what a run has written down of itself; nothing if that cannot be read."""
    try:
        return read_json(folder / "run.json")
    except InputError:
        return {}


@contextmanager
def _localizing(options: argparse.Namespace, movie: Path) -> Iterator["Localizing"]:
    """Give who does the work: this process, or others."""
    if options.workers is None and options.cluster is None:
        from napari_smlm_diffusion.jobs.localize.run import localize

        yield localize
        return
    if options.workers is not None:
        require(options.workers >= 1, "workers", "1 or more", options.workers)
    from napari_smlm_diffusion.cluster import connect, localize_on

    with connect(options.cluster, options.workers) as client:
        yield localize_on(client, movie)


def _keep_inputs(out: Path, inputs: list[Path | None]) -> None:
    """Refuse to write where an input lies: `run_folder.create` clears older results away."""
    for path in inputs:
        if path is not None and path.exists() and path.resolve().parent == out.resolve():
            raise InputError(f"--out {out} is the folder of {path}; name another one")
