"""What napari gives to a reader, and what it wants back."""

from collections.abc import Callable, Sequence
from pathlib import Path

from napari_smlm_diffusion.results.layers import LayerTuple

Paths = str | Sequence[str]
Reader = Callable[[Paths], list[LayerTuple]]


def as_list(path: Paths) -> list[str]:
    """Return the paths that napari gave, one or several."""
    return [str(path)] if isinstance(path, str | Path) else [str(one) for one in path]


def name_of(path: str) -> str:
    """Return the name of a layer: ``movie.ome.tif`` is called movie."""
    return Path(path).name.partition(".")[0] or Path(path).name
