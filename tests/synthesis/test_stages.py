from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from sedic.errors import SedicError
from sedic.models.interface import Networks
from sedic.picture import Picture
from sedic.profile import Profile
from sedic.semantics import (
    Mask,
    ObjectLayer,
    ReferenceImage,
    SemanticImage,
    grid_size,
)
from sedic.settings import Settings
from sedic.synthesis.stages import Stage, restore

FAST = Settings(object_steps=3, last_steps=2, object_cfg=2.0, last_cfg=1.0, iterations=1, eta=20.0)


def photo(width: int, height: int) -> Picture:
    """A smooth picture with colours."""
    y, x = np.mgrid[:height, :width]
    planes = [np.sin(x / 9) + 1, np.cos(y / 7) + 1, np.sin((x + y) / 11) + 1]
    return (np.stack(planes, 2) * 127).astype(np.uint8)


def layer(cells: npt.NDArray[np.bool_], name: str = "red bus") -> ObjectLayer:
    return ObjectLayer(name, f"{name}, an old one", Mask.of(cells))


def scene(width: int, height: int, objects: int = 1, overall: str = "a street") -> SemanticImage:
    columns, rows = grid_size(width, height)
    layers = []
    for j in range(objects):
        cells = np.zeros((rows, columns), np.bool_)
        cells[: rows - rows // 2, : columns - (j + 1) * columns // 4] = True
        layers.append(layer(cells, ("red bus", "tree", "dog")[j]))
    reference = ReferenceImage("pixel", b"")
    return SemanticImage(width, height, reference, overall, tuple(layers))


def result(stages: Iterator[Stage]) -> Picture:
    *_, last = stages
    return last.picture


class Spy:
    """Networks that remember what they were asked."""

    def __init__(self, networks: Networks) -> None:
        self.decoded: list[Tensor] = []
        self.encoded: list[Tensor] = []
        self.batches: list[int] = []
        self.sizes: list[tuple[int, ...]] = []
        self.texts: list[str] = []
        self.networks = replace(networks)
        decode, encode = networks.decode, networks.encode
        predict, embed = networks.predict, networks.embed

        def spy_decode(latent: Tensor) -> Tensor:
            self.decoded.append(latent)
            return decode(latent)

        def spy_encode(picture: Tensor) -> Tensor:
            self.encoded.append(picture)
            return encode(picture)

        def spy_predict(
            z: Tensor, t: int, context: Tensor, condition: Tensor, strength: float
        ) -> Tensor:
            self.batches.append(len(context))
            self.sizes.append(tuple(z.shape[-2:]))
            return predict(z, t, context, condition, strength)

        def spy_embed(text: str) -> Tensor:
            self.texts.append(text)
            return embed(text)

        vars(self.networks).update(
            decode=spy_decode, encode=spy_encode, predict=spy_predict, embed=spy_embed
        )


@pytest.fixture
def networks(tiny_networks: Callable[..., Networks]) -> Networks:
    return tiny_networks()


@pytest.mark.parametrize(("width", "height"), [(64, 48), (97, 61), (1, 1), (7, 130)])
def test_any_size(networks: Networks, width: int, height: int) -> None:
    stages = list(restore(photo(width, height), scene(width, height), networks, FAST))
    assert [(s.number, s.count, s.title) for s in stages] == [
        (1, 2, "red bus"),
        (2, 2, "the whole picture"),
    ]
    for stage in stages:
        assert stage.picture.shape == (height, width, 3)
        assert stage.picture.dtype == np.uint8


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm", "unipc", "lcm", "tcd"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_any_sampler_and_prediction_from_one_step_on(
    tiny_networks: Callable[..., Networks], sampler: str, prediction: str
) -> None:
    spy = Spy(tiny_networks(prediction=prediction))
    settings = replace(FAST, sampler=sampler, object_steps=2, last_steps=1)
    result(restore(photo(32, 32), scene(32, 32), spy.networks, settings))
    assert all(torch.isfinite(z).all() for z in spy.decoded)


