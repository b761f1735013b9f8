"""Single-molecule localization in napari with error bars that are true.

::

    from napari_smlm_diffusion import localize

    run = localize("movie.tif", pixel_size_nm=100, offset=100, gain=0.5, read_noise=1.5)
    run.localizations, run.density, run.variance
    run.save("run")

These names are imported when they are first asked for: the package itself loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "load_model", "localize", "open_movie"]

if TYPE_CHECKING:
    from napari_smlm_diffusion.api import load_model, localize, open_movie


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("napari_smlm_diffusion.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
