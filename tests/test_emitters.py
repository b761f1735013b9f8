from dataclasses import dataclass

import numpy as np
import pytest
import torch

from napari_smlm_diffusion.emitters import Columns, Emitters, concatenate


def molecules(make=np.array, depth=False):
    position = [[1.0, 2.0, 30.0], [3.0, 4.0, -50.0], [5.0, 6.0, 0.0]]
    return Emitters(
        frame=make([0, 2, 2]),
        position=make([p if depth else p[:2] for p in position]),
        photons=make([100.0, 200.0, 300.0]),
    )


@pytest.mark.parametrize("make", [np.array, torch.tensor])
@pytest.mark.parametrize("depth", [False, True])
def test_arrays_and_tensors_are_chosen_and_joined_alike(make, depth):
    every = molecules(make, depth)
    some = every.of_frame(2)
    assert type(some.photons) is type(every.photons)
    assert some.photons.tolist() == [200.0, 300.0]
    assert some.y.tolist() == [3.0, 5.0]
    assert some.x.tolist() == [4.0, 6.0]
    assert some.sd is None
    if depth:
        assert some.z.tolist() == [-50.0, 0.0]
    both = concatenate([every.of_frame(1), some, every.select(slice(1))])
    assert type(both.position) is type(every.position)
    assert both.frame.tolist() == [2, 2, 0]
    assert len(both) == len(both.position) == 3
    assert both.position.shape[1] == 2 + depth


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_a_molecule_on_the_last_pixel_is_inside_and_one_beyond_is_not(make):
    assert molecules(make).inside((4, 5)).tolist() == [True, True, False]
    assert molecules(make).inside((9, 4)).tolist() == [True, False, False]


def test_what_belongs_to_molecules_goes_with_them():
    @dataclass(frozen=True)
    class Seen(Columns):
        emitters: Emitters
        misfit: np.ndarray

    seen = Seen(molecules(), np.array([1.0, 2.0, 3.0]))
    both = concatenate([seen.select(np.array([2])), seen.select(seen.misfit < 2)])
    assert both.misfit.tolist() == [3.0, 1.0]
    assert both.emitters.photons.tolist() == [300.0, 100.0]
