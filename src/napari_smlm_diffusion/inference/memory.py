"""When the memory of a device does not hold a batch."""

import gc

# "DefaultCPUAllocator: can't allocate memory", "CUDA out of memory", "MPS backend out of memory".
_SAYINGS = ("out of memory", "can't allocate memory", "not enough memory")


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
