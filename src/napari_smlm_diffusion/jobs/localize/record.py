"""What is written down of a run: who it is, to go on with it, and how it went."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_smlm_diffusion import __version__
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.localize.chunks import CHUNK_PIXELS, Frames
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.optics.camera import MAPS, Camera

if TYPE_CHECKING:
    from napari_smlm_diffusion.jobs.localize.plan import Plan
    from napari_smlm_diffusion.jobs.localize.results import Results
    from napari_smlm_diffusion.results.run_store import RunStore

FORMAT = 1
Status = Literal["complete", "cancelled", "failed"]
_LIBRARIES = ("numpy", "pandas", "scipy", "tifffile", "torch")
_WORDS = {
    "package": "the version of napari-smlm-diffusion",
    "model_sha256": "the model",
    "camera": "the camera",
    "psf_sigma_nm": "the width of the PSF",
}


def identity(plan: "Plan", movie: Path) -> dict[str, Any]:
    """Return all that the bytes of a run's results depend on, and what it takes to go on with it.

    `movie` is what the user gave as the movie.
    """
    roi, upsampling = plan.roi, 1 if plan.scale is None else plan.scale.upsampling
    size = plan.microscope.pixel_size_nm
    shift = 0.5 / upsampling - 0.5
    camera = json.dumps(plan.microscope.camera.to_dict(), sort_keys=True)
    return {
        "movie": str(movie.absolute()),
        "settings": _anchored(plan.settings).model_dump(mode="json"),
        "pixel_size_nm": size,
        # Where the images are, see `zarr_images`.
        "scale_nm": size / upsampling,
        "translate_nm": [(start + shift) * size for start in (roi.y0, roi.x0)],
        "prior": plan.prior and plan.prior.to_json(),
        "depends_on": {
            "package": __version__,
            "fingerprint": plan.stack.fingerprint(),
            "shape": list(plan.stack.shape),
            "frames": list(plan.frames),
            "sampled": list(plan.sampled),
            "roi": list(roi),
            "chunk_pixels": CHUNK_PIXELS,
            "model_sha256": plan.model_hash,
            "pixel_size_nm": size,
            "psf_sigma_nm": plan.microscope.psf_sigma_nm,
            "camera": hashlib.sha256(camera.encode()).hexdigest(),
        },
    }


def require_same(plan: "Plan", movie: Path, before: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with a run under other circumstances than it began under.

    Raises `InputError` naming what is not the same.
    """
    now = identity(plan, movie)["depends_on"]
    then = before["depends_on"]
    if changed := [name for name in now if now[name] != then.get(name)]:
        if "fingerprint" in changed:  # the rest follows from that
            raise InputError(
                f"the run in {folder} cannot go on, because {movie} is another movie than the one "
                "it began with"
            )
        what = " and ".join(_WORDS.get(name, name) for name in changed)
        values = ", ".join(f"{name}: {then.get(name)} then, {now[name]} now" for name in changed)
        raise InputError(
            f"the run in {folder} cannot go on, because {what} changed since it began ({values}); "
            "begin it afresh in another folder"
        )


def _anchored(settings: LocalizeSettings) -> LocalizeSettings:
    """Make paths absolute: a run may go on from another folder."""
    changes: dict[str, Any] = {}
    if settings.camera is not None:
        changes["camera"] = settings.camera.absolute()
    if (model := Path(settings.model)).is_file():
        changes["model"] = str(model.absolute())
    return settings.model_copy(update=changes)


