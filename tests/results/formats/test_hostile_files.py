"""Files that are damaged, or made to do harm: a sentence each, within bounds, nothing run."""

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet as pq
import pytest

from napari_smlm_diffusion.results.formats import registry

HERE = Path(__file__).with_name("hostile.py")
HEADER = b'"frame","x [nm]","y [nm]"\n'
MEGABYTES, SECONDS = 700, 20  # that one file may take


class Harm:
    """Leaves a trace if anything unpickles it."""

    def __reduce__(self):
        return (Path.touch, (Path("unpickled"),))


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matlab(content, compress=True):
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    packed = zlib.compress(content)
    return header + (struct.pack("<II", 15, len(packed)) + packed if compress else content)


def variable(name, kind, content):
    flags = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack("<ii", 1, 1))
    return element(14, flags + element(1, name) + content)


def nested(depth):
    """Cells in cells: what ends a reader that follows them by recursion."""
    head = (
        element(6, struct.pack("<II", 1, 0))
        + element(5, struct.pack("<ii", 1, 1))
        + element(1, b"")
    )
    content = element(9, bytes(8))
    parts, length = [], len(content)
    for _ in range(depth):
        parts.append(struct.pack("<II", 14, length + len(head)) + head)
        length += len(head) + 8
    return variable(b"saveloc", 1, b"".join(reversed(parts)) + content)


def hdf5(fill, **options):
    h5py = pytest.importorskip("h5py")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        fill(file, h5py)
    return buffer.getvalue()


LOCS = [("frame", "u4"), ("x", "f4"), ("y", "f4")]


def huge_picasso(file, h5py):
    file.create_dataset("locs", (10**13,), np.dtype(LOCS), chunks=(1024,))


def zeros_picasso(file, h5py):
    kind = np.dtype([*LOCS, ("payload", "V65536")])
    file.create_dataset("locs", (60_000,), kind, chunks=(256,), compression="gzip", fillvalue=None)


def huge_decode(file, h5py):
    file.create_dataset("data/xyz", (10**12, 3), "f4", chunks=(1024, 3))
    file.create_dataset("data/frame_ix", (10**12,), "i8", chunks=(1024,))
    file.create_dataset("data/phot", (10**12,), "f4", chunks=(1024,))
    file.create_group("meta").attrs.update({"xy_unit": "px", "px_size": [100.0, 100.0]})


def huge_storm(file, h5py):
    file.attrs.update({"sa_type": "x", "version": 0.1, "pixel_size": 100.0, "movie_l": 2**60})
    for frame in range(50):
        file.create_dataset(f"fr_{frame}/x", (10**7,), "f4", chunks=(1024,))
        file.create_dataset(f"fr_{frame}/y", (10**7,), "f4", chunks=(1024,))


def outside(file, h5py):
    file["locs"] = h5py.ExternalLink("/etc/passwd", "/locs")
    file["data/xyz"] = h5py.ExternalLink("/etc/passwd", "/xyz")


def external(file, h5py):
    file.create_dataset("locs", (1,), np.dtype(LOCS), external=[("/etc/passwd", 0, 12)])


def loop(file, h5py):
    file["locs"] = h5py.SoftLink("/locs")
    group = file.create_group("data")
    group["xyz"] = file["data"]


