"""A movie as something frames are read from: the one type that files and arrays become."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards.sizes import check_dtype, check_size
from napari_smlm_diffusion.settings import Roi

# (start, stop, roi) -> (stop - start, roi height, roi width) in native byte order, owned by caller
Loader = Callable[[int, int, Roi], np.ndarray]


class ArrayLike(Protocol):
    """What numpy, dask, zarr and h5py arrays have in common."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> Any:
        """Type of the pixels."""

    def __getitem__(self, key: Any, /) -> Any: ...


class FrameStack:
    """Camera frames (T, Y, X) that are read when asked for.

    Made by ``open_movie`` or ``FrameStack.from_array``.

    Attributes
    ----------
    source
        Where the frames come from, for messages and for the record.
    shape
        (T, Y, X).
    dtype
        Type of what ``read`` returns, one of ``DTYPES`` in native byte order. Values are ADU.
    pixel_size_nm
        From the metadata; None where they do not say.
    camera_hint
        Camera parameters found in the metadata (offset, gain, ...); empty where there are none.
    exposure_ms
        Exposure time of a frame, from the metadata; None where they do not say.
    files
        The files that hold the frames; empty for arrays and for folders of chunks.
    """

    def __init__(
        self,
        source: str,
        shape: tuple[int, int, int],
        dtype: Any,
        load: Loader,
        *,
        fingerprint: Callable[[], str],
        close: Callable[[], None] = lambda: None,
        pixel_size_nm: float | None = None,
        camera_hint: Mapping[str, float] | None = None,
        exposure_ms: float | None = None,
        files: Sequence[Path] = (),
    ) -> None:
        self.source = source
        self.shape = shape
        self.dtype = check_dtype(dtype, source)
        self.pixel_size_nm = pixel_size_nm
        self.camera_hint = dict(camera_hint or {})
        self.exposure_ms = exposure_ms
        self.files = tuple(files)
        self._load = load
        self._fingerprint = cache(fingerprint)
        self._close = close
        check_size(shape, source)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"FrameStack({self.source!r}, shape={self.shape}, dtype={self.dtype})"

    def read(self, start: int, stop: int, roi: Roi | None = None) -> np.ndarray:
        """Frames ``start`` to ``stop - 1``, whole or cut to ``roi``.

        Returns
        -------
        (stop - start, Y, X) in ADU, a fresh array.

        Raises
        ------
        InputError
            A frame cannot be decoded, or holds NaN or infinity (within ``roi``).
        IndexError
            The range is not within the stack.
        """
        n_frames, height, width = self.shape
        if not 0 <= start <= stop <= n_frames:
            raise IndexError(f"frames {start}:{stop} are not within 0:{n_frames}")
        block = self._load(start, stop, roi or Roi(0, height, 0, width))
        if block.dtype.kind == "f":
            finite = np.isfinite(block).all(axis=(1, 2))
            if not finite.all():
                bad = start + int(np.argmin(finite))
                raise InputError(
                    f"{self.source}: frame {bad} (counted from 0) holds NaN or infinite values; "
                    "every pixel must be a finite number"
                )
        return block

    def fingerprint(self) -> str:
        """SHA-256 (hex) of size, first and last megabyte; remembered once it is known.

        Says that two inputs are the same without reading all of them, and without the time of
        modification, which copying changes.
        """
        return self._fingerprint()

    def close(self) -> None:
        """Let go of the file. Reading afterwards is undefined."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @classmethod
    def from_array(
        cls,
        array: ArrayLike,
        *,
        source: str = "array",
        pixel_size_nm: float | None = None,
        camera_hint: Mapping[str, float] | None = None,
    ) -> FrameStack:
        """Stack over an array (numpy, dask, zarr, h5py) that is kept and not copied.

        Parameters
        ----------
        array
            (..., Y, X) with at most one leading axis longer than one.

        Raises
        ------
        InputError
            Fewer than two axes, two stack axes, an empty array or a type that is no image.
        """
        axes = [f"axis {i}" for i in range(len(array.shape))]
        shape, stack_axis = stack_shape(axes, array.shape, source)

        def load(start: int, stop: int, roi: Roi) -> np.ndarray:
            key: list[Any] = [0] * (len(array.shape) - 2)
            if stack_axis is not None:
                key[stack_axis] = slice(start, stop)
            key += [slice(roi.y0, roi.y1), slice(roi.x0, roi.x1)]
            block = np.asarray(array[tuple(key)]).reshape(-1, roi.y1 - roi.y0, roi.x1 - roi.x0)
            # A single image has no axis to slice, so that an empty range is cut here.
            return np.array(block[: stop - start], dtype=dtype)

        def fingerprint() -> str:
            digest = hashlib.sha256(f"{shape} {dtype}".encode())
            n = min(shape[0], max(1, 2**20 // (shape[1] * shape[2] * dtype.itemsize)))
            whole = Roi(0, shape[1], 0, shape[2])
            digest.update(load(0, n, whole).tobytes())
            digest.update(load(shape[0] - n, shape[0], whole).tobytes())
            return digest.hexdigest()

        dtype = check_dtype(array.dtype, source)
        return cls(
            source,
            shape,
            dtype,
            load,
            fingerprint=fingerprint,
            pixel_size_nm=pixel_size_nm,
            camera_hint=camera_hint,
        )


def fingerprint(files: Iterable[Path], more: str = "") -> str:
    """SHA-256 (hex) of size, first and last megabyte of each file, and of what else matters."""
    digest = hashlib.sha256(more.encode())
    for path in files:
        try:
            size = path.stat().st_size
            digest.update(str(size).encode())
            with path.open("rb") as file:
                digest.update(file.read(2**20))
                file.seek(max(0, size - 2**20))
                digest.update(file.read(2**20))
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    return digest.hexdigest()


def stack_shape(
    axes: list[str], shape: tuple[int, ...], source: str
) -> tuple[tuple[int, int, int], int | None]:
    """(T, Y, X) of an image whose last two axes are rows and columns, and which axis is T.

    Parameters
    ----------
    axes
        A name for each axis, for the message.
    shape
        Length of each axis.

    Raises
    ------
    InputError
        Fewer than two axes, or two or more leading axes longer than one.
    """
    if len(shape) < 2:
        raise InputError(f"{source} has {len(shape)} axes; frames need at least rows and columns")
    *leading, height, width = shape
    long = [i for i, size in enumerate(leading) if size != 1]
    if len(long) > 1:
        named = " and ".join(f"{axes[i]} of {leading[i]}" for i in long)
        raise InputError(
            f"{source} has {len(long)} stack axes ({named}), but exactly one may be longer than "
            "one; save the frames to localize as a stack of their own"
        )
    stack_axis = long[0] if long else None
    return (1 if stack_axis is None else leading[stack_axis], height, width), stack_axis
