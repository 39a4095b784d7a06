"""Pictures that share the steps of the networks are those that each gives alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from sedic import Decoder, Encoder, Profile
from sedic.errors import DamagedFileError, OutOfMemoryError, SedicError
from sedic.models.interface import Networks
from sedic.picture import Picture
from sedic.semantics import Mask, ObjectLayer, Rate, ReferenceImage, SemanticImage
from sedic.settings import Settings
from sedic.synthesis.stages import restore
from sedic.synthesis.together import run_together

SETTINGS = Settings(object_steps=3, last_steps=2, object_cfg=2.0, last_cfg=1.0, eta=20.0)


def photo(size: int, phase: float) -> Picture:
    y, x = np.mgrid[:size, :size]
    planes = [np.sin(x / 9 + phase) + 1, np.cos(y / 7) + 1, np.sin((x + y) / 11) + 1]
    return (np.stack(planes, 2) * 127).astype(np.uint8)


def scene(size: int, objects: int, seed: int) -> SemanticImage:
    cells = np.zeros((size // 8, size // 8), np.bool_)
    cells[: size // 16] = True
    layers = tuple(
        ObjectLayer(name, f"{name}, old", Mask.of(cells)) for name in ("red bus", "dog")[:objects]
    )
    reference = ReferenceImage("pixel", b"")
    return SemanticImage(size, size, reference, f"a street {seed}", layers, seed=seed)


def job(size: int, objects: int, seed: int) -> Callable[[Networks], Picture]:
    def run(networks: Networks) -> Picture:
        image = scene(size, objects, seed)
        *_, last = restore(photo(size, seed), image, networks, SETTINGS)
        return last.picture

    return run


class Spied:
    """Networks that count the rows of every prediction without gradients."""

    def __init__(self, networks: Networks) -> None:
        self.rows: list[int] = []
        self.networks = replace(networks)  # type: ignore[type-var]
        predict = networks.predict

        def spy(z: Tensor, t: int, context: Tensor, *rest: Tensor) -> Tensor:
            if not torch.is_grad_enabled():
                self.rows.append(len(context))
            return predict(z, t, context, *rest)

        self.networks.predict = spy


def test_pictures_restored_at_once_are_those_restored_alone(
    tiny_networks: Callable[..., Networks],
) -> None:
    networks = tiny_networks()
    jobs = [job(64, 2, 1), job(64, 1, 2), job(64, 2, 3), job(48, 0, 4)]
    alone = [run(networks) for run in jobs]
    spied = Spied(networks)
    for expected, found in zip(alone, run_together(spied.networks, jobs), strict=True):
        assert found.shape == expected.shape
        assert np.abs(found.astype(int) - expected).max() <= 1
    # three pictures, each under two texts, share the three steps of their first object
    assert spied.rows.count(6) == 3
    passes = 3 * 2 * 5 + 2 * 4  # of both texts in the steps of five objects, of one in four ends
    assert sum(spied.rows) == passes and len(spied.rows) < passes / 2


def test_a_job_that_fails_stops_no_other(tiny_networks: Callable[..., Networks]) -> None:
    ended: list[int] = []

    def bad(networks: Networks) -> Picture:
        raise DamagedFileError("no picture")

    def good(networks: Networks) -> Picture:
        picture = job(64, 0, 1)(networks)
        ended.append(1)
        return picture

    with pytest.raises(DamagedFileError, match="no picture"):
        run_together(tiny_networks(), [good, bad, good])
    assert ended == [1, 1]


def test_every_job_of_a_batch_hears_of_its_failure(tiny_networks: Callable[..., Networks]) -> None:
    networks = replace(tiny_networks())  # type: ignore[type-var]

    def full(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("out of memory")

    networks.predict = full
    heard: list[type] = []

    def run(networks: Networks) -> Picture:
        try:
            return job(64, 0, 1)(networks)
        except SedicError as error:
            heard.append(type(error))
            raise

    with pytest.raises(OutOfMemoryError):
        run_together(networks, [run, run])
    assert heard == [OutOfMemoryError] * 2


def test_files_decoded_at_once_are_those_decoded_alone(mini: Profile) -> None:
    encoder, decoder = Encoder(mini), Decoder(mini)
    files = [encoder.compress(photo(64, phase), Rate(400)).data for phase in (0, 1)]
    for data, found in zip(files, decoder.decompress_many(files), strict=True):
        assert np.abs(found.astype(int) - decoder.decompress(data)).max() <= 1
    with pytest.raises(DamagedFileError):
        decoder.decompress_many([files[0], files[1][:-3]])
    assert decoder.decompress_many([]) == []
