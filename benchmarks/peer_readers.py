"""Our exports in the peers' own readers, and whether their molecules are where we meant them.

    python benchmarks/peer_readers.py PYTHON [PYTHON ...] [--rows N]

Each PYTHON is an interpreter in whose environment some of the peers are installed (Picasso,
locan, napari-storm, DECODE); they need not be compatible with ours, nor with each other. A table
is written in every format here; the readers run there, and their numbers are put back into our
conventions by what each peer itself holds of its origin, axes and frames. Printed are the rows that
were read and the largest difference from what was written.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PIXEL = 108.0
SIDE = 64


class Probe(NamedTuple):
    """A reader of a peer, the file it gets, and where it puts the first pixel and frame."""

    package: str
    reader: str
    file: str
    load: Callable[[str], tuple[Any, Any, Any, Any]]  # frame, x, y, z
    nm_per_unit: float
    first_pixel: float  # of its centre, px
    first_frame: int


def picasso_locs(path: str) -> tuple[Any, Any, Any, Any]:
    """Picasso's own table."""
    from picasso import io

    locs, _ = io.load_locs(path)
    return locs["frame"], locs["x"], locs["y"], locs["z"]


def picasso_thunderstorm(path: str) -> tuple[Any, Any, Any, Any]:
    """Picasso's importer of ThunderSTORM's tables."""
    from picasso import io

    locs, _ = io.import_ts(path, PIXEL)
    return locs["frame"], locs["x"], locs["y"], locs["z"]


def locan(reader: str) -> Callable[[str], tuple[Any, Any, Any, Any]]:
    """Return a reader of locan's, "module.function"."""

    def load(path: str) -> tuple[Any, Any, Any, Any]:
        import locan.locan_io.locdata as io

        part, function = reader.split(".")
        table = getattr(getattr(io, part), function)(path).data
        axes = [table[f"position_{axis}"] for axis in "xyz"]
        return table["frame"], *axes

    return load


def storm(method: str) -> Callable[[str], tuple[Any, Any, Any, Any]]:
    """Return a reader of napari-storm's, by its method."""

    def load(path: str) -> tuple[Any, Any, Any, Any]:
        from napari_storm.core import PIXEL_SIZE_NM, StaticMetadataProvider
        from napari_storm.localization_dataset_types.storm_class import StormDataClass

        answers = (
            {}
            if method == "load_csv"
            else {"metadata_provider": StaticMetadataProvider({PIXEL_SIZE_NM: str(PIXEL)})}
        )
        loaded = getattr(StormDataClass(), method)(path, "exported", **answers)
        data = loaded[0] if isinstance(loaded, list) else loaded
        scale = data.position_scale_nm()
        locs = data.locs_all
        axes = [np.asarray(locs[f"{axis}_pos_pixels"]) * scale for axis in "xyz"]
        return locs["frame_number"], *axes

    return load


def decode(path: str) -> tuple[Any, Any, Any, Any]:
    """DECODE's own table, in nm."""
    from decode.utils import emitter_io

    data, meta, _ = emitter_io.load_h5(path)
    down, along = (float(edge) for edge in meta["px_size"])
    xyz = data["xyz"].numpy()  # x runs down the image
    return data["frame_ix"].numpy(), xyz[:, 1] * along, xyz[:, 0] * down, xyz[:, 2]


def decode_smap(path: str) -> tuple[Any, Any, Any, Any]:
    """DECODE's importer of SMAP's tables."""
    from decode.utils import emitter_io

    data, _, _ = emitter_io.load_smap(path)
    xyz = data["xyz"].numpy()
    return data["frame_ix"].numpy(), xyz[:, 0], xyz[:, 1], xyz[:, 2]


def locan_decode(path: str) -> tuple[Any, Any, Any, Any]:
    """Locan's reader of DECODE's tables, which leaves the axes as they are."""
    frame, x, y, z = locan("decode_io.load_decode_file")(path)
    return frame, y, x, z  # as in the file: x runs down the image


PROBES = (
    Probe("picassosr", "io.load_locs", "picasso.hdf5", picasso_locs, PIXEL, 0, 0),
    # It takes off the first frame and leaves the origin at the corner.
    Probe("picassosr", "io.import_ts", "thunderstorm.csv", picasso_thunderstorm, PIXEL, 0.5, 0),
    Probe(
        "locan",
        "load_thunderstorm_file",
        "thunderstorm.csv",
        locan("thunderstorm_io.load_thunderstorm_file"),
        1,
        0.5,
        1,
    ),
    Probe(
        "locan",
        "load_thunderstorm_file",
        "csv.csv",
        locan("thunderstorm_io.load_thunderstorm_file"),
        1,
        0.5,
        1,
    ),
    Probe("locan", "load_SMLM_file", "smlm.smlm", locan("smlm_io.load_SMLM_file"), 1, 0.5, 1),
    Probe("locan", "load_decode_file", "decode.h5", locan_decode, PIXEL, 0, 0),
    Probe("locan", "load_SMAP_file", "smap-7.3_sml.mat", locan("smap_io.load_SMAP_file"), 1, 1, 1),
    Probe("napari-storm", "load_hdf5", "picasso.hdf5", storm("load_hdf5"), 1, 0, 0),
    Probe("napari-storm", "load_csv", "thunderstorm.csv", storm("load_csv"), 1, 0.5, 1),
    Probe("napari-storm", "load_smlm", "smlm.smlm", storm("load_smlm"), 1, 0.5, 1),
    Probe("decode", "emitter_io.load_h5", "decode.h5", decode, 1, 0, 0),
    Probe("decode", "emitter_io.load_smap", "smap-7.3_sml.mat", decode_smap, 1, 1, 0),
)


