"""What a TIFF says about its pixels and its camera.

Only statements without a second reading are believed. The "gain" of OME or of an Andor driver is
a setting of the camera and not ADU per electron, so it is left alone.
"""

import html
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import tifffile

# Outside this range a pixel size is a placeholder and not a calibration (72 dpi is 352,777 nm,
# an untouched "1 micron" is 1000 nm). A spot of a single molecule has a sigma of 90-200 nm, which
# pixels above 500 nm cannot sample and pixels below 20 nm spread over hundreds of pixels.
PLAUSIBLE_PIXEL_NM = (20.0, 500.0)

_NM_PER_UNIT = {
    "nm": 1.0,
    "nanometer": 1.0,
    "angstrom": 0.1,
    "um": 1e3,
    "\u00b5m": 1e3,  # micro sign
    "\u03bcm": 1e3,  # Greek letter mu
    "\\u00b5m": 1e3,  # ImageJ writes the escape out, in a file that is not UTF-8
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "mm": 1e6,
    "millimeter": 1e6,
    "cm": 1e7,
    "centimeter": 1e7,
    "m": 1e9,
    "meter": 1e9,
    "inch": 2.54e7,
}
_MS_PER_UNIT = {"ms": 1.0, "s": 1e3, "\u00b5s": 1e-3, "us": 1e-3, "min": 6e4, "ns": 1e-6}
# A frame of less than a microsecond or of more than an hour is a placeholder.
_PLAUSIBLE_EXPOSURE_MS = (1e-3, 3.6e6)
_OME_EXPOSURE = re.compile(r'\bExposureTime(Unit)?\s*=\s*"([^"]*)"')
_OME_SIZE = re.compile(r'\b(PhysicalSize[XY](?:Unit)?)\s*=\s*"([^"]*)"')
_CAMERA_KEYS = ("offset", "gain", "em_gain", "qe", "read_noise")


def pixel_size_nm(tif: tifffile.TiffFile) -> float | None:
    """Edge of a camera pixel in the sample plane, in nm; None if the file does not say.

    Square pixels are required, since one number is to describe both axes: pixels whose edges
    differ by more than one percent count as "does not say".
    """
    for source in (_from_json, _from_ome, _from_micromanager, _from_imagej, _from_tags):
        if (size := believable_pixel_nm(*source(tif))) is not None:
            return size
    return None


def believable_pixel_nm(x: float, y: float) -> float | None:
    """Pixel size from its edges in nm; None if they differ, or are no calibration."""
    low, high = PLAUSIBLE_PIXEL_NM
    if low <= x <= high and math.isclose(x, y, rel_tol=0.01):
        # A rational of two integers: 12 digits are all that it holds.
        return float(f"{x:.12g}")
    return None


def exposure_ms(tif: tifffile.TiffFile) -> float | None:
    """Exposure time of a frame, in ms, as Micro-Manager and OME tell it; else None."""
    first = dict(reversed(_OME_EXPOSURE.findall(tif.ome_metadata or "")))
    unit = _MS_PER_UNIT.get(html.unescape(first.get("Unit", "s")), math.nan)
    of_micromanager = to_float(_micromanager(tif).get("Exposure-ms"))
    return believable_ms(of_micromanager) or believable_ms(to_float(first.get("")) * unit)


def believable_ms(exposure: float) -> float | None:
    """Return an exposure in ms; None if it is none."""
    low, high = _PLAUSIBLE_EXPOSURE_MS
    return exposure if low <= exposure <= high else None


def camera_hint(tif: tifffile.TiffFile) -> dict[str, float]:
    """Camera parameters in the file: any of offset (ADU), gain (ADU/e-), em_gain, qe, read_noise.

    Two sources: a ``camera`` object in JSON metadata (as our own simulated movies have), and the
    conversion factor that Hamamatsu's driver reports through Micro-Manager, in electrons per ADU.
    """
    camera = _json_metadata(tif).get("camera")
    if isinstance(camera, dict):
        return {k: float(camera[k]) for k in _CAMERA_KEYS if _is_number(camera.get(k))}
    return camera_of_micromanager(_micromanager(tif))


