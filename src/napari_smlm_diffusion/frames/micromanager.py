"""JSON of Micro-Manager within larger files, which is found without parsing all of them."""

import json
import re
from pathlib import Path
from typing import Any


def first_object(text: str, key: str) -> dict[str, Any]:
    """Return the first JSON object of a key (a regular expression); empty where there is none."""
    found = re.search(rf'"{key}"\s*:\s*', text)
    return _object(text[found.end() :]) if found else {}


def json_at(path: Path, offset: int, length: int) -> dict[str, Any]:
    """Return the JSON object at a place in a file; empty where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return _object(file.read(length).decode("utf-8", errors="replace").rstrip("\0"))
    except (OSError, ValueError):
        return {}


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
