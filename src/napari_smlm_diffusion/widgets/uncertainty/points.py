"""Molecules of samples or draws: they take the place of the variance head's in the same frames."""

from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image, Points

from napari_smlm_diffusion.jobs.localize.record import provenance
from napari_smlm_diffusion.jobs.uncertainty.live_samples import FEWEST_SAMPLES, LiveSamples
from napari_smlm_diffusion.localizations import together
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.layers import KEY
from napari_smlm_diffusion.results.point_layers import points_layer
from napari_smlm_diffusion.results.subset import LARGEST, spread
from napari_smlm_diffusion.settings import Roi
from napari_smlm_diffusion.widgets.localize import layers as localize_layers
from napari_smlm_diffusion.widgets.shared.viewer_layers import (
    Where,
    about,
    add_layer,
    is_localizations,
    put_rows,
)


def put_molecules(viewer: Any, live: LiveSamples, status: str, where: Where) -> str:
    """Put the molecules of the samples into the layer of this movie's, or a new one; say so."""
    plan = live.plan
    short = [k for k in live.shown if k < FEWEST_SAMPLES]
    why = (
        f"K = {short[-1]} is too few for a molecule's uncertainty ({FEWEST_SAMPLES} are needed): "
        f"{'its molecules' if len(short) < len(live.shown) else 'molecules'} stay as they were."
        if short else ""
    )  # fmt: skip
    if not live.tables:
        return why
    start = plan.frames[0]
    frames = [start + place for place in live.tables]
    table = together(list(live.tables.values()))
    known = live.about(status) | provenance(plan, status, max(frames) + 1)
    new = Dataset(
        table=table,
        pixel_size_nm=plan.microscope.pixel_size_nm,
        frame_shape=plan.stack.shape,
        provenance=known,
    )
    said_of = "1 molecule" if len(table) == 1 else f"{len(table):,} molecules"
    layer = layer_of(viewer, new, where)
    if layer is None and not len(table):
        said = f"There are no molecules in the {live.what}."
    elif layer is None:
        _add(viewer, new, where, f"molecules ({live.what})")
        said = f"{said_of} of the {live.what} added."
    else:
        before: Dataset = layer.metadata[KEY]["dataset"]
        merged = replaced(before, new, frames, plan.roi)
        _change(viewer, layer, merged)
        said = f"{said_of} of the {live.what} put into “{layer.name}”."
        if before.filter is not None:
            said += " Its filter has to be applied to them: see Filter & export."
    return f"{said} {why}".strip()


def layer_of(viewer: Any, new: Dataset, where: Where) -> Points | None:
    """Return the newest layer with localizations of the same movie at the same place."""
    for layer in reversed(list(viewer.layers)):
        if not is_localizations(layer):
            continue
        known: Dataset = layer.metadata[KEY]["dataset"]
        same = (
            _source(known) == _source(new)
            and known.frame_shape == new.frame_shape
            and np.isclose(known.pixel_size_nm, new.pixel_size_nm, rtol=1e-6)
            and np.allclose(layer.translate[-2:], where.place.origin_nm, atol=1e-3)
        )
        if same and [str(unit) for unit in layer.units[-2:]] == ["nanometer", "nanometer"]:
            return layer
    return None


def replaced(before: Dataset, new: Dataset, frames: list[int], roi: Roi) -> Dataset:
    """Return `before` with those of `new` in place of its own in these frames and this region.

    What a filter said is taken back, for it has not seen the new ones; its settings stay.
    """
    table, size = before.table, before.pixel_size_nm
    gone = table["frame"].isin(frames).to_numpy().copy()
    for name, low, high in (("y_nm", roi.y0, roi.y1), ("x_nm", roi.x0, roi.x1)):
        place = table[name].to_numpy() / size
        gone &= (place >= low - 0.5) & (place < high - 0.5)
    fresh = new.table
    kept = table[~gone]
    if "id" in kept.columns:  # the new ones get numbers of their own
        first = int(table["id"].max()) + 1 if len(table) else 0
        fresh = fresh.assign(id=np.arange(first, first + len(fresh)))
    kept = kept.drop(columns=["z_nm", "uncertainty_z_nm"], errors="ignore")
    sampled = [*before.provenance.get("sampled", []), dict(new.provenance)]
    return replace(
        before,
        table=together([kept, fresh]),
        kept=None,
        reason=None,
        provenance={**before.provenance, "sampled": sampled},
    )


def _source(dataset: Dataset) -> str | None:
    source: str | None = dataset.provenance.get("input", {}).get("source")
    return source


def _change(viewer: Any, layer: Points, dataset: Dataset) -> None:
    """Give a layer another table; what a filter drew, and chose from, goes with the one before."""
    known = about(layer)
    before = known["dataset"].provenance
    kept = {name: value for name, value in known.items() if name not in ("drawn", "offered")}
    layer.metadata[KEY] = kept | {"dataset": dataset, "rows": None}
    if "shows" in known:
        localize_layers.show_all(viewer, layer, known["shows"] == "all")
    else:
        rows = spread(np.arange(len(dataset.table), dtype=np.intp), LARGEST)
        put_rows(layer, dataset, rows)
        layer.shown = np.ones(len(rows), bool)
    # The image of the run is known by how it was made, which both still have in common.
    for other in viewer.layers:
        if isinstance(other, Image) and about(other).get("provenance") == dict(before):
            about(other)["provenance"] = dict(dataset.provenance)


def _add(viewer: Any, dataset: Dataset, where: Where, name: str) -> None:
    data, options, _ = points_layer(
        dataset,
        origin_nm=where.place.origin_nm,
        by_frame=True,
        name=name,
        face_color="transparent",
        border_color="#7dff8a",
        border_width=0.12,
        size=1.2 * dataset.pixel_size_nm,
    )
    place = np.asarray(data, np.float64).reshape(-1, 3)
    add_layer(viewer, Points(place, **where.in_time(options)))