def container(manifest, **members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        archive.writestr("manifest.json", text)
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def manifest(rows=1, name="t.bin", headers=("x", "y"), kind="float64", shape=1):
    layout = {
        "mode": "binary",
        "headers": list(headers),
        "dtype": [kind] * len(headers),
        "shape": [shape] * len(headers),
        "units": ["nm"] * len(headers),
    }
    file = {"name": name, "type": "table", "format": "t", "rows": rows}
    return {"format_version": "0.2", "formats": {"t": layout}, "files": [file]}


def parquet(**columns):
    buffer = io.BytesIO()
    pq.write_table(pyarrow.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def constant_parquet(rows):
    zeros = pyarrow.array(np.zeros(rows))
    return parquet(frame=zeros, x_nm=zeros, y_nm=zeros)


def insight3(rows):
    return b"M425" + struct.pack("<iii", 1, 6, rows) + bytes(72)


BOMB = b"\0" * (600 * 2**20)
FILES = {
    "csv-nul.csv": lambda: HEADER + b"1,2,3\n\0\0\0\n",
    "csv-binary.csv": lambda: HEADER + bytes(range(128, 256)),
    "csv-open-quote.csv": lambda: HEADER + b'1,"2,3\n' + b"1,2,3\n" * 1000,
    "csv-inf.csv": lambda: HEADER + b"1,inf,3\n",
    "csv-frame.csv": lambda: HEADER + b"1e300,2,3\n",
    "csv-frame-nan.csv": lambda: HEADER + b",2,3\n",
    "csv-columns.csv": lambda: b'"frame",' + b'"x [nm]",' * 5000 + b'"y [nm]"\n',
    "challenge.csv": lambda: b"1,2,3,4,5\n1,2\n",
    "challenge-long.csv": lambda: b"1,2,3,4,5\n" + b"1" * (3 * 2**20),
    "nanoimager.csv": lambda: b"Frame,X (nm),Y (nm)\n-5,1,2\n",
    "deeploc.csv": lambda: b"frame,xnm,ynm,znm,prob\n1,2,3\x004\n",
    "decode.csv": lambda: b"# DECODE EmitterSet\n# {}\n# [[[\nx,y\n",
    "decode-deep.csv": lambda: b"# DECODE EmitterSet\n# {}\n# " + b"[" * 60_000 + b"\nx,y\n",
    "rapidstorm.txt": lambda: b"# <localizations " + b"<field " * 9000 + b"\n1 2 3\n",
    "rapidstorm-entity.txt": lambda: (
        b'# <localizations><!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>&e;\n1 2 3\n'
    ),
    "elyra.txt": lambda: b"First Frame\tPosition X [nm]\tPosition Y [nm]\nx\ty\tz\n",
    "pickle.hdf5": lambda: pickle.dumps(Harm()),
    "pickle.h5": lambda: pickle.dumps(Harm(), protocol=0),
    "pickle.mat": lambda: pickle.dumps({"saveloc": Harm()}),
    "pickle.smlm": lambda: pickle.dumps(Harm()),
    "picasso-huge.hdf5": lambda: hdf5(huge_picasso),
    "picasso-zeros.hdf5": lambda: hdf5(zeros_picasso),
    "picasso-group.hdf5": lambda: hdf5(lambda f, h: f.create_group("locs")),
    "picasso-scalar.hdf5": lambda: hdf5(lambda f, h: f.create_dataset("locs", data=3)),
    "decode-huge.h5": lambda: hdf5(huge_decode),
    "decode-shape.h5": lambda: hdf5(lambda f, h: f.create_dataset("data/xyz", data=[1, 2])),
    "storm-huge.hdf5": lambda: hdf5(huge_storm),
    "hdf5-outside.hdf5": lambda: hdf5(outside),
    "hdf5-external.hdf5": lambda: hdf5(external),
    "hdf5-loop.hdf5": lambda: hdf5(loop),
    "smap-nested_sml.mat": lambda: matlab(nested(100_000)),
    "smap-bomb_sml.mat": lambda: matlab(variable(b"saveloc", 6, element(9, BOMB))),
    "smap-many_sml.mat": lambda: matlab(variable(b"saveloc", 1, element(9, b"") * 2_000_000)),
    "smap-declares_sml.mat": lambda: matlab(struct.pack("<II", 14, 2**31) + bytes(64), False),
    "smap-number_sml.mat": lambda: matlab(variable(b"saveloc", 6, element(9, bytes(8)))),
    "smlm-bomb.smlm": lambda: container(manifest(rows=len(BOMB) // 16), **{"t.bin": BOMB}),
    "smlm-manifest.smlm": lambda: container(BOMB[: 64 * 2**20]),
    "smlm-huge.smlm": lambda: container(manifest(rows=10**15), **{"t.bin": b"1"}),
    "smlm-negative.smlm": lambda: container(manifest(rows=-1), **{"t.bin": b"1"}),
    "smlm-up.smlm": lambda: container(
        manifest(name="../../etc/passwd"), **{"../../etc/passwd": b""}
    ),
    "smlm-elsewhere.smlm": lambda: container(manifest(name="/etc/passwd")),
    "smlm-object.smlm": lambda: container(manifest(kind="O"), **{"t.bin": bytes(64)}),
    "smlm-shape.smlm": lambda: container(manifest(shape=[10**9, 10**9]), **{"t.bin": b""}),
    "smlm-twice.smlm": lambda: container(manifest(headers=("x", "x")), **{"t.bin": bytes(16)}),
    "smlm-short.smlm": lambda: container(manifest(rows=9), **{"t.bin": bytes(16)}),
    "smlm-deep.smlm": lambda: container(b"[" * 100_000),
    "smlm-list.smlm": lambda: container([1, 2, 3]),
    "smlm-empty.smlm": lambda: container({}),
    "parquet-columns.parquet": lambda: parquet(a=[1], b=[2]),
    "parquet-text.parquet": lambda: parquet(frame=["a"], x_nm=["b"], y_nm=["c"]),
    "parquet-list.parquet": lambda: parquet(frame=[[1]], x_nm=[[1.0]], y_nm=[[1.0]]),
    "parquet-null.parquet": lambda: parquet(frame=[None], x_nm=[None], y_nm=[None]),
    "parquet-bomb.parquet": lambda: constant_parquet(40_000_000),
    "insight3-huge.bin": lambda: insight3(2**31 - 1),
    "insight3-negative.bin": lambda: insight3(-1),
    "insight3-header.bin": lambda: b"M425\0",
}


def run(folder, cwd):
    """Read all files of a folder in a process of its own: name -> (MB, seconds, what it said)."""
    done = subprocess.run(
        [sys.executable, str(HERE), str(folder)], capture_output=True, text=True, cwd=cwd
    )
    lines = [line.split("\t", 3) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended by {lines[-1]}: {done.stderr[-500:]}"
    return {name: (float(grown), float(took), said) for name, grown, took, said in lines}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "cwd").mkdir()
    return tmp_path / "files"


@pytest.mark.slow
def test_each_file_is_refused_with_a_sentence(folder):
    for name, make in FILES.items():
        (folder / name).write_bytes(make())
    with (folder / "csv-gigabyte.csv").open("wb") as file:  # sparse: it takes no room
        file.write(HEADER + b"1" * (4 * 2**20))
        file.truncate(2**30)
    results = run(folder, folder.parent / "cwd")
    assert set(results) == {*FILES, "csv-gigabyte.csv"}
    for name, (grown, took, said) in results.items():
        assert said.startswith("InputError: "), (name, said)
        assert grown < MEGABYTES, (name, grown)
        assert took < SECONDS, (name, took)
    assert not list((folder.parent / "cwd").iterdir())  # nothing was unpickled or unpacked


@pytest.mark.slow
def test_damaged_files_are_refused_or_read(folder, dataset_of):
    """Cut anywhere, or with bytes changed: an error of ours, or rows; never anything else."""
    rng = np.random.default_rng(3)
    good = folder.parent / "good"
    good.mkdir()
    for fmt in registry.WRITABLE:
        path = good / f"{fmt.name}{fmt.suffix}"
        registry.write(path, dataset_of(200, filtered=True, z=True), fmt.name)
        content = path.read_bytes()
        for i in range(12):
            cut = content[: int(rng.integers(0, len(content)))]
            (folder / f"cut{i}-{path.name}").write_bytes(cut)
            spoilt = np.frombuffer(content, np.uint8).copy()
            at = rng.integers(0, len(spoilt), int(rng.integers(1, 20)))
            spoilt[at] = rng.integers(0, 256, len(at))
            (folder / f"spoilt{i}-{path.name}").write_bytes(spoilt.tobytes())
    for name, (grown, took, said) in run(folder, folder.parent / "cwd").items():
        assert said.startswith("InputError: ") or said.endswith(" rows"), (name, said)
        assert grown < MEGABYTES, (name, grown)
        assert took < SECONDS, (name, took)


@pytest.mark.parametrize("fmt", registry.FORMATS, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize(
    "content", [b"", b"\0" * 40, b"PK\3\4", b"PAR1", b"M425", b"\x89HDF\r\n\x1a\n"]
)
def test_looking_at_a_file_never_raises(fmt, content, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(content)
    fmt.recognises(path)
    fmt.recognises(tmp_path)
    fmt.recognises(tmp_path / "none")
