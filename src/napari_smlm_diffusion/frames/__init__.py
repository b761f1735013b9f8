"""Stacks of camera frames, read piece by piece: files, arrays, frame ranges and regions."""

from napari_smlm_diffusion.frames.lazy import LazyFrames
from napari_smlm_diffusion.frames.opening import open_movie
from napari_smlm_diffusion.frames.ranges import parse_frame_range, parse_roi
from napari_smlm_diffusion.frames.raw import RawLayout
from napari_smlm_diffusion.frames.series import open_series
from napari_smlm_diffusion.frames.stack import FrameStack
from napari_smlm_diffusion.frames.tiff import open_stack

__all__ = [
    "FrameStack",
    "LazyFrames",
    "RawLayout",
    "open_movie",
    "open_series",
    "open_stack",
    "parse_frame_range",
    "parse_roi",
]