def test_outside_the_mask_every_stage_keeps_the_latents_before(networks: Networks) -> None:
    spy = Spy(networks)
    image, reference = scene(64, 64, objects=3), photo(64, 64)
    list(restore(reference, image, spy.networks, FAST))
    # A stage's last blend is with the clean latent of the stage before.
    before = networks.encode(torch.from_numpy(reference).permute(2, 0, 1)[None] / 127.5 - 1)
    for painted, z in zip(image.objects, spy.decoded[:3], strict=True):
        inside = torch.from_numpy(painted.mask.array)
        assert torch.equal(z[..., ~inside], before[..., ~inside])
        assert not torch.isclose(z[..., inside], before[..., inside]).any(0).all()
        before = z
    spy = Spy(networks)
    list(restore(reference, image, spy.networks, replace(FAST, blending="none")))
    outside = torch.from_numpy(~image.objects[0].mask.array)
    assert not torch.equal(spy.decoded[1][..., outside], spy.decoded[0][..., outside])


def test_objects_are_painted_from_the_largest_and_empty_ones_not_at_all(
    networks: Networks,
) -> None:
    image = scene(64, 64, objects=3)
    nothing = layer(np.zeros((8, 8), np.bool_), "fog")
    image = replace(image, objects=(*image.objects[::-1], nothing))
    titles = [stage.title for stage in restore(photo(64, 64), image, networks, FAST)]
    assert titles == ["red bus", "tree", "dog", "the whole picture"]


def test_each_stage_sees_the_picture_that_the_one_before_made(networks: Networks) -> None:
    def seen(settings: Settings) -> tuple[list[Stage], list[Tensor]]:
        spy = Spy(networks)
        image = scene(64, 64, objects=2)
        stages = list(restore(photo(64, 64), image, spy.networks, settings))
        return stages, spy.encoded

    def same(picture: Picture, tensor: Tensor) -> bool:
        return np.array_equal(picture, ((tensor[0].permute(1, 2, 0) + 1) * 127.5).round().numpy())

    stages, encoded = seen(FAST)
    # the reference as condition and "stage -1", then stage after stage
    pictures = [photo(64, 64), stages[0].picture, stages[1].picture]
    assert all(map(same, pictures, encoded)) and len(encoded) == 3
    # Handed on as latents, no stage's picture is encoded again.
    other, encoded = seen(replace(FAST, handover="latent"))
    assert all(same(photo(64, 64), picture) for picture in encoded) and len(encoded) == 1
    assert not np.array_equal(other[-1].picture, stages[-1].picture)
    last, _ = seen(replace(FAST, last_condition="reference"))
    assert np.array_equal(last[1].picture, stages[1].picture)
    assert not np.array_equal(last[2].picture, stages[2].picture)


@pytest.mark.parametrize(
    "changes",
    [
        {"handover": "latent"},
        {"handover": "picture"},
        {"handover": "latent", "blending": "end"},
        {"handover": "latent", "start": "low-frequency"},
        {"handover": "latent", "result": "added"},
    ],
)
def test_the_last_picture_is_the_same_without_the_others(
    networks: Networks, changes: dict[str, str]
) -> None:
    settings = replace(FAST, **changes)  # type: ignore[arg-type]
    if settings.handover == "latent" and networks.condition != "latent":
        pytest.skip("these networks see pictures")
    arguments = photo(64, 48), scene(64, 48, objects=2), networks, settings
    (alone,) = restore(*arguments, every=False)
    *_, last = restore(*arguments)
    assert alone.number == last.number == 3
    assert np.array_equal(alone.picture, last.picture)


def test_added_results_keep_what_the_vae_loses_of_the_reference(networks: Networks) -> None:
    reference, image = photo(64, 64), scene(64, 64)
    latent = replace(FAST, handover="latent")

    def shown(result: str, amount: float = 1.0) -> np.ndarray:
        settings = replace(latent, result=result, amount=amount)
        stages = restore(reference, image, networks, settings)
        return np.stack([stage.picture for stage in stages]).astype(int)

    decoded, added = shown("decoded"), shown("added")
    inside = ((added > 0) & (added < 255)).all(0)  # where no stage was clipped
    lost = (added - decoded)[:, inside]
    assert inside.mean() > 0.1 and lost.any()
    np.testing.assert_array_equal(lost[0], lost[1])  # whatever the stages change
    # Less of the change is nearer to the reference.
    assert (shown("added", 0) == reference).all()
    middle = (added + reference)[:, inside] / 2
    assert np.abs(shown("added", 0.5)[:, inside] - middle).max() <= 0.5


