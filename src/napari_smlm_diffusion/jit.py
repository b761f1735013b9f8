"""How loops over molecules and pixels are compiled (numba): cached on the disk, without the GIL.

The cache looks at the file of a function, not at those that it calls: whoever changes one of these
and measures must delete ``__pycache__`` first.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

_OPTIONS: dict[str, Any] = {
    "cache": True,
    "error_model": "numpy",
    "nogil": True,
    # Arrays come from outside and outlive every call: without counting references a move takes half
    # the time. What is compiled so may make no array.
    "_nrt": False,
}
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function that makes no array."""
    return cast(Function, njit(**_OPTIONS)(function))


def inlined(function: Function) -> Function:
    """Compile a small one into those that call it: a scene and a state are hundreds of numbers."""
    return cast(Function, njit(**_OPTIONS, forceinline=True)(function))


def summing(function: Function) -> Function:
    """Compile what sums: in any order, and there is no NaN; infinities are still infinities."""
    loose = {"reassoc", "contract", "nsz", "nnan"}
    return cast(Function, njit(**_OPTIONS, forceinline=True, fastmath=loose)(function))
