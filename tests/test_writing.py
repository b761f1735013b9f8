"""Whole files, growing files, full disks."""

import errno
import os
from pathlib import Path

import pytest

from napari_smlm_diffusion.errors import OutputError
from napari_smlm_diffusion.writing import PartialFile, atomic, disk_errors

FULL = Path("/dev/full")  # Linux' disk without room


def test_atomic_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "image.tif"
    path.write_text("old")
    with atomic(path) as partial:
        assert partial.suffix == ".tif"
        assert partial.parent == tmp_path
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["image.tif"]


def test_atomic_keeps_the_old_file_when_the_writer_fails(tmp_path):
    path = tmp_path / "image.tif"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic(path) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["image.tif"]


def test_a_full_disk_is_one_sentence(tmp_path):
    with pytest.raises(OutputError, match=r"the disk is full .*density\.tif could not be written"):
        with disk_errors(tmp_path / "density.tif"):
            raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OutputError, match=r"density\.tif could not be written \(Permission"):
        with disk_errors(tmp_path / "density.tif"):
            raise PermissionError(errno.EACCES, "Permission denied")


def test_a_folder_that_is_gone(tmp_path):
    with pytest.raises(OutputError, match="could not be written"):
        PartialFile(tmp_path / "gone" / "table.csv")


def test_a_growing_file_can_be_read_and_is_renamed_at_the_end(tmp_path):
    path = tmp_path / "table.csv"
    with PartialFile(path) as file:
        file.write("one\n")
        assert file.partial.name == "table.partial.csv"
        assert file.partial.read_text() == "one\n"
        file.write("µ\n")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "one\nµ\n"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_run_that_fails_leaves_the_partial_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), PartialFile(tmp_path / "table.csv") as file:
        file.write("one\n")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["table.partial.csv"]
    file.close(complete=True)  # too late to become complete
    assert os.listdir(tmp_path) == ["table.partial.csv"]


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_writing_to_a_disk_without_room():
    class Full(PartialFile):
        def __init__(self):
            self.path, self._bytes = Path("table.csv"), 0
            self._file = FULL.open("wb", buffering=0)

    full = Full()
    with pytest.raises(OutputError, match="the disk is full"):
        full.write("one\n")
    full.close(complete=False)


def test_a_disk_that_fills_within_a_part_keeps_only_whole_parts(tmp_path):
    class Filling:
        """A file on a disk with room for ten more bytes."""

        def __init__(self, file):
            self.file, self.room = file, 10

        def write(self, data):
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = self.file.write(data[: self.room])
            self.room -= written
            return written

        def __getattr__(self, name):
            return getattr(self.file, name)

    file = PartialFile(tmp_path / "table.csv")
    file.write("header\n")
    file._file = Filling(file._file)
    with pytest.raises(OutputError, match="the disk is full"), file:
        file.write("row 1\n")
        file.write("row 2\n")
    assert file.partial.read_text() == "header\nrow 1\n"
    assert not file.path.exists()


def test_a_full_disk_is_told_from_numpys_error_without_a_number(tmp_path):
    with pytest.raises(OutputError, match=r"the disk is full .*density\.tif"):
        with disk_errors(tmp_path / "density.tif"):
            raise OSError("65536 requested and 8940 written")
