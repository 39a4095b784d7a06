"""Libraries that open pictures with Pillow read ``.sedic`` files, once the plugin is imported."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as samples
from skimage import io as skimage_io
from torch.utils.data import DataLoader, Dataset

import sedic
import sedic.pillow  # registers the format
from sedic.picture import Picture

PHOTO = samples.chelsea()[20:84, 100:196]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes with one file each, as loaders for training expect them."""
    root = tmp_path_factory.mktemp("loaders")
    for kind, picture in (("cats", PHOTO), ("tacs", PHOTO[:, ::-1])):
        (root / kind).mkdir()
        (root / kind / "0.sedic").write_bytes(sedic.compress(picture.copy(), max_bytes=250))
    return root


@pytest.fixture(scope="module")
def decoded(folder: Path) -> list[Picture]:
    return [sedic.decompress(path.read_bytes()) for path in sorted(folder.glob("*/*.sedic"))]


def test_columns_of_hugging_face_datasets(folder: Path, decoded: list[Picture]) -> None:
    datasets = pytest.importorskip("datasets")
    paths = sorted(folder.glob("*/*.sedic"))
    for column in (
        [str(path) for path in paths],
        [{"path": None, "bytes": path.read_bytes()} for path in paths],
    ):
        table = datasets.Dataset.from_dict({"image": column, "label": [0, 1]})
        table = table.cast_column("image", datasets.Image())
        for row, expected in zip(table, decoded, strict=True):
            assert np.array_equal(np.asarray(row["image"]), expected)
        kept = table.cast_column("image", datasets.Image(decode=False))
        assert set(kept[0]["image"]) == {"path", "bytes"}
    batch = table.with_format("torch")[:]["image"]
    assert torch.equal(batch[1], torch.from_numpy(decoded[1].copy()).permute(2, 0, 1))
    bad = datasets.Dataset.from_dict({"image": [{"path": None, "bytes": b"\x5e\xdc no file"}]})
    with pytest.raises(OSError):
        bad.cast_column("image", datasets.Image())[0]


class ImageFolder(Dataset[tuple[torch.Tensor, int]]):
    """What torchvision's class of that name does: a class for each folder, and Pillow reads."""

    def __init__(self, root: Path) -> None:
        self._classes = sorted(path.name for path in root.iterdir())
        self._paths = sorted(root.glob("*/*.sedic"))

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path = self._paths[index]
        with path.open("rb") as file:
            pixels = np.array(Image.open(file).convert("RGB"))
        tensor = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
        return tensor, self._classes.index(path.parent.name)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_loaders_for_training(folder: Path, decoded: list[Picture], workers: int) -> None:
    loader = DataLoader(ImageFolder(folder), batch_size=2, num_workers=workers)
    ((pictures, labels),) = list(loader)
    assert labels.tolist() == [0, 1]
    expected = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(pictures, expected)


def test_imageio_and_scikit_image(folder: Path, decoded: list[Picture], tmp_path: Path) -> None:
    path = folder / "cats" / "0.sedic"
    assert np.array_equal(imageio.imread(path), decoded[0])
    assert imageio.improps(path, plugin="pillow").shape == (64, 96, 3)
    assert imageio.immeta(path, plugin="pillow")["profile"] == "mini"
    assert np.array_equal(skimage_io.imread(path), decoded[0])
    found = skimage_io.ImageCollection(str(folder / "*" / "*.sedic"))
    assert [np.array_equal(a, b) for a, b in zip(found, decoded, strict=True)] == [True, True]
    made = imageio.imwrite("<bytes>", PHOTO, plugin="pillow", extension=".sedic", max_bytes=250)
    assert made == path.read_bytes()
    bad = tmp_path / "bad.sedic"
    bad.write_bytes(b"\x5e\xdc no file")
    for read in (imageio.imread, skimage_io.imread):
        with pytest.raises(OSError):
            read(bad)
