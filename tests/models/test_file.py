import json
import pickle
import struct
import subprocess
import sys

import pytest
import torch

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.card import FORMAT_VERSION, ModelCard, file_hash, load_card
from napari_smlm_diffusion.networks.settings import PhiSettings


def card(**values):
    return ModelCard(
        **{
            "name": "m",
            "package_version": "0",
            "networks": {"phi": PhiSettings()},
            "prior": {},
            **values,
        }
    )


@pytest.fixture
def model_path(tmp_path):
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, {"phi.a": torch.arange(6.0).reshape(2, 3)}, card())
    return path


def test_weights_and_card_come_back(model_path):
    tensors, loaded = checkpoint.load(model_path)
    assert loaded == card()
    torch.testing.assert_close(
        checkpoint.part(tensors, "phi")["a"], torch.arange(6.0).reshape(2, 3)
    )
    assert [p.name for p in model_path.parent.iterdir()] == ["m.safetensors"]


def test_the_same_weights_give_the_same_file_in_a_fresh_process(model_path):
    code = (
        "import sys, hashlib; from napari_smlm_diffusion.models import card, file as c;"
        "from pathlib import Path; t, k = c.load(Path(sys.argv[1]));"
        "c.save(Path(sys.argv[2]), t, k); print(card.file_hash(Path(sys.argv[2])))"
    )
    other = model_path.with_name("other.safetensors")
    out = subprocess.run(
        [sys.executable, "-c", code, str(model_path), str(other)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert out.stdout.strip() == file_hash(model_path)


class Bomb:
    opened = False

    def __reduce__(self):
        return (setattr, (Bomb, "opened", True))


def write_pickle(path):
    path.write_bytes(pickle.dumps(Bomb()))


def write_torch(path):
    torch.save({"a": torch.zeros(2)}, path)


def write_text(path):
    path.write_text("not a model at all")


def write_other_header(path):
    header = json.dumps({"__metadata__": {"format": "pt"}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (write_pickle, "is a pickle"),
        (write_torch, "is a pickle"),
        (write_text, "is not a safetensors"),
        (write_other_header, "no model card"),
        (lambda path: None, "no such file"),
    ],
)
def test_what_is_not_a_model_is_refused(tmp_path, write, says):
    path = tmp_path / "bad.safetensors"
    write(path)
    with pytest.raises(InputError, match=says) as refused:
        checkpoint.load(path)
    assert str(path) in str(refused.value)
    assert not Bomb.opened


def test_a_truncated_model_is_refused(model_path):
    data = model_path.read_bytes()
    for length in (len(data) - 4, len(data) // 2, 4):
        model_path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"truncated|not a safetensors"):
            checkpoint.load(model_path)


def test_a_newer_format_is_refused_with_the_way_out(tmp_path):
    path = tmp_path / "new.safetensors"
    checkpoint.save(path, {}, card(format_version=FORMAT_VERSION + 1))
    with pytest.raises(InputError, match="update napari-smlm-diffusion"):
        load_card(path)


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ('"channels"', '"chanels"', "chanels"),
        ('"kind":"phi"', '"kind":"chi"', "'chi' is unknown; the kinds are phi, variance, .*psi"),
        ('"input_version":1', '"input_version":2', "input_version 2 is newer than the 1 .* update"),
    ],
)
def test_a_card_with_what_this_version_does_not_know_is_refused(tmp_path, was, now, says):
    path = tmp_path / "odd.safetensors"
    text = card().model_dump_json()
    assert was in text
    header = json.dumps(
        {"__metadata__": {"napari_smlm_diffusion": text.replace(was, now)}}
    ).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(InputError, match=says):
        load_card(path)
