"""Reads the files of a folder under limits, and prints what each of them came to.

Run by `test_hostile_files` in a process of its own: what takes too much memory or time, or ends the
process, must not take the tests with it.
"""

import resource
import sys
import time
import warnings
from pathlib import Path

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.formats import registry

# Whoever says the format of a file may be wrong.
NAMES = [fmt.name for fmt in registry.FORMATS]
SECONDS, BYTES = 300, 6 * 2**30


def main(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    warnings.simplefilter("ignore")
    for path in sorted(folder.iterdir()):
        print(path.name, end="\t", flush=True)  # known even if the next line ends all
        before, start = peak(), time.process_time()
        said = [came_to(path, name) for name in (None, *NAMES)]
        # By its content; or, where some other reader fails on it, what that one said.
        said = [one for one in said if not one.startswith("InputError")][:1] or said[:1]
        grown, took = peak() - before, time.process_time() - start
        print(f"{grown / 1e6:.0f}\t{took:.2f}\t{said[0]}", flush=True)


def came_to(path: Path, name: str | None) -> str:
    """What reading a file as a format, or by its content, ended in."""
    try:
        return f"{len(registry.read(path, 100.0, name).table)} rows"
    except InputError as error:
        return f"InputError: {' '.join(str(error).split())}"
    except BaseException as error:
        return f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"


def peak() -> float:
    """Most memory that this process has had, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
