"""A run shared among real worker processes: the same bytes, also when one of them dies."""

import json
import os
import signal

import pytest

from napari_smlm_diffusion.cli import main
from napari_smlm_diffusion.jobs.localize.chunks import grouped

distributed = pytest.importorskip("distributed")

RESULTS = ("localizations.csv", "density.tif", "variance.tif")
# distributed opens sockets and files that it leaves to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def cluster():
    """Two workers with a thread each, and a scheduler."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0
    ) as cluster:
        yield cluster


@pytest.fixture
def localize(tmp_path, movie_file, tiny_psi_model):
    def run(out, *arguments, code=0, movie=movie_file):
        argv = ["localize", movie, "--out", tmp_path / out, "--model", tiny_psi_model, *arguments]
        assert main([*map(str, argv), "--psf-sigma", "130"]) == code
        return tmp_path / out

    return run


def contents(folder, names=RESULTS):
    return {name: (folder / name).read_bytes() for name in names}


def test_the_same_bytes_as_on_one_machine(localize, cluster):
    given = ("--samples", 2, "--steps", 2, "--sample-frames", "8:12", "--keep-samples")
    names = (*RESULTS, "density_samples.tif", "variance_samples.tif", "samples.tif")
    alone = contents(localize("alone", *given), names)
    shared = localize("shared", *given, "--cluster", cluster.scheduler_address)
    assert contents(shared, names) == alone
    assert json.loads((shared / "run.json").read_text())["status"] == "complete"


def test_refined_too(localize, cluster):
    given, names = ("--refine", "map"), (*RESULTS, "residual.tif")
    alone = contents(localize("alone", *given), names)
    shared = localize("shared", *given, "--cluster", cluster.scheduler_address)
    assert contents(shared, names) == alone


def test_a_worker_that_dies_costs_nothing_but_time(localize, cluster, monkeypatch):
    from napari_smlm_diffusion import cluster as ours

    monkeypatch.setattr("napari_smlm_diffusion.jobs.localize.chunks.CHUNK_PIXELS", 28 * 36)
    alone = contents(localize("alone"))
    monkeypatch.setattr(ours, "TASK_PIXELS", 1)  # a task for each frame
    progress, killed = ours.Progress, []

    def kills(done, total, message, info):
        if done == 6:
            killed.append(next(iter(cluster.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)
        return progress(done, total, message, info)

    monkeypatch.setattr(ours, "Progress", kills)
    shared = localize("shared", "--cluster", cluster.scheduler_address)
    assert killed
    assert contents(shared) == alone


def test_an_address_without_a_scheduler_is_found_before_anything_is_made(
    localize, monkeypatch, capsys
):
    monkeypatch.setattr("napari_smlm_diffusion.cluster._SECONDS_FOR_A_SCHEDULER", 0.5)
    folder = localize("out", "--cluster", "tcp://127.0.0.1:1", code=2)
    assert "no dask scheduler answers at tcp:" in capsys.readouterr().err
    assert not folder.exists()


def test_a_worker_that_sees_another_movie_says_so(
    localize, cluster, tmp_path, movie_file, monkeypatch, capsys
):
    from napari_smlm_diffusion.frames import FrameStack

    # Here, not in the workers.
    monkeypatch.setattr(FrameStack, "fingerprint", lambda self: "another")
    folder = localize("out", "--cluster", cluster.scheduler_address, code=2)
    assert "sees another movie at" in capsys.readouterr().err
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"


def test_tasks_hold_chunks_that_follow_each_other():
    ranges = [(0, 4), (4, 8), (8, 10), (12, 16), (16, 17), (17, 18), (18, 22)]
    assert list(grouped(ranges, 8)) == [
        [(0, 4), (4, 8)],
        [(8, 10)],
        [(12, 16), (16, 17), (17, 18)],
        [(18, 22)],
    ]


def test_two_ways_to_share_exclude_each_other(localize, capsys):
    localize("out", "--workers", 2, "--cluster", "tcp://x:1", code=2)
    assert "not allowed with argument" in capsys.readouterr().err
    localize("out", "--workers", 0, code=2)
    assert "--workers must be 1 or more, got 0" in capsys.readouterr().err
