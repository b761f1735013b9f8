"""Parquet with our own columns, in one file or in the parts that a run leaves in a folder.

Frames count from 0, positions are in nm from the centre of the first pixel: just as in memory, to
the last bit. What else belongs to a dataset (pixel size, size of the movie, units, where the
localizations come from, the filter) is JSON in the metadata of the schema. The parts
``localizations-*.parquet`` of a folder are one table, in the natural order of their names.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards import limits
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize, records
from napari_smlm_diffusion.results.formats.base import TableFormat
from napari_smlm_diffusion.results.formats.of_run import OfRun, of_run
from napari_smlm_diffusion.results.formats.records import describe
from napari_smlm_diffusion.writing import atomic

CONVENTION = "frame from 0; nm from the centre of the first pixel; x runs along a row"
PARTS = "localizations-*.parquet"
METADATA = b"napari-smlm-diffusion"
_MAGIC = b"PAR1"
_BLOCK = 2**18  # localizations read or written at once
_TEXTS = ("uncertainty_source", "reason")
_NEEDED = ("frame", "x_nm", "y_nm")


def recognises(path: Path) -> bool:
    """Whether it is a Parquet file, or a folder with parts of a table."""
    try:
        if path.is_dir():
            return next(path.glob(PARTS), None) is not None
        with path.open("rb") as file:
            return file.read(4) == _MAGIC
    except OSError:
        return False


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read a file, or all parts in a folder."""
    files = parts(path) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path} has no parts of a table, {PARTS}")
    read = [_read(file) for file in files]
    # A part without a localization does not know which optional columns the others have.
    full = [(file, part) for file, part in zip(files, read, strict=True) if len(part[0]["frame"])]
    files, read = map(list, zip(*full, strict=True)) if full else (files[:1], read[:1])
    record = records.parse(read[0][1].get(METADATA))
    names = list(read[0][0])
    for file, (columns, _) in zip(files, read, strict=True):
        if list(columns) != names:
            odd = sorted(set(columns) ^ set(names))
            raise InputError(f"{file} has other columns than {files[0].name}: {odd}")
    # The parts of a run lie in a folder beside its record.
    known = pixel_size_nm or record.get("pixel_size_nm") or pixelsize.find(files[0])
    size = known or pixelsize.require(path, None)
    columns = {}
    for name in names:
        pieces = [part.pop(name) for part, _ in read]
        columns[name] = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    run = of_run(path) if path.is_dir() else OfRun()
    return build.dataset(
        path, columns, float(size), record=record, frame_shape=run.frame_shape, notes=run.notes
    )


def write(path: Path, dataset: Dataset) -> list[str]:
    """Write one file, zstd-compressed."""
    pyarrow, parquet = _pyarrow()
    table = dataset.table
    if dataset.kept is not None:
        table = table.assign(kept=dataset.kept)
    if dataset.reason is not None:
        table = table.assign(reason=dataset.reason)
    target = schema(list(table.columns), describe(dataset) | {"convention": CONVENTION})
    with (
        atomic(path) as partial,
        parquet.ParquetWriter(partial, target, compression="zstd") as writer,
    ):
        for start in range(0, max(len(table), 1), _BLOCK):
            block = table.iloc[start : start + _BLOCK]
            # A localization that pyarrow took for missing would come back as another value than
            # NaN.
            arrays = [
                pyarrow.array(block[field.name].to_numpy(), field.type, from_pandas=False)
                for field in target
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=target))
    return []


def schema(names: list[str], record: Mapping[str, Any]) -> Any:
    """Return the schema of a table with these columns: types, units, and the record as metadata."""
    pyarrow, _ = _pyarrow()
    kinds = {"int64": pyarrow.int64(), "float64": pyarrow.float64(), "str": pyarrow.string()}
    fields = []
    for name in names:
        column = localizations.BY_NAME.get(name)
        if column is None:
            fields.append(pyarrow.field(name, pyarrow.bool_() if name == "kept" else kinds["str"]))
        else:
            meaning = {"unit": column.unit, "description": column.description}
            fields.append(pyarrow.field(name, kinds[column.dtype], metadata=meaning))
    return pyarrow.schema(fields, metadata={METADATA: json.dumps(record)})


def parts(folder: Path) -> list[Path]:
    """Return the parts of a table in a folder in natural order: 2 before 10."""

    def key(file: Path) -> list[tuple[int, str]]:
        pieces = re.findall(r"\d+|\D+", file.name)
        return [(int(p), "") if p.isdecimal() else (0, p) for p in pieces]

    return sorted(folder.glob(PARTS), key=key)


def _read(path: Path) -> tuple[dict[str, Any], dict[bytes, bytes]]:
    with _opened(path) as file:
        names = [n for n in file.schema_arrow.names if n in localizations.BY_NAME]
        names += [n for n in ("kept", "reason") if n in file.schema_arrow.names]
        if missing := [name for name in _NEEDED if name not in names]:
            raise InputError(
                f"{path} is not a table of localizations: it has no column "
                f"{' and '.join(missing)}, but {file.schema_arrow.names[:20]}"
            )
        rows = file.metadata.num_rows
        limits.check_rows(path, rows)
        columns = _empty(path, file.schema_arrow, names, rows)
        at = 0
        for batch in file.iter_batches(_BLOCK, columns=names):
            for name in names:
                values = batch.column(batch.schema.get_field_index(name))
                columns[name][at : at + len(values)] = _array(values, name in _TEXTS)
            at += len(batch)
        if at != rows:
            raise InputError(f"{path} declares {rows} localizations and has {at}")
        return columns, dict(file.schema_arrow.metadata or {})


def _array(values: Any, text: bool) -> Any:
    if not text:
        return values.to_numpy(zero_copy_only=False)
    # Each different text is there once, however many localizations have it; what is missing is
    # empty.
    different = np.array([*values.dictionary.to_pylist(), ""], dtype=object)
    return different[values.indices.fill_null(len(different) - 1).to_numpy(zero_copy_only=False)]


def _empty(path: Path, arrow: Any, names: list[str], rows: int) -> dict[str, Any]:
    pyarrow, _ = _pyarrow()
    is_, columns = pyarrow.types, {}
    for name in names:
        kind = arrow.field(name).type
        text = name in _TEXTS
        fits = is_.is_integer(kind) or is_.is_floating(kind) or is_.is_boolean(kind)
        if is_.is_dictionary(kind):
            kind = kind.value_type
        if text != (is_.is_string(kind) or is_.is_large_string(kind)) or not (text or fits):
            raise InputError(f"{path} has {kind} in the column {name}, in place of its own type")
        counts = localizations.BY_NAME[name].dtype == "int64" if not text and name != "kept" else 0
        dtype: Any = object if text else np.int64 if counts else np.float64
        columns[name] = np.empty(rows, np.bool_ if name == "kept" else dtype)
    return columns


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    pyarrow, parquet = _pyarrow()
    try:
        # Texts are few and many times the same: each once in memory.
        texts = [name for name in parquet.read_schema(path).names if name in _TEXTS]
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            yield file
    except (OSError, pyarrow.ArrowException, ValueError, TypeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is not a Parquet file, or is damaged ({reason})") from error


def _pyarrow() -> tuple[Any, Any]:
    import pyarrow  # only here: its import is not free, and most runs need none
    import pyarrow.parquet

    return pyarrow, pyarrow.parquet


FORMAT = TableFormat("parquet", "Parquet (ours)", ".parquet", recognises, read, write, CONVENTION)
