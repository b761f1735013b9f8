"""The one place where errors of torch and of the machine become errors of this package.

Inside a generator worker of napari a ``RuntimeError`` (torch raises little else) is taken for a
deleted Qt object and swallowed: neither ``errored`` nor ``finished`` is emitted, and the button
that started the job stays grey. A job therefore never lets one out.
"""

import functools
from collections.abc import Callable, Generator
from typing import ParamSpec, TypeVar

from napari_smlm_diffusion.compute.memory import is_out_of_memory
from napari_smlm_diffusion.errors import SmlmError
from napari_smlm_diffusion.progress import Progress

P = ParamSpec("P")
R = TypeVar("R")


def as_job(
    function: Callable[P, Generator[Progress, None, R]],
) -> Callable[P, Generator[Progress, None, R]]:
    """Decorate a generator of Progress so that `RuntimeError` and `MemoryError` leave it converted.

    The decorated generator raises only `SmlmError`, errors that are mistakes in the program
    (``TypeError`` and the like), and what its driver throws in.
    """

    @functools.wraps(function)
    def job(*args: P.args, **kwargs: P.kwargs) -> Generator[Progress, None, R]:
        try:
            return (yield from function(*args, **kwargs))
        except (RuntimeError, MemoryError) as error:
            raise converted(error) from error

    return job


def converted(error: Exception) -> SmlmError:
    """Return the `SmlmError` that says in one sentence what `error` says."""
    text = " ".join(str(error).split())
    if is_out_of_memory(error):
        where = next((name for name in ("CUDA", "MPS") if name in text), "")
        other = ", or run on the processor (cpu)" if where else ""
        return SmlmError(
            f"out of {where + ' ' if where else ''}memory: take fewer frames at once, or a region "
            f"of the field{other}",
            field=("batch", "roi", "device") if where else ("batch", "roi"),
        )
    return SmlmError(f"the computation failed: {text or type(error).__name__}")
