"""Profiles of a model hub, from a cache of the hub as it lies on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from skimage import data as samples

from sedic.errors import DamagedFileError, MissingWeightsError, SedicError, UnsuitableInputError
from sedic.models.hub import write_folder
from sedic.profile import Profile
from sedic.reference import compact
from sedic.reference.compact_network import CompactConfig, CompactNetwork

OLD, NEW = "1" * 40, "2" * 40
TEXT = """
summary = "of a hub"
number = 130
reference = "pixel"

[weights.masks]
name = "masks.bin"
sha256 = "{sha256}"
"""
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cached repository ``user/ours`` with two commits; the hub cannot be reached."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    root = tmp_path / "models--user--ours"
    for commit, data in ((OLD, b"abc"), (NEW, b"changed")):
        folder = root / "snapshots" / commit
        folder.mkdir(parents=True)
        (folder / "profile.toml").write_text(TEXT.format(sha256=SHA256_OF_ABC))
        (folder / "masks.bin").write_bytes(data)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(NEW)
    return root


def test_a_pinned_revision_is_taken_and_checked(cache: Path) -> None:
    profile = Profile.load("hf:user/ours", revision=OLD)
    assert (profile.name, profile.number, profile.reference_name) == ("ours", 130, "pixel")
    assert profile.store.read("masks") == b"abc"
    newest = Profile.load("hf:user/ours")
    assert newest.path.parent.name == NEW
    with pytest.raises(MissingWeightsError, match=r"masks\.bin"):
        newest.store.read("masks")


def test_a_written_folder_is_a_profile_and_a_model_of_the_hub_s_client(
    cache: Path, mini: Profile, tmp_path: Path
) -> None:
    from huggingface_hub import PyTorchModelHubMixin

    weights = mini.store.path("compact")
    folder = tmp_path / "ours"
    write_folder(folder, weights, number=141, summary='of "ours"')
    with pytest.raises(SedicError, match="exists"):
        write_folder(folder, weights, number=141, summary="")
    text = mini.store.path("text")
    with pytest.raises(SedicError, match=text.name):
        write_folder(tmp_path / "bad", text, number=141, summary="")

    class Codec(CompactNetwork, PyTorchModelHubMixin):
        def __init__(self, config: dict[str, Any]) -> None:
            super().__init__(CompactConfig(**config))

    loaded = Codec.from_pretrained(folder).state_dict()
    expected = compact.load_compact(weights)[0].state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name].float(), expected[name].float()) for name in expected)

    (cache.parent / "models--user--made" / "snapshots").mkdir(parents=True)
    folder.rename(cache.parent / "models--user--made" / "snapshots" / OLD)
    profile = Profile.load("hf:user/made", revision=OLD)
    assert profile.number == 141 and profile.store.path("compact").name == "model.safetensors"
    picture = samples.chelsea()[20:84, 100:196].copy()
    ours, theirs = profile.reference_codec(), mini.reference_codec()
    assert ours.prepare(picture)(2) == theirs.prepare(picture)(2)
    assert ours.fingerprint == theirs.fingerprint


def test_what_is_not_here_is_one_line(cache: Path) -> None:
    (cache / "snapshots" / NEW / "masks.bin").unlink()
    for source, revision in (("hf:user/ours", None), ("hf:user/ours", "v9"), ("hf:user/no", None)):
        with pytest.raises(MissingWeightsError, match="cannot get") as caught:
            Profile.load(source, revision=revision)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "source", ["hf:", "hf:ours", "hf:../..", "hf:a/b/c", "hf:a/../b", "hf:a/b\n"]
)
def test_names_that_are_none(source: str, cache: Path) -> None:
    with pytest.raises(UnsuitableInputError, match="hf:user/name"):
        Profile.load(source)


@pytest.mark.parametrize(
    "text",
    [
        "summary = 1",
        "[",
        TEXT.replace('name = "masks.bin"', "name = 3"),
        TEXT.replace("number = 130", "number = 1"),
        TEXT.replace('"masks.bin"', '"../../../secret"'),
    ],
)
def test_hostile_profiles(text: str, cache: Path) -> None:
    (cache / "snapshots" / OLD / "profile.toml").write_text(text.replace("{sha256}", "0"))
    (cache.parent / "secret").write_bytes(b"")
    with pytest.raises((DamagedFileError, UnsuitableInputError, MissingWeightsError)) as caught:
        Profile.load("hf:user/ours", revision=OLD)
    assert isinstance(caught.value, SedicError)
