"""Movies damaged at random, opened and read under a limit of memory: a process of its own.

    python tests/frames/damage.py [--cases 200] [--seed 0] [--kinds tiff ...]

Prints one line of JSON: how many movies were opened, how many refused, and every case that did
neither: another error than `InputError`, no memory left, or more than `SECONDS`. A case is known by
its number and can be made again with ``--only``.
"""

import argparse
import contextlib
import json
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from unittest import SkipTest

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import kinds

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import open_movie

SECONDS = 20
# On top of what the interpreter and the libraries take.
MEGABYTES = 768
_EXTREME = [0, 1, 2, 7, 255, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1]
_TEXT = (".json", ".yaml", ".inf", ".txt", ".zarray", ".zattrs", ".zgroup")
_WORDS = [
    "-1",
    "0",
    "1e400",
    "NaN",
    "null",
    "[]",
    "{}",
    "1000000000000",
    '"x"',
    "../..",
    "9" * 5000,
]


def damaged(rng: np.random.Generator, data: bytes, text: bool) -> bytes:
    """Return a few bytes changed, moved or cut off."""
    for _ in range(rng.integers(1, 4)):
        if not data:
            return data
        # The beginning and the end hold what describes the rest.
        spread = rng.choice([64, 512, len(data)])
        at = int(rng.integers(0, min(spread, len(data))))
        at = at if rng.random() < 0.7 else len(data) - 1 - at
        kind = rng.choice(["cut", "flip", "number", "number", "number", "zeros", "drop", "double"])
        if (text or b"{" in data[:2000]) and rng.random() < 0.5:
            data = _other_word(rng, data)
        elif kind == "cut":
            data = data[:at]
        elif kind == "flip":
            data = data[:at] + bytes([data[at] ^ 1 << rng.integers(8)]) + data[at + 1 :]
        elif kind == "number":
            width = int(rng.choice([1, 2, 4, 8]))
            value = int(rng.choice(_EXTREME)) % 256**width
            order = "little" if rng.random() < 0.7 else "big"
            data = data[:at] + value.to_bytes(width, order) + data[at + width :]
        elif kind == "zeros":
            n = int(rng.integers(1, 200))
            data = data[:at] + bytes(min(n, len(data) - at)) + data[at + n :]
        elif kind == "drop":
            data = data[:at] + data[at + int(rng.integers(1, 50)) :]
        else:
            n = int(rng.integers(1, 50))
            data = data[: at + n] + data[at:]
    return data


def _other_word(rng: np.random.Generator, data: bytes) -> bytes:
    found = list(re.finditer(rb"\b\d+(\.\d+)?\b|\"[^\"]{1,20}\"|'[^']{1,20}'", data))
    if not found:
        return data
    one = found[rng.integers(len(found))]
    word = str(rng.choice(_WORDS)).encode()
    if one[0][:1] in b"\"'" and rng.random() < 0.7:  # still in quotes
        word = one[0][:1] + word + one[0][-1:]
    return data[: one.start()] + word + data[one.end() :]


def damage(rng: np.random.Generator, path: Path) -> None:
    """Damage a movie in place; of a folder one file, seldom two, or take one away."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
    else:
        files = sorted(file for file in path.parent.iterdir() if file.is_file())
    text = [file for file in files if file.suffix in _TEXT or file.name in _TEXT]
    for _ in range(1 if rng.random() < 0.8 else 2):
        some = text if text and rng.random() < 0.6 else files
        file = some[rng.integers(len(some))]
        if not file.exists():
            continue
        if rng.random() < 0.03:
            file.unlink()
        else:
            file.write_bytes(damaged(rng, file.read_bytes(), file in text))


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    def late(*args: object) -> None:
        raise KeyboardInterrupt  # no `except Exception` catches it

    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def look(path: Path) -> None:
    """Open a movie, and read its ends and a part of its middle."""
    with open_movie(path) as stack:
        n = len(stack)
        stack.read(0, min(n, 3))
        stack.read(n - 1, n)
        stack.read(n // 2, n // 2 + 1, kinds_roi(stack.shape))
        stack.fingerprint()


def kinds_roi(shape: tuple[int, int, int]):
    from napari_smlm_diffusion.settings import Roi

    return Roi(0, max(1, shape[1] // 2), 0, max(1, shape[2] // 2))


def fault(path: Path) -> str | None:
    """What is wrong with how a damaged movie was met: None for opened, "" for refused."""
    try:
        with time_limit(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            look(path)
    except InputError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, MemoryError):
                return f"out of memory: {error}"
            cause = cause.__cause__ or cause.__context__
        return "" if "\n" not in str(error) else f"more than a line: {error}"
    except KeyboardInterrupt:
        return f"took more than {SECONDS} s"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return None


def limit_memory(megabytes: int) -> None:
    """Let this process take so much more than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=list(kinds.KINDS))
    parser.add_argument("--only", type=int, help="the number of one case")
    options = parser.parse_args()
    counts = {"opened": 0, "refused": 0}
    faults, slowest = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        whole = {}
        for name in options.kinds:
            place = Path(folder) / "whole" / name.replace(" ", "_")
            place.mkdir(parents=True)
            with contextlib.suppress(SkipTest):
                whole[name] = kinds.KINDS[name](place, kinds.frames_of())
                look(whole[name])  # all libraries are loaded, and their threads run
        limit_memory(MEGABYTES)
        names = list(whole)
        for case in range(options.cases) if options.only is None else [options.only]:
            name = names[case % len(names)]
            rng = np.random.default_rng([options.seed, case])
            source = whole[name].parent if whole[name].is_file() else whole[name]
            broken = Path(folder) / "broken"
            shutil.copytree(source, broken)
            path = broken / whole[name].name if whole[name].is_file() else broken
            damage(rng, path)
            print(f"{case} {name}", file=sys.stderr, flush=True)
            begun = time.perf_counter()
            found = fault(path)
            slowest = max(slowest, time.perf_counter() - begun)
            counts["opened"] += found is None
            counts["refused"] += found == ""
            if found:
                faults.append({"case": case, "kind": name, "fault": found[:300]})
            shutil.rmtree(broken)
    print(json.dumps({**counts, "slowest_s": round(slowest, 2), "faults": faults}))


if __name__ == "__main__":
    main()