def provenance(plan: "Plan", status: str, until: int) -> dict[str, Any]:
    """Return how results were made, in JSON types: for files and for layers alike.

    `status` says how the run ended, or how it is; `until` is the first frame that is not done.
    """
    microscope, scale = plan.microscope, plan.scale
    start, stop = plan.frames
    return {
        "status": status,
        "frames": {"start": start, "stop": stop, "done_until": until},
        "pixel_size_nm": microscope.pixel_size_nm,
        "psf_sigma_nm": microscope.psf_sigma_nm,
        "camera": _brief(microscope.camera),
        "roi": plan.roi._asdict(),
        "settings": plan.settings.model_dump(mode="json"),
        "seed": plan.settings.seed,
        "input": {
            "source": plan.stack.source,
            "shape": list(plan.stack.shape),
            "dtype": plan.stack.dtype.name,
        },
        "proposal": plan.estimator.localizer.kind,
        "model": plan.model_name
        and {
            "name": plan.model_name,
            "file": plan.model_file,
            "sha256": plan.model_hash,
            "upsampling": scale and scale.upsampling,
            "kernel_sigma": scale and scale.kernel_sigma,
            "kernel_share": scale and scale.kernel_share,
        },
        "sampling": sampling(plan, until),
        "refining": refining(plan),
        "device": plan.device,
        "movie_check": plan.movie_check,
        "notes": list(map(str, plan.notes)),
        "warnings": list(map(str, plan.warnings)),
        "versions": _versions(),
    }


def sampling(plan: "Plan", until: int) -> dict[str, Any] | None:
    """Return how samples were drawn: it belongs to every number that comes from them."""
    if plan.posterior is None:
        return None
    return {
        "samples": plan.settings.samples,
        "frames": list(done_of(plan.sampled, until)),
        "seed": plan.settings.seed,
        **plan.posterior.describe(),
    }


def refining(plan: "Plan") -> dict[str, Any] | None:
    """Return how the likelihood refined what was proposed, and what the movie taught."""
    if plan.estimator.refining is None:
        return None
    known: dict[str, Any] = {"by": plan.estimator.refining.source}
    if (prior := plan.prior) is not None:
        known["learned"] = {
            "photons_mean": prior.photons.mean,
            "photons_cv": prior.photons.cv,
            "density_per_px2": prior.mean_density,
            "background_mean": float(prior.background.mean()),
            "psf": prior.psf.model_dump(mode="json"),
            "read_noise_scale": prior.read_noise_scale,
            "errors": prior.errors,
            "notes": list(prior.notes),
        }
    return known


def as_proposed(plan: "Plan", found: "Results | RunStore") -> float | None:
    """Return the share of the localizations that were not refined; None where none was to be."""
    if plan.estimator.refining is None:
        return None
    refined = plan.estimator.refining.source
    kept = sum(int((table["uncertainty_source"] != refined).sum()) for table in found.tables())
    return kept / max(1, found.count)


def record(
    plan: "Plan",
    found: "Results | RunStore",
    *,
    status: Status,
    fingerprint: str,
    error: BaseException | None = None,
    timing: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of ``run.json``: what is finished, how the run ended, of which movie."""
    known = provenance(plan, status, done_until(plan, found.finished))
    sentence = None
    if error is not None:
        sentence = " ".join(str(error).split()) or type(error).__name__
    return {
        "format": FORMAT,
        **known,
        "input": {**known["input"], "fingerprint": fingerprint},
        "error": sentence,
        "frames_done": sum(b - a for a, b in found.finished),
        "rows": found.count,
        "as_proposed": as_proposed(plan, found),
        # All that was learned, for whoever would draw from the same posterior; arrays are packed.
        "prior": plan.prior and plan.prior.to_json(),
        "timing": dict(timing or {}),
    }


def done_until(plan: "Plan", finished: Sequence[Frames]) -> int:
    """Return the first frame of the run that is not finished."""
    return next((stop for start, stop in finished if start == plan.frames[0]), plan.frames[0])


def done_of(frames: Frames, until: int) -> Frames:
    """Return the part of a range of frames that comes before `until`."""
    return frames[0], max(frames[0], min(frames[1], until))


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    return {
        "napari-smlm-diffusion": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def _brief(camera: Camera) -> dict[str, Any]:
    """Return the camera's parameters; of a map its shape and median, not its million numbers."""
    values = {name: getattr(camera, name) for name in (*MAPS, "em_gain", "qe")}
    return {
        name: {"map": value.shape, "median": float(np.median(value))}
        if isinstance(value, np.ndarray)
        else value
        for name, value in values.items()
    }
