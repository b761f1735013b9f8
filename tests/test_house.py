"""What a user meets before any science: the manifest, and that importing stays cheap."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from npe2 import PluginManifest

PACKAGE = "napari_smlm_diffusion"
MANIFEST = Path("src", PACKAGE, "napari.yaml")


def loaded_by(statement: str, whole: bool = False) -> set[str]:
    """Names of the modules loaded by `statement` in a fresh interpreter, up to the first dot."""
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name if whole else name.partition(".")[0] for name in done.stdout.split()}


def test_package_import_loads_nothing_heavy():
    heavy = {"torch", "napari", "qtpy", "numpy", "pandas", "scipy"}
    assert PACKAGE in (loaded := loaded_by(f"import {PACKAGE}"))
    assert not loaded & heavy


LIGHT = (
    "errors",
    "progress",
    "optics.camera",
    "settings",
    "emitters",
    "localizations",
    "density",
    "frames",
    "cli",
    "jobs.localize.settings",
    "postprocessing.drift",
    "postprocessing.fourier_ring",
    "postprocessing.picture",
)


def test_light_modules_load_neither_torch_nor_napari():
    # One interpreter for all: what none of them loads, each of them does not.
    imports = "; ".join(f"import {PACKAGE}.{module}" for module in LIGHT)
    assert not loaded_by(imports) & {"torch", "napari", "qtpy", "magicgui"}


def test_the_reference_shares_nothing_with_the_networks():
    parts = ("grid", "metropolis", "evidence", "reversible_jump")
    imports = "; ".join(f"import {PACKAGE}.reference.{part}" for part in parts)
    assert find_spec(networks := f"{PACKAGE}.networks")
    assert networks not in loaded_by(imports, whole=True)


def test_root_manifest_is_the_packages(repo):
    root = repo / "napari.yaml"
    assert root.is_symlink()
    assert root.read_bytes() == (repo / MANIFEST).read_bytes()


def test_manifest_commands_resolve(repo):
    manifest = PluginManifest.from_file(repo / MANIFEST)
    assert manifest.name == "napari-smlm-diffusion"
    manifest.validate_imports()


def test_napari_finds_the_installed_plugin():
    manifest = PluginManifest.from_distribution("napari-smlm-diffusion")
    assert manifest.display_name == "SMLM diffusion"


def test_the_readmes_python_example_runs(repo, tmp_path, monkeypatch, capsys):
    import tifffile

    from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate

    (example,) = re.findall(r"```python\n(.*?)```", (repo / "README.md").read_text(), re.DOTALL)
    movie = simulate(MovieSettings(frames=2, shape=(32, 32), density_per_um2=1.0))
    tifffile.imwrite(tmp_path / "movie.tif", movie.frames, photometric="minisblack")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - what a user pastes
    assert "uncertainty_x_nm" in capsys.readouterr().out
