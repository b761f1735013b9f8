"""Whether an OME-TIFF has its frames in the order of its pages, as nearly all movies do.

Then its pages say all that is needed; to look up 20,000 planes in its XML one by one takes seconds.
"""

import re

_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b([^>]*)>")
_PLACE = re.compile(r"<(?:\w+:)?TiffData\b([^>]*?)/?>")
_FILE_NAME = re.compile(r'\bFileName\s*=\s*["\']([^"\']*)')
_NUMBER = re.compile(r'\b(\w+)\s*=\s*["\'](\d{1,12})["\']')


def in_order(text: str, n_pages: int, name: str) -> bool:
    """Whether page i of the one file is frame i.

    Parameters
    ----------
    text
        The XML; free of entities and comments that could hide what is looked for.
    n_pages
        Pages of the file.
    name
        Of the file.
    """
    pixels = _PIXELS.findall(text)
    if len(pixels) != 1 or "<!" in text or set(_FILE_NAME.findall(text)) - {name}:
        return False
    said = dict(_NUMBER.findall(pixels[0]))
    lengths = {axis: int(said.get(f"Size{axis}", 1)) for axis in "TZC"}
    long = [axis for axis, n in lengths.items() if n > 1]
    places = [{k: int(v) for k, v in _NUMBER.findall(place)} for place in _PLACE.findall(text)]
    if len(long) != 1 or lengths[long[0]] != n_pages or said.get("Interleaved"):
        return False
    if places in ([{}], [{"IFD": 0, "PlaneCount": n_pages}]):
        return True
    first = f"First{long[0]}"
    return len(places) == n_pages and all(
        place.get("IFD", 0) == place.get(first, 0) == i
        and place.get("PlaneCount", place.get("NumPlanes", 1)) == 1
        and not any(place.get(f"First{axis}", 0) for axis in "TZC" if axis != long[0])
        for i, place in enumerate(places)
    )
