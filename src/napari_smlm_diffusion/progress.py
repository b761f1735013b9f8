"""What a job yields while it runs."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

R = TypeVar("R")


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Parameters
    ----------
    done : int
        Steps finished so far.
    total : int
        Steps in all; 0 while that is not known, for example while a model loads.
    message : str
        What is being done, for a person.
    info : Mapping
        Numbers and partial results of this step, for whoever drives the job.

    Raises
    ------
    ValueError
        When `done` is negative, or more than a known `total`: a mistake in the job itself.
    """

    done: int
    total: int
    message: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.done < 0 or self.total < 0 or (self.total and self.done > self.total):
            raise ValueError(
                f"Progress needs 0 <= done <= total (or total 0 for not known), "
                f"got done={self.done}, total={self.total}"
            )

    @property
    def fraction(self) -> float | None:
        """Part done, 0 to 1; None while the total is not known."""
        return self.done / self.total if self.total else None


def result_of(
    job: Generator[Progress, None, R], told: Callable[[Progress], object] | None = None
) -> R:
    """Do a job to its end and return what it does; `told`, if any, is called with each step."""
    while True:
        try:
            step = next(job)
        except StopIteration as end:
            result: R = end.value
            return result
        if told is not None:
            told(step)
