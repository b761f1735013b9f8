"""Cost of reading and writing a large table of localizations in each format.

    python benchmarks/tables.py [--rows 1000000] [--formats parquet csv ...]

CPU seconds, size of the file, and the peak memory of a process that reads it.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from filter_speed import table_of
from report import Report, parse, parser

from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import registry

WRITE = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from tables import dataset
from napari_smlm_diffusion.results.formats import registry
data = dataset(int(sys.argv[3]))
began = time.process_time()
registry.write(Path(sys.argv[1]), data, sys.argv[2])
print(json.dumps({"write": time.process_time() - began}))
"""

READ = """
import json, resource, sys, time
from pathlib import Path
from napari_smlm_diffusion.results.formats import registry
began = time.process_time()
assert len(registry.read(Path(sys.argv[1]), 100.0).table) == int(sys.argv[3])
print(json.dumps({"read": time.process_time() - began,
                  "GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
"""


def dataset(rows: int) -> Dataset:
    """Molecules at random."""
    return Dataset(table=table_of(rows, 512), pixel_size_nm=100.0)


def measure(code: str, *words: object) -> dict[str, float]:
    """Run a script in a process of its own."""
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words), here],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure each format."""
    names = [fmt.name for fmt in registry.WRITABLE]
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--formats", nargs="+", choices=names, default=names)
    args = parse(options, quick={"rows": 1000})
    with Report(args) as report:
        columns = {"format": None, "localizations": 0, "read, s": 1, "write, s": 1}
        table = report.table("tables", columns | {"file, MB": 0, "peak of reading, GiB": 1})
        for fmt in (registry.by_name(name) for name in args.formats):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"table{fmt.ending}"
                words = (path, fmt.name, args.rows)
                found = measure(WRITE, *words) | measure(READ, *words)
                size = path.stat().st_size / 1e6
            numbers = (found["read"], found["write"], size, found["GiB"])
            table.row(f"`{fmt.name}`", args.rows, *numbers)


if __name__ == "__main__":
    main()
