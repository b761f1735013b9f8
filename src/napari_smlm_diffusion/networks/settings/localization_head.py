"""What rebuilds the head of the localizations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from napari_smlm_diffusion.networks.settings.network import Network

if TYPE_CHECKING:
    from napari_smlm_diffusion.networks.localization_head import LocalizationHead


class LocalizationHeadSettings(Network):
    """The head of the localizations has no arguments."""

    kind: Literal["localization head"] = "localization head"
    stays_on_cpu: ClassVar[bool] = True

    def build(self, others: Mapping[str, Network] | None = None) -> "LocalizationHead":
        """Return an untrained head, which needs no other network."""
        from napari_smlm_diffusion.networks.localization_head import LocalizationHead

        del others
        return LocalizationHead()
