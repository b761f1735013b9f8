"""How long a long movie takes to open, in a script and in the viewer: 20,000 frames of 256 x 256.

    python benchmarks/opening.py [--folder DIR] [--frames 20000] [--viewer]

Each movie (2.6 GB of uint16) is written, opened in a process of its own, and deleted again. "open"
is until its frames can be read, "frame" is the last frame on top of that. With --viewer, "viewer"
is from `viewer.open` to the end of the first drawing in a fresh window, where napari and the plugin
load what any first image needs, and "again" the same once more in that window. Wall-clock time is
the user's; CPU time does not depend on what else the machine does. Memory is the peak of the
process above its libraries.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from report import Report, parse, parser

FRAME = (256, 256)


def blocks(frames: int):
    """Shot noise in blocks of 100 frames; the blocks repeat, which no reader notices."""
    block = np.random.default_rng(1).poisson(100, (100, *FRAME)).astype(np.uint16)
    for start in range(0, frames, 100):
        yield block[: min(100, frames - start)]


def contiguous(folder: Path, frames: int) -> Path:
    """One page that stands for all, as ImageJ writes a BigTIFF beyond 4 GB and tifffile always."""
    path = folder / "contiguous.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write((f for b in blocks(frames) for f in b), shape=(frames, *FRAME), dtype="u2")
    return path


def imagej(folder: Path, frames: int) -> Path:
    """ImageJ's own: one page, and the number of frames in its header."""
    path = folder / "imagej.tif"
    with tifffile.TiffWriter(path, imagej=True) as writer:
        writer.write((f for b in blocks(frames) for f in b), shape=(frames, *FRAME), dtype="u2")
    return path


def pages(folder: Path, frames: int) -> Path:
    """A page for each frame."""
    path = folder / "pages.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for block in blocks(frames):
            for frame in block:
                writer.write(frame, contiguous=False, metadata=None)
    return path


def ome(folder: Path, frames: int) -> Path:
    """A page for each frame, and an XML that lists them."""
    path = folder / "pages.ome.tif"
    planes = "".join(f'<TiffData FirstT="{t}" IFD="{t}" PlaneCount="1"/>' for t in range(frames))
    text = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" Type="uint16" DimensionOrder="XYCZT" '
        f'SizeX="{FRAME[1]}" SizeY="{FRAME[0]}" SizeC="1" SizeZ="1" SizeT="{frames}">{planes}'
        "</Pixels></Image></OME>"
    )
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for t, frame in enumerate(f for block in blocks(frames) for f in block):
            said = text if t == 0 else None
            writer.write(frame, contiguous=False, metadata=None, description=said)
    return path


def zarr(folder: Path, frames: int) -> Path:
    """Chunks of 100 frames."""
    import zarr

    path = folder / "movie.zarr"
    array = zarr.create_array(path, shape=(frames, *FRAME), chunks=(100, *FRAME), dtype="u2")
    for i, block in enumerate(blocks(frames)):
        array[100 * i : 100 * i + len(block)] = block
    return path


def raw(folder: Path, frames: int) -> Path:
    """A raw binary with Picasso's sidecar."""
    path = folder / "movie.raw"
    with path.open("wb") as file:
        for block in blocks(frames):
            file.write(block.tobytes())
    path.with_suffix(".yaml").write_text(
        f"Byte Order: <\nData Type: uint16\nFrames: {frames}\nHeight: 256\nWidth: 256\n"
    )
    return path


MOVIES = {f.__name__: f for f in (contiguous, imagej, pages, ome, zarr, raw)}

OPEN = """
import json, resource, sys, time
from napari_smlm_diffusion.frames import open_movie
if sys.argv[1].endswith("zarr"):
    import zarr
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, wall, cpu = peak(), time.perf_counter(), time.process_time()
stack = open_movie(sys.argv[1])
opened, opened_cpu = time.perf_counter(), time.process_time()
stack.read(len(stack) - 1, len(stack))
print(json.dumps({"open, s": opened - wall, "open, CPU s": opened_cpu - cpu,
                  "frame, ms": 1e3 * (time.perf_counter() - opened), "MiB": peak() - before}))
"""

VIEW = """
import json, sys, time
import napari
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=True)
QApplication.processEvents()

def show():
    wall, cpu = time.perf_counter(), time.process_time()
    viewer.open(sys.argv[1], plugin="napari-smlm-diffusion")
    QApplication.processEvents()
    viewer.screenshot(canvas_only=True, flash=False)
    return time.perf_counter() - wall, time.process_time() - cpu

first, again = show(), show()
print(json.dumps({"viewer, s": first[0], "viewer, CPU s": first[1],
                  "again, s": again[0], "again, CPU s": again[1]}))
viewer.close()
"""


def measure(code: str, path: Path) -> dict[str, float]:
    """Run a script on a movie in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Open each kind of movie."""
    options = parser(__doc__)
    options.add_argument("--folder", type=Path, help="where to write; it needs room for one movie")
    options.add_argument("--frames", type=int, default=20_000)
    options.add_argument("--movies", nargs="+", choices=MOVIES, default=list(MOVIES))
    options.add_argument("--viewer", action="store_true", help="in napari's window too")
    options.add_argument("--repeats", type=int, default=3)
    args = parse(options, quick={"frames": 200, "repeats": 1})
    table = None
    with Report(args) as report:
        for name in args.movies:
            with tempfile.TemporaryDirectory(dir=args.folder) as folder:
                path = MOVIES[name](Path(folder), args.frames)
                found = []
                for _ in range(args.repeats):
                    one = measure(OPEN, path)
                    found.append(one | (measure(VIEW, path) if args.viewer else {}))
            # The middle of the repeats.
            middle = {key: sorted(one[key] for one in found)[len(found) // 2] for key in found[0]}
            table = table or report.table("opening", {"movie": None} | dict.fromkeys(middle, 2))
            table.row(name, *middle.values())


if __name__ == "__main__":
    main()
