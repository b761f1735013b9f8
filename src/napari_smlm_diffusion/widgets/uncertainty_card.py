"""What a model's card says of its samples, in words; read without torch."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

# As `networks.checkpoint` writes it; that module brings torch.
_CARD_KEY = "napari_smlm_diffusion"
_WEIGHTS = Path(__file__).parent.parent / "weights"


def read_card(model: str) -> dict[str, Any]:
    """Return the card of a shipped model or of a model file; empty where it cannot be read.

    Why not is said when the model is loaded.
    """
    shipped = _WEIGHTS / f"{model}.safetensors"
    try:
        with safe_open(shipped if shipped.is_file() else model, "np") as handle:
            card = json.loads((handle.metadata() or {})[_CARD_KEY])
    except (SafetensorError, OSError, ValueError, KeyError):
        return {}
    return card if isinstance(card, dict) else {}


def calibration_words(
    card: dict[str, Any], sampler: str | None = None, steps: int | None = None
) -> str:
    """Return what the samples of a model were calibrated with, and with what result.

    Parameters
    ----------
    card : dict
        A model card.
    sampler, steps
        What the user has chosen; None is as calibrated.
    """
    if not card:
        return ""
    name, psi = card.get("name", ""), card.get("psi")
    if not psi:
        return f"Model {name} draws no samples (no diffusion model); its variance head still works."
    usual = psi.get("sampling", {})
    with_ = f"{usual.get('sampler')} in {usual.get('steps')} steps"
    said = [f"Model {name}, made for {with_}."]
    verdict = _verdict(card.get("calibration") or {})
    if verdict is not None:
        said.append(f"Calibration of its samples: {verdict.get('verdict')}")
        tried = verdict.get("sampling", {})
        if (tried.get("sampler"), tried.get("steps")) != (usual.get("sampler"), usual.get("steps")):
            said.append(
                f"⚠ That was with {tried.get('sampler')} in {tried.get('steps')} steps."
                if tried else "⚠ With which sampler is not said."
            )  # fmt: skip
    elif rows := _inside_90(card.get("calibration") or {}):
        low, high = 100 * min(rows), 100 * max(rows)
        said.append(
            "Its card has no calibration of the samples, only of the molecules of the variance "
            f"head: 90 % intervals of their positions hold the truth in {low:.0f} to {high:.0f} % "
            "of cases (simulated)."
        )
    else:
        said.append("⚠ Its card has no calibration: nobody has checked that these SDs are true.")
    chosen = (sampler or usual.get("sampler"), steps or usual.get("steps"))
    if chosen != (usual.get("sampler"), usual.get("steps")):
        said.append(
            f"⚠ {chosen[0]} in {chosen[1]} steps is not what it is calibrated with: SDs may be "
            "too wide or too narrow."
        )
    return "\n".join(said)


def upsampling_of(card: dict[str, Any]) -> int:
    """Fine pixels along a camera pixel; 4, that of all shipped models, where it is not known."""
    return int((card.get("network") or {}).get("upsampling", 4))


def _verdict(calibration: dict[str, Any]) -> dict[str, Any] | None:
    """Find the report of `jobs.calibrate`, which may lie beside other measurements."""
    for found in (calibration, *calibration.values()):
        if isinstance(found, dict) and "verdict" in found:
            return found
    return None


def _inside_90(calibration: dict[str, Any]) -> list[float]:
    rows = calibration.get("papers_setting")
    if not isinstance(rows, list):
        return []
    return [float(row["inside_90"][0]) for row in rows if "inside_90" in row]
