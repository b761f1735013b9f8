"""README, docs and benchmarks say the same: figures, names of scripts, lines that install."""

import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def written(repo):
    """The command that writes tables into the docs, as a module."""
    before = list(sys.path)
    sys.path.insert(0, str(repo / "benchmarks"))
    try:
        import tables_in_docs
    finally:
        sys.path[:] = before
    return tables_in_docs


def test_the_tables_are_those_of_the_benchmarks(written):
    for page in written.PAGES:
        text = page.read_text(encoding="utf-8")
        again = "run python benchmarks/tables_in_docs.py"
        assert written.render(text) == text, f"{page.name}: {again}"


def test_a_figure_that_changes_is_seen(written):
    page = "<!-- table: accuracy/accuracy: model; Jaccard -->\nold\n<!-- end -->\n"
    text = written.render(page)
    assert "| model | Jaccard |\n|---|---|\n| papers | 1.000 ± 0.000 |" in text
    assert written.render(text) == text
    assert written.render(text.replace("1.000 ±", "1.001 ±")) == text


def test_every_table_of_figures_comes_from_a_benchmark(written):
    for page in written.PAGES:
        if page.name == "calibration-general.md":  # as a whole
            continue
        rest = written.MARKED.sub("", page.read_text(encoding="utf-8"))
        assert not re.findall(r"^\|.*±.*\|$", rest, re.MULTILINE), page.name


def test_every_benchmark_is_in_the_index(repo):
    folder = repo / "benchmarks"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for script in folder.glob("*.py"):
        assert script.name in index, script.name
    for page in (repo / "README.md", *(repo / "docs").glob("*.md")):
        for name in re.findall(r"benchmarks/(\w+\.py)", page.read_text(encoding="utf-8")):
            assert (folder / name).exists(), f"{page.name} names {name}"


def install_lines(repo):
    return re.findall(r"^pip install (\S+)", (repo / "README.md").read_text(), re.MULTILINE)


def test_the_lines_that_install_name_what_is_there(repo):
    lines = install_lines(repo)
    assert lines == [".", '".[all]"']
    project = tomllib.loads((repo / "pyproject.toml").read_text())["project"]
    assert "all" in project["optional-dependencies"]
    # Without the window there is no Qt: napari alone brings none.
    assert not any("qt" in name.lower() for name in project["dependencies"] if "qtpy" not in name)


@pytest.mark.slow
def test_the_lines_install(repo, tmp_path):
    """In an environment that sees the libraries of this one, so that little is fetched."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    (site,) = (tmp_path / "env").glob("lib/*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    for line in install_lines(repo):
        subprocess.run([python, "-m", "pip", "install", line.strip('"')], cwd=repo, check=True)
        code = "import napari_smlm_diffusion; print(napari_smlm_diffusion.__file__)"
        done = subprocess.run(
            [python, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        assert Path(done.stdout.strip()).is_relative_to(site)
        program = tmp_path / "env" / "bin" / "smlm-diffusion"
        subprocess.run([program, "models"], cwd=tmp_path, check=True)