def read_here(folder: Path) -> None:
    """Run the readers that are installed beside this interpreter; one line of JSON each."""
    for number, probe in enumerate(PROBES):
        module = {"picassosr": "picasso", "napari-storm": "napari_storm"}.get(
            probe.package, probe.package
        )
        try:
            __import__(module)
        except Exception:  # noqa: S112 (another interpreter may have it)
            continue
        found: dict[str, Any] = {"probe": number, "version": _version(probe.package)}
        try:
            frame, x, y, z = (np.ravel(v) for v in probe.load(str(folder / probe.file)))
            out = folder / f"probe-{number}.npy"
            np.save(out, np.stack([np.asarray(v, float) for v in (frame, x, y, z)]))
        except Exception as error:
            found["error"] = f"{type(error).__name__}: {error}"[:160]
        print("\n" + json.dumps(found), flush=True)


def write(folder: Path, rows: int) -> np.ndarray:
    """Write one table in every format; return frame, x, y and z."""
    from napari_smlm_diffusion import localizations
    from napari_smlm_diffusion.results.dataset import Dataset
    from napari_smlm_diffusion.results.formats import registry, smap_writer

    rng = np.random.default_rng(1)
    table = localizations.empty(["z_nm", "uncertainty_z_nm"]).reindex(range(rows))
    for name in table.columns:
        column = localizations.BY_NAME[name]
        if column.dtype == "float64":
            table[name] = rng.uniform(1, 30, rows)
        elif column.dtype == "int64":
            table[name] = 1
        else:
            table[name] = "head"
    table["frame"] = np.sort(rng.integers(0, 1000, rows))
    table.loc[0, "frame"] = 0  # Picasso's importer takes off the first frame that there is
    for axis in "xy":
        table[f"{axis}_nm"] = rng.uniform(0, (SIDE - 1) * PIXEL, rows)
    table["z_nm"], table["photons"] = rng.uniform(-400, 400, rows), rng.uniform(99, 999, rows)
    table = localizations.validate(table.astype({"frame": "int64", "multiplicity": "int64"}))
    dataset = Dataset(table=table, pixel_size_nm=PIXEL, frame_shape=(1000, SIDE, SIDE))
    for fmt in registry.WRITABLE:
        registry.write(folder / f"{fmt.name}{fmt.suffix}", dataset, fmt.name)
    # What a table of 2 GB and more becomes; locan and DECODE read no other.
    smap_writer.LARGEST_VERSION_5 = 0
    registry.write(folder / "smap-7.3_sml.mat", dataset, "smap")
    return table[["frame", "x_nm", "y_nm", "z_nm"]].to_numpy(float).T


def main() -> None:
    """Write here, read there, compare."""
    if sys.argv[2:3] == ["--inside"]:  # in an environment that may hold nothing of ours
        read_here(Path(sys.argv[3]))
        return
    from report import Report, parse, parser

    options = parser(__doc__)
    options.add_argument("python", nargs="+", help="interpreters that have the peers installed")
    options.add_argument("--rows", type=int, default=2000)
    args = parse(options, quick={"rows": 20})
    with tempfile.TemporaryDirectory() as name, Report(args) as report:
        folder = Path(name)
        truth = write(folder, args.rows)
        found: dict[int, dict[str, Any]] = {}
        for python in args.python:
            argv = [python, __file__, python, "--inside", name]
            done = subprocess.run(argv, capture_output=True, text=True, env=_environment())
            lines = [line for line in done.stdout.splitlines() if line.startswith('{"probe"')]
            if not lines:
                print(f"{python} has no peer: {done.stderr[-300:]}", file=sys.stderr)
            for line in lines:
                found.setdefault(json.loads(line)["probe"], json.loads(line))
        known = {"peer": None, "reader": None, "file": None, "localizations": None}
        off = {"frames off": 0, "x off, nm": 4, "y off, nm": 4, "z off, nm": 4}
        table = report.table("peer_readers", known | off)
        for number, probe in enumerate(PROBES):
            one = found.get(number)
            name = f"{probe.package} {one['version'] if one else ''}".strip()
            numbers = _compare(probe, one, folder / f"probe-{number}.npy", truth)
            table.row(name, probe.reader, probe.file, *numbers)


def _compare(
    probe: Probe, found: dict[str, Any] | None, file: Path, truth: np.ndarray
) -> list[object]:
    if found is None or "error" in found:
        return [found["error"] if found else "not installed", *4 * [None]]
    frame, x, y, z = np.load(file)
    if len(frame) != truth.shape[1]:
        return [f"{len(frame)} of {truth.shape[1]}", *4 * [None]]
    off = [frame - probe.first_frame - truth[0]]
    off += [
        (v * probe.nm_per_unit - probe.first_pixel * PIXEL) - t
        for v, t in zip((x, y), truth[1:3], strict=True)
    ]
    off.append(z - truth[3])
    return ["all", *(np.abs(values).max() for values in off)]


def _environment() -> dict[str, str]:
    # What makes ours importable here would put our packages before the peer's own there.
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    main()