def camera_of_micromanager(properties: Mapping[str, Any]) -> dict[str, float]:
    """Camera parameters among the properties that Micro-Manager keeps of a frame."""
    hint = {}
    for key, value in properties.items():
        if isinstance(value, dict):  # Micro-Manager 2.0 gamma nests its properties
            value = value.get("PropVal")
        number = to_float(value)
        if key.endswith("CONVERSION FACTOR COEFF") and number > 0:
            hint["gain"] = 1.0 / number
        elif key.endswith("CONVERSION FACTOR OFFSET") and math.isfinite(number):
            hint["offset"] = number
    return hint


def promised_pixels(tif: tifffile.TiffFile) -> int:
    """Pixels that the header of the first page speaks of; 0 where it does not count them.

    A movie whose writer was stopped between two frames is a sound TIFF with frames missing: only
    the header (ImageJ's, or the JSON of tifffile) then knows how many there were to be.
    """
    images = (tif.imagej_metadata or {}).get("images", 0)
    shaped = (math.prod(m["shape"]) for m in tif.shaped_metadata or ())
    return max(int(images) * tif.pages.first.size, sum(shaped))


def _from_json(tif: tifffile.TiffFile) -> tuple[float, float]:
    size = to_float(_json_metadata(tif).get("pixel_size_nm"))
    return size, size


def _from_ome(tif: tifffile.TiffFile) -> tuple[float, float]:
    # The first attribute of that name, without an XML parser on a file from anywhere.
    attributes = dict(reversed(_OME_SIZE.findall(tif.ome_metadata or "")))
    x, y = (
        # The schema's default unit is the micrometre.
        to_float(attributes.get(f"PhysicalSize{axis}"))
        * nm_per_unit(html.unescape(attributes.get(f"PhysicalSize{axis}Unit", "um")))
        for axis in "XY"
    )
    return x, x if math.isnan(y) else y


def _from_micromanager(tif: tifffile.TiffFile) -> tuple[float, float]:
    size = to_float(_micromanager(tif).get("PixelSizeUm")) * 1e3
    return size, size


def _from_imagej(tif: tifffile.TiffFile) -> tuple[float, float]:
    unit = nm_per_unit((tif.imagej_metadata or {}).get("unit"))
    # ImageJ states the y unit only where it differs.
    return _per_pixel(tif, "XResolution", unit), _per_pixel(tif, "YResolution", unit)


def _from_tags(tif: tifffile.TiffFile) -> tuple[float, float]:
    tag = tif.pages.first.tags.get("ResolutionUnit")
    unit = nm_per_unit({2: "inch", 3: "cm"}.get(int(tag.value)) if tag is not None else None)
    return _per_pixel(tif, "XResolution", unit), _per_pixel(tif, "YResolution", unit)


def _per_pixel(tif: tifffile.TiffFile, name: str, unit_nm: float) -> float:
    tag = tif.pages.first.tags.get(name)
    if tag is None:
        return math.nan
    pixels, units = tag.value
    return unit_nm * units / pixels if pixels else math.nan


def _json_metadata(tif: tifffile.TiffFile) -> dict[str, Any]:
    """JSON object in the description (plain TIFF) or in the "Info" text (ImageJ), else empty."""
    texts = (tif.pages.first.description, str((tif.imagej_metadata or {}).get("Info")))
    for text in texts:
        try:
            found = json.loads(text)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def _micromanager(tif: tifffile.TiffFile) -> dict[str, Any]:
    tag = tif.pages.first.tags.get("MicroManagerMetadata")
    return tag.value if tag is not None and isinstance(tag.value, dict) else {}


def nm_per_unit(name: Any) -> float:
    """Nanometres in a unit of length as TIFF writers and napari name it; NaN for any other."""
    return _NM_PER_UNIT.get(str(name).strip().lower(), math.nan)


def to_float(value: Any) -> float:
    """Return a number, NaN for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
