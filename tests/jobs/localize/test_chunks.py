"""Chunks cover the range once, and are bounded."""

import pytest

from napari_smlm_diffusion.jobs.localize.chunks import CHUNK_PIXELS, chunks, without


@pytest.mark.parametrize("shape", [(64, 64), (255, 257), (4096, 4096)])
@pytest.mark.parametrize("frames", [(0, 1), (3, 500)])
def test_chunks_cover_the_range_once_and_are_bounded(frames, shape):
    parts = list(chunks(frames, shape))
    assert [i for first, last in parts for i in range(first, last)] == list(range(*frames))
    pixels = shape[0] * shape[1]
    assert max(last - first for first, last in parts) * pixels <= max(CHUNK_PIXELS, pixels)


def test_finished_ranges_are_left_out():
    parts = [(0, 4), (4, 8), (8, 12), (12, 13)]
    assert list(without(parts, [(0, 8), (12, 13)])) == [(8, 12)]
    assert list(without(parts, [(0, 6)])) == [(4, 8), (8, 12), (12, 13)]
    assert list(without(parts, [])) == parts
