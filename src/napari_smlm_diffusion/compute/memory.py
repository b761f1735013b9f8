"""Memory of the networks: when it does not hold a batch, and how the CPU's is used again."""

import contextlib
import ctypes
import gc

# "DefaultCPUAllocator: can't allocate memory", "CUDA out of memory", "MPS backend out of memory".
_SAYINGS = ("out of memory", "can't allocate memory", "not enough memory")
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # from malloc.h


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was too small; torch has a type of it for CUDA only."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _SAYINGS)


def release() -> None:
    """Give back what a failed batch still holds, so that a smaller one finds room."""
    import torch  # not with the module: a widget asks whether an error is of memory

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def halved(error: Exception, size: int, fewest: int = 1) -> int:
    """Return half the size of a batch that memory was too small for, which is given back.

    Raises
    ------
    Exception
        `error`, if it says something else, or the batch cannot be smaller.
    """
    if size <= fewest or not is_out_of_memory(error):
        raise error
    error.__traceback__ = None  # its frames hold the tensors
    release()
    return size // 2


def keep_freed() -> None:
    """Let the C library keep what a batch on the CPU has freed, for the next one.

    glibc maps each image of a network above 32 MB from the system and unmaps it at once, so that
    every page of the next is made anew: a fifth of the time. For a process of our own only: a
    viewer should give back what the user closes. Nothing happens with another C library.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
