"""The errors a user can meet, and what a run remarks: what was wrong, was got and is allowed.

Which settings a sentence is about travels beside it, by their names in Python. Each face puts its
own names before the sentence: ``psf_sigma_nm``, ``--psf-sigma`` or “PSF sigma”.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Remark:
    """A sentence for the user.

    Attributes
    ----------
    text : str
        Names no setting.
    fields : tuple of str
        The settings to look at; of one inside another the path, as in ``prior.photons``.
    """

    text: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return worded(self)


class SmlmError(Exception):
    """Base of every error raised on purpose.

    Never a ``RuntimeError``: inside a generator worker of napari a ``RuntimeError`` is swallowed,
    so that neither ``errored`` nor ``finished`` is emitted.

    Parameters
    ----------
    said : str or Remark
        What is wrong; several if several things are.
    field : str or sequence of str
        The settings that those of `said` are about that are plain text.
    """

    def __init__(self, *said: str | Remark, field: str | Sequence[str] = ()) -> None:
        super().__init__(*said)
        fields = (field,) if isinstance(field, str) else tuple(field)
        self.remarks = tuple(s if isinstance(s, Remark) else Remark(s, fields) for s in said)

    def __str__(self) -> str:
        return worded(self)


class InputError(SmlmError):
    """What the user gave (a file, an option, a setting) cannot be used. Exit code 2."""


def require(ok: bool, name: str, allowed: str, got: object) -> None:
    """Refuse the value of a setting, or of an argument, that is not `ok`.

    Raises
    ------
    InputError
    """
    if not ok:
        raise InputError(f"must be {allowed}, got {got}", field=name)


class OutputError(SmlmError):
    """A result cannot be written, for example because the disk is full. Exit code 1."""


def worded(said: Remark | SmlmError, name_of: Callable[[str], str] = str) -> str:
    """Return a remark or an error with the names that a face has for settings.

    Parameters
    ----------
    said : Remark or SmlmError
    name_of : callable
        What the face calls a setting.
    """
    if isinstance(said, SmlmError):
        return "; ".join(worded(remark, name_of) for remark in said.remarks)
    if not said.fields:
        return said.text
    # A sentence that begins with its verb has the names for its subject.
    colon = "" if said.text.startswith(("is ", "must ")) else ":"
    return f"{', '.join(map(name_of, said.fields))}{colon} {said.text}"
