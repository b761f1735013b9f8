"""Cards of older formats as cards of today."""

import re
from typing import Any

from napari_smlm_diffusion.errors import InputError

FORMAT_VERSION = 3


def migrated(card: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of a card of any known format in today's.

    Raises
    ------
    InputError
        If the format is newer.
    """
    version = card["format_version"]
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise InputError(
            f"has format {version}, newer than the {FORMAT_VERSION} this version reads; "
            "update napari-smlm-diffusion"
        )
    return card if version == FORMAT_VERSION else _from_2(card)


def _from_2(card: dict[str, Any]) -> dict[str, Any]:
    """Before 3 the networks were named by the stages that had trained them."""
    card = dict(card)
    phi, psi, stages = card.pop("network"), card.pop("psi", None), card.get("stages", {})
    networks = {"phi": {"kind": "phi", **phi}}
    if "variance" in stages:
        networks["variance"] = {"kind": "variance"}
    if "rows" in stages:
        networks["rows"] = {"kind": "localization head"}
    if psi is not None:
        networks["psi"] = {"kind": "psi", **psi}
        if "distil" in stages:
            # Psi as it was before: with the usual sampling, and nothing measured of its samples.
            own = {k: v for k, v in psi.items() if k not in ("sampling", "row_scale")}
            networks["teacher"] = {"kind": "psi", **own}
    if "calibration" in card:
        card["calibration"] = _said_of_localizations(card["calibration"])
    return {**card, "format_version": FORMAT_VERSION, "networks": networks}


def _said_of_localizations(value: Any) -> Any:
    """Diagnostics by their names of today: a localization was called a row."""
    if isinstance(value, dict):
        return {key: _said_of_localizations(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_said_of_localizations(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"\brow(s?)\b", r"localization\1", value)
    return value
