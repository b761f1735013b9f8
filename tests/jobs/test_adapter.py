"""What leaves a job: never a RuntimeError, which napari's worker would swallow."""

import pytest

from napari_smlm_diffusion.errors import InputError, OutputError, SmlmError
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.progress import Progress


def job_that(raises):
    @as_job
    def job():
        yield Progress(1, 2)
        raise raises

    return job()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (RuntimeError("mat1 and mat2\n   cannot be multiplied"), "mat1 and mat2 cannot be"),
        (RuntimeError(), "the computation failed: RuntimeError"),
        (NotImplementedError("no MPS kernel"), "no MPS kernel"),
        (RuntimeError("CUDA out of memory. Tried ..."), "batch, roi, device: out of CUDA memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "batch, roi: out of memory"),
        (MemoryError(), "batch, roi: out of memory"),
    ],
)
def test_what_torch_and_the_machine_raise_becomes_ours(error, says):
    job = job_that(error)
    assert next(job).done == 1
    with pytest.raises(SmlmError, match=says) as caught:
        next(job)
    assert not isinstance(caught.value, InputError | OutputError)
    assert caught.value.__cause__ is error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [InputError("--gain"), OutputError("full"), TypeError("a bug")])
def test_everything_else_passes_as_it_is(error):
    job = job_that(error)
    next(job)
    with pytest.raises(type(error)) as caught:
        next(job)
    assert caught.value is error


def test_the_answer_of_a_job_is_handed_on():
    @as_job
    def job(answer):
        """Say it."""
        yield Progress(0, 1)
        return answer

    running = job(42)
    next(running)
    with pytest.raises(StopIteration) as end:
        next(running)
    assert end.value.value == 42
    assert job.__doc__ == "Say it."


def test_what_the_driver_throws_in_reaches_the_job():
    seen = []

    @as_job
    def job():
        try:
            yield Progress(0, 1)
        except GeneratorExit:
            seen.append("closed")
            raise

    running = job()
    next(running)
    running.close()
    assert seen == ["closed"]
