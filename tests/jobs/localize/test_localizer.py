"""A third localizer, defined here and nowhere else, that looks at its neighbours in time."""

import json
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import open_stack
from napari_smlm_diffusion.inference.estimator import estimator_of
from napari_smlm_diffusion.jobs.localize import chunks
from napari_smlm_diffusion.jobs.localize.plan import prepare
from napari_smlm_diffusion.jobs.localize.record import identity
from napari_smlm_diffusion.jobs.localize.results import joined
from napari_smlm_diffusion.jobs.localize.run import localize, localize_chunks, work_chunks
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.jobs.localize.to_folder import localize_to_folder
from napari_smlm_diffusion.jobs.localize.work import parcel, unpack
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.card import ModelCard
from napari_smlm_diffusion.proposals.localizer import Localizer, Proposals
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.results.run_store import RunStore


class Sandwich(Localizer):
    """The brightest pixel of each frame, moved a little by what its neighbours are."""

    kind = "sandwich"
    context = (1, 1)

    def means(self, block):
        everything = np.arange(len(block.effective))
        for t in block.before + np.arange(len(block)):
            yield t, block.effective[np.abs(everything - t) <= 1].mean(0)

    def propose(self, block, microscope):
        positions = []
        for t, mean in self.means(block):
            place = np.unravel_index(block.effective[t].argmax(), mean.shape)
            positions.append(np.array(place) + 0.3 * np.tanh(mean[0, :2] / 100))
        places = torch.from_numpy(np.array(positions, np.float32))
        return Proposals(emitters=Emitters(torch.arange(len(block)), places))


class Dense(Sandwich):
    """The same with a density."""

    kind = "dense sandwich"

    @property
    def scale(self):
        return DensityScale(2, 1.0)

    def propose(self, block, microscope):
        found = super().propose(block, microscope)
        images = [np.kron(np.rint(mean), np.ones((2, 2))) for _, mean in self.means(block)]
        density = torch.from_numpy(np.array(images, np.float32))
        return Proposals(emitters=found.emitters, density=density)


class Watched(PhiLocalizer):
    """phi as if it needed neighbours; keeps what it was given."""

    kind = "watched"
    context = (2, 1)
    given: ClassVar[list] = []

    def propose(self, block, microscope):
        self.given.append((block.first, len(block), block.before, block.after))
        return super().propose(block, microscope)


@pytest.fixture
def model_of(tmp_path):
    def make(localizer):
        card = ModelCard(
            name="toy", package_version="0", localizer=localizer, networks={}, prior={}
        )
        checkpoint.save(tmp_path / "toy.safetensors", {}, card)
        return str(tmp_path / "toy.safetensors")

    return make


@pytest.fixture
def plan_of(movie_file, model_of):
    stacks = []

    def make(localizer, **settings):
        stacks.append(open_stack(movie_file))
        settings = {"model": model_of(localizer), "psf_sigma_nm": 130} | settings
        return prepare(stacks[-1], LocalizeSettings(**settings))

    yield make
    for stack in stacks:
        stack.close()


def together(plan):
    return joined([step.info["found"] for step in localize(plan) if "found" in step.info])


@pytest.mark.parametrize("kind", ["sandwich", "dense sandwich"])
def test_a_chunked_run_equals_a_whole_one(plan_of, monkeypatch, kind):
    whole = together(plan_of(kind))
    assert len(whole.table) == 24
    monkeypatch.setattr(chunks, "CHUNK_PIXELS", 5 * 28 * 36)
    for batch in (None, 2):
        parts = together(plan_of(kind, batch=batch))
        pd.testing.assert_frame_equal(parts.table, whole.table)
        if kind == "dense sandwich":
            np.testing.assert_array_equal(parts.density, whole.density)
    # The ends of a run are not those of the movie.
    middle = together(plan_of(kind, frames="7:15")).table
    expected = whole.table[whole.table["frame"].between(7, 14)].reset_index(drop=True)
    pd.testing.assert_frame_equal(middle, expected)


def test_the_neighbours_matter(plan_of):
    """Or the test above would show nothing."""
    alone = plan_of("sandwich", batch=1)
    alone.estimator.localizer.context = (0, 0)
    moved = together(alone).table["y_nm"] - together(plan_of("sandwich")).table["y_nm"]
    assert (moved != 0).mean() > 0.9


def test_shared_among_workers_it_is_the_same(plan_of, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_PIXELS", 4 * 28 * 36)
    plan = plan_of("dense sandwich")
    whole = together(plan)
    todo = list(work_chunks(plan))
    found = []
    for task in (todo[:2], todo[2:]):
        work = unpack(parcel(plan), plan.stack)
        found.append(joined([step["found"] for step in localize_chunks(work, task)]))
    both = joined(found)
    pd.testing.assert_frame_equal(both.table, whole.table)
    np.testing.assert_array_equal(both.density, whole.density)


def test_at_every_seam_and_beside_sampled_frames_there_is_context(
    plan_of, tiny_psi_model, tmp_path, monkeypatch
):
    monkeypatch.setattr(chunks, "CHUNK_PIXELS", 4 * 28 * 36)
    tensors, card = checkpoint.load(tiny_psi_model)
    path = tmp_path / "watched.safetensors"
    checkpoint.save(path, tensors, card.model_copy(update={"localizer": "watched"}))
    plan = plan_of("watched", model=str(path), samples=2, steps=2, sample_frames="5:7")
    Watched.given.clear()
    together(plan)
    assert Watched.given == [
        (0, 4, 0, 1),
        (4, 1, 2, 1),
        (5, 1, 2, 1),
        (6, 1, 2, 1),
        *((first, 4, 2, 1) for first in range(7, 23, 4)),
        (23, 1, 2, 0),
    ]


def test_without_a_density_its_files_are_left_out(plan_of, movie_file, tmp_path):
    plan = plan_of("sandwich")
    folder = tmp_path / "out"
    folder.mkdir()
    store = RunStore.create(folder, identity(plan, movie_file))
    for _ in localize_to_folder(plan, folder, store):
        pass
    written = {path.name for path in folder.iterdir()}
    assert "localizations.csv" in written
    assert not any(name.endswith(".tif") for name in written)
    run = json.loads((folder / "run.json").read_text())
    assert run["status"] == "complete"
    assert run["rows"] == 24
    assert run["model"]["upsampling"] is run["model"]["kernel_sigma"] is None
    assert any("positions only" in note for note in run["notes"])


def test_an_unknown_localizer_is_refused_by_name(model_of):
    from napari_smlm_diffusion.models.model import load_model

    with pytest.raises(InputError, match=r"'nobody' is unknown.*phi.*sandwich"):
        estimator_of(load_model(model_of("nobody")))
