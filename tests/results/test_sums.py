"""Sums of images are the same to the last bit in whatever order and parts they come."""

import numpy as np

from napari_smlm_diffusion.results import sums


def test_the_order_and_the_parts_do_not_matter(rng):
    images = [rng.normal(0, 10.0**k, (5, 7)) for k in rng.integers(-6, 4, 60)]
    plain, turned = np.zeros((5, 7)), np.zeros((5, 7))
    in_order, in_parts = {}, {}
    for image in images:
        sums.add(in_order, "density", image)
        plain += image
    for start in (40, 0, 20):
        part = {}
        for image in reversed(images[start : start + 20]):
            sums.add(part, "density", image)
        sums.add(in_parts, "density", part["density"])
    for image in reversed(images):
        turned += image
    assert (plain != turned).any()  # what this is for
    np.testing.assert_array_equal(in_order["density"], in_parts["density"])
    np.testing.assert_allclose(in_order["density"], plain, atol=60 * sums.UNIT)


def test_what_is_not_known_stays_unknown():
    total = {}
    sums.add(total, "variance", np.array([[1.0, np.nan]]))
    sums.add(total, "variance", np.array([[1.0, 1.0]]))
    np.testing.assert_array_equal(total["variance"], [[2.0, np.nan]])
