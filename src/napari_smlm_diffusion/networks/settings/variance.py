"""What rebuilds the variance head."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from napari_smlm_diffusion.networks.settings.network import Network, needed
from napari_smlm_diffusion.networks.settings.phi import PhiSettings

if TYPE_CHECKING:
    from napari_smlm_diffusion.networks.variance import VarianceHead


class VarianceSettings(Network):
    """The variance head reads phi's features: their number is all that there is to say."""

    kind: Literal["variance"] = "variance"

    def build(self, others: Mapping[str, Network]) -> "VarianceHead":
        """Return an untrained head on phi."""
        from napari_smlm_diffusion.networks.variance import VarianceHead

        return VarianceHead(needed(others, "phi", PhiSettings).channels)