def test_without_objects_there_is_one_stage(networks: Networks) -> None:
    spy = Spy(networks)
    stages = list(restore(photo(48, 32), scene(48, 32, objects=0), spy.networks, FAST))
    assert [(s.number, s.count, s.title) for s in stages] == [(1, 1, "the whole picture")]
    assert spy.texts == ["a street"]


def test_a_scale_of_one_costs_no_unconditional_pass(networks: Networks) -> None:
    spy = Spy(networks)
    list(restore(photo(32, 32), scene(32, 32), spy.networks, FAST))
    guiding, objects, last = [1], [2] * 3, [1] * 2  # batch sizes
    assert spy.batches == guiding + objects + last
    assert spy.texts == ["red bus, an old one", "", "a street"]


def test_pictures_are_the_same_again_and_differ_by_seed_text_and_mask(networks: Networks) -> None:
    reference, image = photo(64, 48), scene(64, 48)
    first = result(restore(reference, image, networks, FAST))
    assert np.array_equal(first, result(restore(reference, image, networks, FAST)))
    cells = image.objects[0].mask.array
    others = [
        replace(image, seed=1),
        replace(image, overall="a field"),
        replace(image, objects=(layer(cells, "tree"),)),
        replace(image, objects=(layer(~cells),)),
    ]
    for other in others:
        assert not np.array_equal(first, result(restore(reference, other, networks, FAST)))


@pytest.mark.parametrize(
    "changed",
    [
        {"guided": 0},
        {"eta": 1.0},
        {"iterations": 2},
        {"object_cfg": 3.0},
        {"last_cfg": 3.0},
        {"strength": 0.5},
        {"last_condition": "reference"},
        {"start": "low-frequency"},
        {"colour": "wavelet"},
        {"result": "added"},
        {"object_steps": 4},
        {"last_steps": 3},
        {"first_steps": 4},
        {"threshold": 1.0},
        {"blending": "end"},
        {"blending": "none"},
        {"margin": 1},
    ],
)
def test_every_setting_counts(networks: Networks, changed: dict[str, object]) -> None:
    def outcome(settings: Settings) -> list[bytes]:
        spy = Spy(networks)
        picture = result(restore(photo(64, 64), scene(64, 64), spy.networks, settings))
        return [z.numpy().tobytes() for z in spy.decoded] + [picture.tobytes()]

    settings = replace(FAST, **changed)  # type: ignore[arg-type]
    assert outcome(settings) != outcome(FAST)


def test_guidance_ends_for_good_where_the_energy_is_low_enough(networks: Networks) -> None:
    def guided(**changed: object) -> int:
        spy = Spy(networks)
        settings = replace(FAST, guided=1.0, iterations=2, object_cfg=2.0, **changed)  # type: ignore[arg-type]
        next(restore(photo(64, 64), scene(64, 64), spy.networks, settings))
        return spy.batches.count(1)  # guidance asks for one text alone

    assert guided() == 2 * FAST.object_steps
    assert guided(threshold=1.0) == 1  # looked at once, and never again


def test_an_object_over_an_earlier_one_is_guided_with_less(networks: Networks) -> None:
    def second(image: SemanticImage, overlap: float) -> bytes:
        settings = replace(FAST, overlap=overlap, eta=500.0)
        _, then, _ = restore(photo(64, 64), image, networks, settings)
        return then.picture.tobytes()

    over = scene(64, 64, objects=2)
    assert second(over, 1.0) != second(over, 0.1)
    top, bottom = np.zeros((2, 8, 8), np.bool_)
    top[:3], bottom[5:] = True, True
    apart = replace(over, objects=(layer(top), layer(bottom, "tree")))
    assert second(apart, 1.0) == second(apart, 0.1)


