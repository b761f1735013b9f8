"""One error, worded by each face; below the faces no sentence knows of options."""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import napari_smlm_diffusion
from napari_smlm_diffusion.cli.parser import option
from napari_smlm_diffusion.errors import InputError, OutputError, Remark, worded
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings

SOURCE = Path(napari_smlm_diffusion.__file__).parent


def test_each_face_names_the_settings_in_its_own_way():
    pytest.importorskip("qtpy")
    from napari_smlm_diffusion.widgets.shared.notices import said

    error = InputError("no clear spots; give it in nm", field="psf_sigma_nm")
    assert str(error) == "psf_sigma_nm: no clear spots; give it in nm"
    assert worded(error, option) == "--psf-sigma: no clear spots; give it in nm"
    assert said(error) == "“PSF sigma”: no clear spots; give it in nm"
    inner = Remark("must fit", ("prior.photons", "frame_size", "overwrite"))
    assert str(inner) == "prior.photons, frame_size, overwrite must fit"
    assert worded(inner, option) == "--prior (photons), --frame-size, --overwrite must fit"
    assert said(inner) == "“Photons”, “Frame side”, overwrite must fit"


def test_an_error_of_the_settings_names_what_every_face_can_name():
    with pytest.raises(InputError) as caught:
        LocalizeSettings(gain=-1, em_gain=0.5)
    first, second = worded(caught.value, option).split("; --em-gain ")
    assert first.startswith("--gain must be greater than 0, got -1 (ADU per electron")
    assert second.startswith("must be greater than or equal to 1, got 0.5")


def test_several_things_are_wrong_and_all_are_said():
    both = InputError("a.tif is dark", Remark("taken for an error", ("strict",)))
    assert str(both) == "a.tif is dark; strict: taken for an error"


@pytest.mark.parametrize("kind", [InputError, OutputError])
def test_an_error_comes_whole_from_another_process(kind):
    error = kind("too large", field=("batch", "roi"))
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(back) is kind
    assert back.remarks == error.remarks == (Remark("too large", ("batch", "roi")),)


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of the strings of a file that can be shown: docstrings cannot."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    parts = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.add(node.value)
        if isinstance(node, ast.JoinedStr):
            parts.update(node.values)
            whole = (getattr(part, "value", "") for part in node.values)
            yield node.lineno, "".join(part if isinstance(part, str) else "X" for part in whole)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.lineno, node.value


def test_only_the_command_line_knows_of_options():
    # A whole command, to be typed somewhere, is no option of whoever reads it.
    command = re.compile(r"(smlm-diffusion|dask worker) [^`”]*")
    found = [
        f"{file.relative_to(SOURCE)}:{line}: {text}"
        for file in SOURCE.rglob("*.py")
        if file.relative_to(SOURCE).parts[0] != "cli"
        for line, text in texts(file)
        if re.search(r"--[a-z]", command.sub("", text))
    ]
    assert not found
    here = [text for _, text in texts(Path(__file__)) if re.search("--[a-z]", text)]
    assert "--psf-sigma: no clear spots; give it in nm" in here
