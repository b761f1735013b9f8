"""Draws from the posterior as Parquet: a line for each molecule of each draw of each frame.

Columns ``frame`` and ``draw``, from 0, ``chain`` that the draw comes from, ``x_nm`` and ``y_nm``
from the centre of the first pixel, ``photons`` at the sensor. Lines are in order of frame and draw;
a frame in whose draws there is no molecule has none.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from napari_smlm_diffusion.results.formats.parquet import METADATA
from napari_smlm_diffusion.writing import atomic

_GROUP = 2**18  # lines that a reader takes at once

COLUMNS = {
    "frame": "int64",
    "draw": "int32",
    "chain": "int32",
    "x_nm": "float64",
    "y_nm": "float64",
    "photons": "float64",
}


def write(path: Path, parts: Iterable[pd.DataFrame], known: Mapping[str, Any]) -> None:
    """Write parts that follow each other as one file, whole or not at all.

    Parameters
    ----------
    path : Path
    parts : iterable of DataFrame
        With `COLUMNS`.
    known : Mapping
        What else is to be known of them, in JSON types.

    Raises
    ------
    OutputError
        If the disk is full or cannot be written.
    """
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    fields = [(name, pyarrow.type_for_alias(kind)) for name, kind in COLUMNS.items()]
    schema = pyarrow.schema(fields, metadata={METADATA: json.dumps(known)})
    with atomic(path) as partial, ParquetWriter(partial, schema, compression="zstd") as writer:
        rest = schema.empty_table()
        for part in parts:
            more = pyarrow.Table.from_pandas(part, schema, preserve_index=False)
            rest = pyarrow.concat_tables([rest, more])
            # In groups of one size, so that the bytes do not tell the parts.
            while len(rest) >= _GROUP:
                writer.write_table(rest.slice(0, _GROUP).combine_chunks())
                rest = rest.slice(_GROUP)
        writer.write_table(rest.combine_chunks())


def write_part(path: Path, draws: pd.DataFrame) -> None:
    """Write those of a few frames; raises as `write`."""
    write(path, [draws], {})


def read_part(path: Path) -> pd.DataFrame:
    """Read what `write` wrote."""
    return pd.read_parquet(path)