def test_a_negative_text_is_what_guidance_leads_away_from(networks: Networks) -> None:
    latents = []
    for negative in ("blurry", ""):
        spy = Spy(networks)
        list(restore(photo(32, 32), scene(32, 32), spy.networks, FAST, negative=negative))
        assert spy.texts == ["red bus, an old one", negative, "a street"]
        latents.append(spy.decoded[0])
    assert not torch.equal(*latents)


def test_one_blend_at_the_end_keeps_what_is_outside_and_steps_may_differ(
    networks: Networks,
) -> None:
    spy = Spy(networks)
    image, reference = scene(64, 64, objects=2), photo(64, 64)
    settings = replace(FAST, blending="end", first_steps=1)
    list(restore(reference, image, spy.networks, settings))
    before = networks.encode(torch.from_numpy(reference).permute(2, 0, 1)[None] / 127.5 - 1)
    outside = torch.from_numpy(~image.objects[0].mask.array)
    assert torch.equal(spy.decoded[0][..., outside], before[..., outside])
    # one guided step of one, then one of three; predictions under two texts: 1, 3
    assert spy.batches == [1, 2, 1, 2, 2, 2, 1, 1]
    # blended after every step, a stage of other length finds the one before at its own levels
    spy = Spy(networks)
    list(restore(reference, image, spy.networks, replace(FAST, first_steps=1)))
    outside = torch.from_numpy(~image.objects[1].mask.array)
    assert torch.equal(spy.decoded[1][..., outside], spy.decoded[0][..., outside])


def test_a_control_on_pictures_instead_of_latents(
    tiny_networks: Callable[..., Networks],
) -> None:
    networks = tiny_networks(condition="picture")
    picture = result(restore(photo(40, 24), scene(40, 24), networks, FAST))
    other = result(restore(255 - photo(40, 24), scene(40, 24, objects=0), networks, FAST))
    assert picture.shape == other.shape == (24, 40, 3)


def test_one_may_stop_early_and_gradients_stay_as_they_were(networks: Networks) -> None:
    stages = restore(photo(32, 32), scene(32, 32, objects=2), networks, FAST)
    for _ in islice(stages, 2):
        assert torch.is_grad_enabled()
    stages.close()
    assert torch.is_grad_enabled()


def test_large_pictures_in_tiles_have_no_seams(networks: Networks) -> None:
    """Random networks agree on nothing, and still no column stands out at a window's edge."""
    reference, image = photo(384, 64), scene(384, 64)
    spy = Spy(networks)
    whole = result(restore(reference, image, networks, FAST))
    tiled = result(restore(reference, image, spy.networks, FAST, tile=64))
    assert max(z.shape[-1] for z in spy.decoded) == 8
    steps = np.abs(np.diff(tiled.astype(float), axis=1)).mean((0, 2))
    plain = np.abs(np.diff(whole.astype(float), axis=1)).mean((0, 2))
    assert steps.max() < 1.5 * plain.max()


def test_guidance_in_tiles_moves_only_tiles_with_something_of_the_object(
    networks: Networks,
) -> None:
    cells = np.zeros((8, 48), np.bool_)
    cells[2:5, 1:4] = True
    image = replace(scene(384, 64, objects=0), objects=(layer(cells),))
    spy = Spy(networks)
    settings = replace(FAST, object_steps=1, last_steps=1)
    next(restore(photo(384, 64), image, spy.networks, settings, tile=64))
    tiles = 8
    assert spy.batches == [1] + [2] * tiles


def spots() -> SemanticImage:
    """128 x 96 pixels with two objects apart and one over the first."""
    boxes = {"red bus": (2, 6, 9, 13), "tree": (8, 11, 0, 3), "dog": (4, 6, 8, 10)}
    layers = []
    for name, (top, bottom, left, right) in boxes.items():
        cells = np.zeros((12, 16), np.bool_)
        cells[top:bottom, left:right] = True
        layers.append(layer(cells, name))
    return replace(scene(128, 96, objects=0), objects=tuple(layers))


