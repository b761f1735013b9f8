"""Settings that come in kinds, open to kinds nobody has thought of: a subclass joins its family.

::

    class PsfSettings(Kind):  # a family: its `kind` has no value
        home = "napari_smlm_diffusion.optics.psf"


    class Gaussian(PsfSettings):  # one of them, from here on
        kind: Literal["gaussian"] = "gaussian"
        sigma_nm: float

A field of type ``PsfSettings`` takes any of them, or the dictionary of one, and is saved in full.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.settings import Settings


def import_modules(package: str) -> None:
    """Import the modules of a package, so that what they define is known."""
    home = importlib.import_module(package)
    for module in pkgutil.iter_modules(home.__path__, f"{package}."):
        importlib.import_module(module.name)


T = TypeVar("T")


def found(known: Mapping[str, T], name: str, what: str, package: str) -> T:
    """Return the one of this name among those that are known once a package is imported.

    Raises
    ------
    InputError
        If there is none; `what` they are is said.
    """
    if name not in known:
        import_modules(package)
    if name not in known:
        raise InputError(f"{what} {name!r} is unknown; the {what}s are {', '.join(known)}")
    return known[name]


class Kind(Settings):
    """Base of a family of settings, told apart by their `kind`.

    Attributes
    ----------
    home : str or None
        Package whose modules define the family's kinds. They are imported when a kind is asked
        for that is not known yet, so that a new kind is a new file there and no list names it.
    """

    home: ClassVar[str | None] = None
    _family: ClassVar[dict[str, type["Kind"]]]

    kind: str

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if cls.model_fields["kind"].is_required():
            cls._family = {}
            return
        name = cls.model_fields["kind"].default
        there = cls._family.setdefault(name, cls)
        if there.__qualname__ != cls.__qualname__ or there.__module__ != cls.__module__:
            raise TypeError(f"two kinds are called {name!r}: {there} and {cls}")
        cls._family[name] = cls

    @classmethod
    def kinds(cls) -> dict[str, type["Kind"]]:
        """Return the kinds of this family by name, those of its home package among them."""
        if cls.home is not None:
            import_modules(cls.home)
        return dict(cls._family)

    @classmethod
    def parse(cls, values: Any) -> Self:
        """Return the settings that `values`, a dictionary, says; settings come back as they are.

        Raises
        ------
        InputError
            If there is no such kind in this family, or it does not take these values.
        """
        if isinstance(values, cls):
            return values
        name = values.get("kind") if isinstance(values, dict) else values
        found = cls._family.get(name) if isinstance(name, str) else None
        if found is None:
            known = cls.kinds()
            if not isinstance(name, str) or name not in known:
                raise InputError(f"kind {name!r} is unknown; the kinds are {', '.join(known)}")
            found = known[name]
        return found(**values)  # type: ignore[return-value]

    @classmethod
    def _parsed(cls, values: Any) -> Self:
        try:
            return cls.parse(values)
        except InputError as error:  # with the path to here, which the settings around this know
            raise ValueError(error) from error

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if not cls.model_fields["kind"].is_required():
            return handler(source)
        # "any": a field of the family's type is saved with all that its own kind has.
        return core_schema.no_info_plain_validator_function(
            cls._parsed, serialization=core_schema.simple_ser_schema("any")
        )
