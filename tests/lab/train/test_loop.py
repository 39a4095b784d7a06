"""A training run: checkpoints that cannot be used, losses that are not finite, cards."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from typer.testing import CliRunner

from sedic.cli.main import app
from sedic.errors import DamagedFileError, OutOfMemoryError, SedicError
from sedic.lab.train import card, photos
from sedic.lab.train.loop import PATIENCE, Run, Schedule


@dataclass(frozen=True)
class LineRecipe:
    steps: int = 12
    learning_rate: float = 0.01
    lpips: float = 0.0
    measure_every: int = 4
    save_every: int = 4

    def loss_terms(self) -> dict[str, float]:
        terms = {"MSE": 1.0, "LPIPS-squeeze (Caffe)": self.lpips}
        return {name: weight for name, weight in terms.items() if weight}


@dataclass
class LineTask:
    """A line through numbers; its loss is what ``bad`` says at these steps."""

    recipe: LineRecipe
    network: nn.Module
    bad: dict[int, Any]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        x = torch.linspace(0, 1, 8)[:, None]
        loss = (self.network(x) - 3 * x).square().mean()
        value = self.bad.get(step, 1.0)
        if isinstance(value, Exception):
            raise value
        return loss * value, {"loss": loss.item() * value}

    def measure(self) -> float:
        return 1.0

    def after(self, run: Run) -> None:
        pass


def silent(done: int, total: int, text: str) -> None:
    pass


def started(folder: Path, recipe: LineRecipe, start: Path | None = None) -> Run:
    torch.manual_seed(0)
    network = nn.Linear(1, 1)
    if start:
        network.load_state_dict(load_file(start))
    schedule = Schedule(recipe.steps, recipe.learning_rate, warmup=1)
    run = Run(folder, network, schedule, start=start)
    run.begin(recipe)
    return run


def trained(folder: Path, recipe: LineRecipe, bad: dict[int, Any] | None = None) -> Run:
    run = started(folder, recipe)
    run.finish(LineTask(recipe, run.network, bad or {}), silent)
    return run


def _step(folder: Path) -> int:
    run = Run(folder, nn.Linear(1, 1), Schedule(1, 0.1))
    run.resume()
    return run.step


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_run_stops_after_a_few_bad_steps_and_keeps_the_last_finite_state(
    tmp_path: Path, value: float
) -> None:
    asked: list[int] = []

    def count(done: int, total: int, text: str) -> None:
        asked.append(done)

    recipe = LineRecipe()
    run = started(tmp_path, recipe)
    task = LineTask(recipe, run.network, dict.fromkeys(range(6, 12), value))
    with pytest.raises(SedicError, match=r"not finite at step 9.*checkpoint\.safetensors"):
        run.finish(task, count)
    assert len(asked) == 6 + PATIENCE
    assert _step(tmp_path) == 4
    again = started(tmp_path, recipe)
    again.finish(LineTask(recipe, again.network, {}), silent)
    assert _step(tmp_path) == 12


def test_a_run_that_is_bad_from_the_start_keeps_its_beginning(tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="not finite at step 3"):
        trained(tmp_path, LineRecipe(), dict.fromkeys(range(12), float("nan")))
    assert _step(tmp_path) == 0


def test_one_bad_step_is_skipped(tmp_path: Path) -> None:
    run = trained(tmp_path, LineRecipe(), {5: float("nan"), 8: float("inf")})
    assert run.step == 12 and run.bad_steps == 0 and _step(tmp_path) == 12


def test_a_run_may_not_end_in_a_bad_step(tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="not finite at step 12"):
        trained(tmp_path, LineRecipe(), {11: float("nan")})
    assert _step(tmp_path) == 8


def test_out_of_memory_is_out_of_memory(tmp_path: Path) -> None:
    for number, error in enumerate(
        (
            MemoryError(),
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
        )
    ):
        with pytest.raises(OutOfMemoryError, match="training: out of memory; a smaller --batch"):
            trained(tmp_path / str(number), LineRecipe(), {3: error})
        assert _step(tmp_path / str(number)) == 3
    with pytest.raises(KeyError):  # a fault of ours keeps its traceback
        trained(tmp_path / "ours", LineRecipe(), {3: KeyError("name")})


def test_weights_to_begin_with_are_finite(tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    for value in (float("nan"), float("inf")):
        save_file({"weight": torch.full((1, 1), value), "bias": torch.zeros(1)}, start)
        with pytest.raises(SedicError, match=r"start\.safetensors: holds numbers that are not"):
            started(tmp_path / "run", LineRecipe(), start)


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        lambda data: b"",
        lambda data: b"no checkpoint at all",
        lambda data: data.replace(b"network.weight", b"networkXweight"),
        lambda data: data.replace(b'\\"step\\"', b'\\"stop\\"'),
        lambda data: data.replace(b"optimizer.0.", b"optimizer.x."),
    ],
)
def test_a_damaged_checkpoint_is_one_line_that_names_it(tmp_path: Path, damage: Any) -> None:
    trained(tmp_path, LineRecipe())
    path = tmp_path / "checkpoint.safetensors"
    damaged = damage(path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    with pytest.raises(DamagedFileError, match=r"checkpoint\.safetensors") as caught:
        started(tmp_path, LineRecipe())
    assert "\n" not in str(caught.value)


def test_a_checkpoint_with_numbers_that_are_not_finite_is_refused(tmp_path: Path) -> None:
    run = trained(tmp_path, LineRecipe())
    with torch.no_grad():
        run.average["weight"].fill_(float("nan"))
    tensors = load_file(run.checkpoint) | {"average.weight": run.average["weight"]}
    meta = {"step": 1, "seconds": 1, "state": {}}
    save_file(tensors, run.checkpoint, {"sedic": json.dumps(meta)})
    with pytest.raises(DamagedFileError, match="not finite"):
        started(tmp_path, LineRecipe())


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, LineRecipe())
    run = Run(tmp_path, nn.Linear(2, 3), Schedule(1, 0.1))
    with pytest.raises(SedicError, match="of another network; choose another --out"):
        run.begin(LineRecipe())


def test_other_weights_to_begin_with_are_refused(tmp_path: Path) -> None:
    for name in "ab":
        save_file(nn.Linear(1, 1).state_dict(), tmp_path / name)
    run = started(tmp_path / "run", LineRecipe(), tmp_path / "a")
    run.save()
    started(tmp_path / "run", LineRecipe(), tmp_path / "a")
    with pytest.raises(SedicError, match="did not begin with"):
        started(tmp_path / "run", LineRecipe(), tmp_path / "b")


def test_a_card_tells_every_recipe_and_what_was_in_the_loss(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = LineRecipe(steps=4)
    trained(tmp_path, first)
    assert not caplog.messages
    second = replace(first, steps=8, lpips=0.5)
    trained(tmp_path, second)
    (message,) = caplog.messages
    assert "from step 4 with other settings: steps 4 -> 8, lpips 0.0 -> 0.5" in message
    third = replace(second, steps=9)
    trained(tmp_path, third)
    run = trained(tmp_path, third)
    weights = tmp_path / "line.safetensors"
    save_file(run.network.state_dict(), weights)
    card.write_card(weights, run, [tmp_path], "a line", "sedic train line", "| |")
    text = weights.with_suffix(".md").read_text()
    assert "From step 4 on" in text and "| lpips | 0.0 | 0.5 |" in text
    assert "From step 8 on" in text and "| steps | 8 | 9 |" in text
    assert "- from step 0: MSE (weight 1)\n" in text
    assert "- from step 4: MSE (weight 1), LPIPS-squeeze (Caffe) (weight 0.5)" in text
    assert "LPIPS-squeeze (Caffe) was part of the loss." in text


def test_a_card_names_the_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert card.machine(torch.device("cuda", 3)) == "one GPU 3"
    assert "cores of" in card.machine(torch.device("cpu"))


def test_a_card_does_not_claim_what_was_not_in_the_loss(tmp_path: Path) -> None:
    run = trained(tmp_path, LineRecipe(steps=2))
    weights = tmp_path / "line.safetensors"
    save_file(run.network.state_dict(), weights)
    card.write_card(weights, run, [tmp_path], "a line", "sedic train line", "| |")
    assert (
        "LPIPS-squeeze (Caffe) was not part of the loss." in weights.with_suffix(".md").read_text()
    )


def reference(*arguments: object) -> str:
    """What ``sedic train reference`` ends with."""
    result = CliRunner().invoke(app, ["train", "reference", *map(str, arguments)])
    assert isinstance(result.exception, SedicError), result.exception
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.mark.parametrize("what", ["reference", "vae", "restorer"])
def test_a_device_that_is_not_here_is_named_before_any_work(tmp_path: Path, what: str) -> None:
    command = ["train", what, "--out", str(tmp_path / "run"), "--device", "nowhere"]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, SedicError)
    assert str(result.exception) == "unknown device 'nowhere'; cuda, mps or cpu"
    assert not (tmp_path / "run").exists()


def test_a_cut_checkpoint_of_the_reference_codec(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDIC_SHARED", str(shared / "cases" / "8" / "shared"))
    kept = shared / "cases" / "9" / "run" / "checkpoint.safetensors"
    (tmp_path / "checkpoint.safetensors").write_bytes(kept.read_bytes())
    text = reference("--out", tmp_path, "--steps", 2, "--crop", 64)
    assert "checkpoint.safetensors is damaged" in text
    text = reference("--out", tmp_path / "new", "--steps", 2, "--start", tmp_path / "none")
    assert "none" in text


def test_a_learning_rate_that_is_far_too_high(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_data / "shared" / "data" / "photos" / "wallpaper"
    folder.mkdir()
    pictures = sorted(folder.with_name("bsds").iterdir())
    held_out = next(n for n in range(200) if photos.is_held_out(folder / f"{n}.png"))
    (folder / f"{held_out}.png").write_bytes(pictures[0].read_bytes())
    text = reference(
        *("--out", tmp_path, "--steps", 12, "--batch", 2, "--crop", 64, "--learning-rate", 1e6)
    )
    assert "the loss is not finite" in text and "--learning-rate" in text
    assert not (tmp_path / "compact.safetensors").exists()
    kept = load_file(tmp_path / "checkpoint.safetensors")
    assert all(tensor.isfinite().all() for tensor in kept.values())
