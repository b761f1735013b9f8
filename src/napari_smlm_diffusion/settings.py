"""What a user sets: each object is at once the form, the tooltip, the option and the saved JSON."""

from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_smlm_diffusion.errors import InputError


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
            raise InputError(self._explain(error)) from error

    @classmethod
    def _explain(cls, error: ValidationError) -> str:
        lines = []
        for problem in error.errors():
            # The path to the value; empty when a check of several fields together failed.
            path = problem["loc"]
            name = ".".join(str(step) for step in path)
            field = cls.model_fields.get(str(path[0])) if path else None
            meaning = f" ({field.description})" if field and field.description else ""
            if problem["type"] == "extra_forbidden":
                lines.append(f"{name} is unknown; the names are {', '.join(cls.model_fields)}")
            elif problem["type"] == "missing":
                lines.append(f"{name} is missing{meaning}")
            else:
                rule = problem["msg"].replace("Input should be", "must be", 1)
                rule = rule.removeprefix("Value error, ")
                # A check of several fields says itself what it got.
                got = f", got {problem['input']!r}" if path else ""
                lines.append(f"{name} {rule}{got}{meaning}".lstrip())
        return f"{cls.__name__}: " + "; ".join(lines)


class Roi(NamedTuple):
    """Part of the field of view, camera pixels: rows ``y0:y1`` and columns ``x0:x1``."""

    y0: int
    y1: int
    x0: int
    x1: int
