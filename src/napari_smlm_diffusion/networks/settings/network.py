"""The family of networks that a model's card can list."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Self, TypeVar

from pydantic import Field, model_validator

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.kinds import Kind

if TYPE_CHECKING:
    from torch import nn

Count = Annotated[int, Field(ge=1)]
_Other = TypeVar("_Other", bound="Network")


class Network(Kind):
    """Arguments that rebuild one network of a model."""

    home: ClassVar[str] = "napari_smlm_diffusion.networks.settings"
    newest_input: ClassVar[int] = 1
    """Version of what this package gives the network; weights of a newer one get nonsense."""
    stays_on_cpu: ClassVar[bool] = False
    """Whether it is too small for another device to be worth the way."""

    input_version: int = Field(1, ge=1, description="version of what the network is given")

    @abstractmethod
    def build(self, others: Mapping[str, "Network"]) -> "nn.Module":
        """Return the untrained network; `others` are those of the same card, by name."""

    @model_validator(mode="after")
    def _known_input(self) -> Self:
        if self.input_version > self.newest_input:
            raise InputError(
                f"{type(self).__name__}: input_version {self.input_version} is newer than the "
                f"{self.newest_input} this version knows; update napari-smlm-diffusion"
            )
        return self


def needed(others: Mapping[str, Network], name: str, kind: type[_Other]) -> _Other:
    """Return another network that one is built on.

    Raises
    ------
    InputError
        If there is none of this name and kind.
    """
    found = others.get(name)
    if not isinstance(found, kind):
        raise InputError(f"there is no network {name}, which others are built on")
    return found
