"""What a model's card says of its samples, in words; read without torch."""

from pathlib import Path
from typing import Any

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models.card import ModelCard, load_card
from napari_smlm_diffusion.models.library import resolve


def read_card(model: str | Path) -> ModelCard | None:
    """Return the card of a model, by name or file; None where it cannot be read.

    Why not is said when the model is loaded.
    """
    try:
        return load_card(resolve(str(model)))
    except InputError:
        return None


def calibration_words(
    card: ModelCard | None, sampler: str | None = None, steps: int | None = None
) -> str:
    """Return what the samples of a model were calibrated with, and with what result.

    `sampler` and `steps` are what the user has chosen; None is as calibrated.
    """
    if card is None:
        return ""
    if card.psi is None:
        return (
            f"Model {card.name} draws no samples (no diffusion model); its variance head still "
            "works."
        )
    usual = card.psi.sampling
    said = [f"Model {card.name}, made for {usual.sampler} in {usual.steps} steps."]
    verdict = samples_report(card)
    if verdict is not None:
        said.append(f"Calibration of its samples: {verdict.get('verdict')}")
        tried = verdict.get("sampling", {})
        if (tried.get("sampler"), tried.get("steps")) != (usual.sampler, usual.steps):
            said.append(
                f"⚠ That was with {tried.get('sampler')} in {tried.get('steps')} steps."
                if tried else "⚠ With which sampler is not said."
            )  # fmt: skip
    elif rows := _inside_90(card.calibration):
        low, high = 100 * min(rows), 100 * max(rows)
        said.append(
            "Its card has no calibration of the samples, only of the molecules of the variance "
            f"head: 90 % intervals of their positions hold the truth in {low:.0f} to {high:.0f} % "
            "of cases (simulated)."
        )
    else:
        said.append("⚠ Its card has no calibration: nobody has checked that these SDs are true.")
    if refined := card.calibration.get("refined"):
        said.append(f"Refined runs ({refined.get('refine')}): {refined.get('verdict')}")
    chosen = (sampler or usual.sampler, steps or usual.steps)
    if chosen != (usual.sampler, usual.steps):
        said.append(
            f"⚠ {chosen[0]} in {chosen[1]} steps is not what it is calibrated with: SDs may be "
            "too wide or too narrow."
        )
    return "\n".join(said)


def upsampling_of(card: ModelCard | None) -> int:
    """Fine pixels along a camera pixel; 4, that of all shipped models, where it is not known."""
    return 4 if card is None else card.phi.upsampling


def samples_report(card: ModelCard) -> dict[str, Any] | None:
    """Return the report of `jobs.calibrate.run` on a card; older ones hold nothing else."""
    for found in (card.calibration.get("samples"), card.calibration):
        if isinstance(found, dict) and "verdict" in found:
            return found
    return None


def _inside_90(calibration: dict[str, Any]) -> list[float]:
    rows = calibration.get("papers_setting")
    if not isinstance(rows, list):
        return []
    return [float(row["inside_90"][0]) for row in rows if "inside_90" in row]
