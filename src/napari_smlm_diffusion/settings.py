"""What a user sets: each object is at once the form, the tooltip, the option and the saved JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_smlm_diffusion.errors import InputError, Remark


class Settings(BaseModel):
    """Base of all settings: frozen, no unknown names, errors that a user can act on.

    Raises
    ------
    InputError
        Naming each wrong field, what was got, what is allowed, and what the field means.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            said = [remark for problem in error.errors() for remark in self._remarks(problem)]
            raise InputError(*said) from error

    # Settings within settings are built by pydantic and not by the above, so that what is wrong in
    # them is named with its whole path, and with all else that is wrong.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def _remarks(cls, problem: Any) -> Iterator[Remark]:
        # The path to the value; empty when a check of several fields together failed.
        path = ".".join(map(str, problem["loc"]))
        raised = getattr(problem.get("ctx", {}).get("error"), "args", ())
        if raised and isinstance(raised[0], InputError):  # of settings that were built apart
            for remark in raised[0].remarks:
                within = tuple(f"{path}.{field}" for field in remark.fields)
                yield Remark(remark.text, within or (path,))
            return
        # Of a setting inside of this one only the name is known here.
        own = len(problem["loc"]) == 1 or (path and isinstance(problem["loc"][-1], int))
        field = cls.model_fields.get(str(problem["loc"][0])) if own else None
        meaning = f" ({field.description})" if field and field.description else ""
        rule = problem["msg"].replace("Input should be", "must be", 1).removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            known = f"; the names are {', '.join(cls.model_fields)}" if own else ""
            yield Remark(f"{path} is unknown{known}")
        elif problem["type"] == "missing":
            yield Remark(f"is missing{meaning}", (path,))
        elif path:
            yield Remark(f"{rule}, got {problem['input']}{meaning}", (path,))
        else:  # a check of several fields says itself what it got
            yield Remark(rule)


def read_json(path: str | Path, what: str = "settings") -> dict[str, Any]:
    """Return the JSON object in a file, which holds `what`.

    Raises
    ------
    InputError
        If the file is missing or holds anything else.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); it must hold {what}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold one JSON object with {what}")
    return values


class Roi(NamedTuple):
    """Part of the field of view, camera pixels: rows ``y0:y1`` and columns ``x0:x1``."""

    y0: int
    y1: int
    x0: int
    x1: int