@pytest.fixture(params=["diffusers", "mini"])
def either_networks(
    request: pytest.FixtureRequest, tiny_networks: Callable[..., Networks], mini: Profile
) -> Networks:
    """Both implementations of the interface."""
    return mini.networks if request.param == "mini" else tiny_networks()


@pytest.mark.parametrize("steps", [1, 3])
def test_a_margin_changes_nothing_outside_the_mask(either_networks: Networks, steps: int) -> None:
    image, reference = spots(), photo(128, 96)
    settings = replace(FAST, handover="latent", object_steps=steps)

    def latents(margin: int) -> list[Tensor]:
        spy = Spy(either_networks)
        list(restore(reference, image, spy.networks, replace(settings, margin=margin)))
        return spy.decoded[:3]  # after each object

    painted = torch.zeros(12, 16, dtype=torch.bool)
    for item, near, whole in zip(image.objects, latents(1), latents(0), strict=True):
        mask = torch.from_numpy(item.mask.array)
        painted |= mask
        assert torch.equal(near[..., ~painted], whole[..., ~painted])
        assert not torch.isclose(near[..., mask], whole[..., mask], atol=1e-5).all()


@pytest.mark.parametrize("tile", [None, 64])
def test_a_margin_that_covers_the_picture_is_the_whole_picture(
    either_networks: Networks, tile: int | None
) -> None:
    image, reference = spots(), photo(128, 96)
    whole, covered = (
        list(restore(reference, image, either_networks, replace(FAST, margin=margin), tile))
        for margin in (0, 16)
    )
    for before, after in zip(whole, covered, strict=True):
        assert np.array_equal(before.picture, after.picture)


@pytest.mark.parametrize("levels", [2, 4])
def test_with_a_margin_networks_see_what_is_near_the_mask(
    tiny_networks: Callable[..., Networks], levels: int
) -> None:
    spy = Spy(tiny_networks(levels=levels))
    image = replace(spots(), objects=spots().objects[1:2])
    list(restore(photo(128, 96), image, spy.networks, replace(FAST, margin=1)))
    multiple = spy.networks.multiple
    near = {2: (6, 4), 4: (16, 8)}[levels]  # rows 7 to 11, columns 0 to 3, in whole multiples
    whole = tuple(-(-side // multiple) * multiple for side in (12, 16))
    guiding, objects = 1, FAST.object_steps
    assert spy.sizes == [near] * (guiding + objects) + [whole] * FAST.last_steps


@pytest.mark.parametrize("blending", ["end", "none"])
def test_without_blending_at_every_step_a_margin_means_nothing(
    networks: Networks, blending: str
) -> None:
    settings = replace(FAST, blending=blending)
    whole, near = (
        result(restore(photo(128, 96), spots(), networks, replace(settings, margin=margin)))
        for margin in (0, 1)
    )
    assert np.array_equal(whole, near)


def test_an_object_of_a_large_picture_takes_only_the_tiles_near_it(networks: Networks) -> None:
    cells = np.zeros((8, 48), np.bool_)
    cells[2:5, 5:8] = True  # on the border of two tiles
    image = replace(scene(384, 64, objects=0), objects=(layer(cells),))
    spy = Spy(networks)
    settings = replace(FAST, object_steps=1, last_steps=1, margin=2)
    next(restore(photo(384, 64), image, spy.networks, settings, tile=64))
    assert spy.batches == [1, 2]


def test_a_reference_of_another_size_is_refused(networks: Networks) -> None:
    with pytest.raises(SedicError, match="size"):
        next(restore(photo(32, 32), scene(40, 32), networks, FAST))


def test_too_little_memory_is_one_clear_line(networks: Networks) -> None:
    def starve(latent: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    spy = Spy(networks)
    vars(spy.networks)["decode"] = starve
    with pytest.raises(SedicError, match="--tile"):
        list(restore(photo(32, 32), scene(32, 32), spy.networks, FAST))
