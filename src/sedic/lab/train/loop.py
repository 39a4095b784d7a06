"""The training loop of all runs: optimiser, schedule, averaged weights, checkpoints, log.

A run lives in one folder: ``checkpoint.safetensors`` (weights, their moving average, optimiser
state, step; no pickle) and ``log.jsonl`` (one line per report). Resuming gives the run that would
have gone on: data and noise of a step depend on (seed, step) alone.

A run whose loss or gradients are not finite for ``PATIENCE`` steps in a row stops with an error.
Its checkpoint stays the last one with finite numbers; a step-0 checkpoint is always written.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sedic.errors import DamagedFileError, OutputError, SedicError
from sedic.failures import memory_checked, translated
from sedic.files import make_folder, printable

PATIENCE = 3  # steps in a row that may have a loss or a gradient that is not finite

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """Warm up, stay, and decay linearly to zero over the last ``decay`` of ``steps``."""

    steps: int
    learning_rate: float
    warmup: int = 100
    decay: float = 0.3

    def __call__(self, step: int) -> float:
        rise = min(1.0, (step + 1) / self.warmup)
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.learning_rate * min(rise, max(0.0, left), 1.0)


class Progress(Protocol):
    """Receives the progress of a run."""

    def __call__(self, done: int, total: int, text: str) -> None: ...


class Recipe(Protocol):
    """The fields of a recipe, which is a dataclass, that the training loop reads."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def steps(self) -> int: ...
    @property
    def measure_every(self) -> int: ...
    @property
    def save_every(self) -> int: ...

    def loss_terms(self) -> dict[str, float]:
        """The terms of the loss and their weights, without zeros, for the model card."""
        ...


class Task(Protocol):
    """A training task, which gives ``Run.finish`` the loss of every step."""

    @property
    def recipe(self) -> Recipe: ...

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a step and its parts, for the log."""
        ...

    def measure(self) -> Any:
        """The figures of the held-out pictures, as JSON."""
        ...

    def after(self, run: Run) -> None:
        """Called after every step."""


@dataclass
class Run:
    """A network being trained in a folder.

    ``start``: the weight file that the network was read from, if any. ``SedicError`` if the network
    holds numbers that are not finite.
    """

    folder: Path
    network: nn.Module
    schedule: Schedule
    table_rate: float = 1.0  # learning-rate factor of the ``nn.Parameter`` tables
    averaging: float = 0.999
    start: Path | None = None
    step: int = 0
    seconds: float = 0.0
    state: dict[str, Any] = field(default_factory=dict)  # JSON: what a task wants to keep
    bad_steps: int = 0  # in a row, up to now, whose loss or gradient was not finite

    def __post_init__(self) -> None:
        if not is_finite(self.network.state_dict().values()):
            source = printable(self.start) if self.start else "the network to begin with"
            raise SedicError(f"{source}: holds numbers that are not finite")
        make_folder(self.folder)
        tables: list[nn.Parameter] = []
        weights: list[nn.Parameter] = []
        for name, parameter in self.network.named_parameters():
            is_table = parameter.ndim == 2 and not name.endswith("weight")
            (tables if is_table else weights).append(parameter)
        groups = [{"params": weights, "factor": 1.0}]
        if tables:
            groups.append({"params": tables, "factor": self.table_rate})
        self.optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self._started = time.monotonic()

    @property
    def checkpoint(self) -> Path:
        """The file that the run goes on from."""
        return self.folder / "checkpoint.safetensors"

    def update(self, loss: Tensor) -> float:
        """One optimiser step on ``loss``; returns the gradient norm.

        Weights stay as they are where loss or gradient are not finite.
        """
        rate = self.schedule(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        found = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        norm, value = map(float, torch.stack([found, loss.detach()]).tolist())
        if math.isfinite(norm) and math.isfinite(value):
            self.optimizer.step()
            self.bad_steps = 0
        else:
            self.bad_steps += 1
        self.step += 1
        keep = min(self.averaging, (self.step + 1) / (self.step + 20))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - keep)
                else:
                    self.average[name].copy_(value)
        return norm

    def begin(self, recipe: Recipe) -> None:
        """Go on from the folder's checkpoint if it has one, and note ``recipe`` for the card.

        A run that goes on with another recipe is named in the log. ``SedicError`` if it is of
        another network or began with other weights than ``start``.
        """
        digest = hashlib.sha256(self.start.read_bytes()).hexdigest() if self.start else None
        if self.resume():
            if digest and digest != self.state.get("start"):
                raise SedicError(
                    f"{printable(self.folder)} holds a run that did not begin with"
                    f" {printable(self.start)}; choose another --out"
                )
        elif digest:
            self.state["start"] = digest
        settings = json.loads(json.dumps(asdict(recipe)))
        history: list[dict[str, Any]] = self.state.setdefault("recipes", [])
        if history and history[-1]["settings"] != settings:
            changes = ", ".join(
                f"{name} {old} -> {new}" for name, old, new in changed(history[-1], settings)
            )
            _log.warning(
                "%s: goes on from step %d with other settings: %s",
                *(printable(self.folder), self.step, changes),
            )
        if not history or history[-1]["settings"] != settings:
            if history and history[-1]["step"] == self.step:
                history.pop()  # not a step was made with it
            terms = recipe.loss_terms()
            history.append({"step": self.step, "settings": settings, "loss": terms})

    def finish(self, task: Task, progress: Progress) -> None:
        """Train up to the recipe's last step; the run is saved however that ends.

        ``SedicError`` if the loss or its gradients stop being finite, or memory runs out.
        """
        recipe = task.recipe
        self.save()
        try:
            with memory_checked("training", "a smaller --batch or --crop needs less"):
                while self.step < recipe.steps:
                    loss, parts = task.loss(self.step)
                    norm = self.update(loss)
                    text = " ".join(f"{name} {value:.4f}" for name, value in parts.items())
                    progress(self.step, recipe.steps, text)
                    if self.bad_steps >= PATIENCE:
                        break
                    if self.step % 50 == 0:
                        self.log(**parts, norm=round(norm, 3), rate=self.schedule(self.step))
                    task.after(self)
                    if self.step % recipe.measure_every == 0:
                        self.log(held_out=task.measure())
                    if self.step % recipe.save_every == 0:
                        self.save()
        finally:
            self.save()
        if self.bad_steps or not self._is_finite():
            raise SedicError(
                f"the loss is not finite at step {self.step}: nothing is written;"
                f" {printable(self.checkpoint)} is the last finite state; try a lower"
                " --learning-rate"
            )

    def log(self, **values: Any) -> None:
        """Append one line to the run's log."""
        line = json.dumps({"step": self.step, "seconds": round(self.elapsed, 1), **values})
        path = self.folder / "log.jsonl"
        with translated(f"cannot write {printable(path)}", OutputError), path.open("a") as file:
            file.write(line + "\n")

    @property
    def elapsed(self) -> float:
        """Seconds of training over all sessions."""
        return self.seconds + time.monotonic() - self._started

    def _is_finite(self) -> bool:
        return is_finite([*self.network.state_dict().values(), *self.average.values()])

    def save(self) -> None:
        """Write the checkpoint, whole or not at all; not while the run is not finite."""
        if self.bad_steps or not self._is_finite():
            return
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for i, slot in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in slot.items()}
        meta = {"step": self.step, "seconds": self.elapsed, "state": self.state}
        temporary = self.folder / "checkpoint.tmp"
        contiguous = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        with translated(f"cannot write {printable(self.checkpoint)}", OutputError):
            save_file(contiguous, temporary, {"sedic": json.dumps(meta)})
            temporary.replace(self.checkpoint)

    def resume(self) -> bool:
        """Go on from the folder's checkpoint; false if it has none.

        ``DamagedFileError``, naming the file, if it cannot be used.
        """
        if not self.checkpoint.is_file():
            return False
        name = printable(self.checkpoint)
        with translated(f"{name} is damaged", DamagedFileError):
            with safe_open(self.checkpoint, "pt") as file:
                meta = json.loads((file.metadata() or {})["sedic"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            step, seconds, state = int(meta["step"]), float(meta["seconds"]), dict(meta["state"])
            for entry in state.get("recipes", []):
                _ = int(entry["step"]), dict(entry["settings"]), dict(entry["loss"])
            parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
            for key, value in tensors.items():
                part, _, rest = key.partition(".")
                parts[part][rest] = value
            slots: dict[int, dict[str, Tensor]] = {}
            for key, value in parts["optimizer"].items():
                slot, _, rest = key.partition(".")
                slots.setdefault(int(slot), {})[rest] = value
        if not is_finite(tensors.values()):
            raise DamagedFileError(f"{name}: holds numbers that are not finite; delete it")
        shapes = {key: value.shape for key, value in self.network.state_dict().items()}
        for part in ("network", "average"):
            if {key: value.shape for key, value in parts[part].items()} != shapes:
                raise SedicError(f"{name} is of another network; choose another --out")
        with translated(f"{name} is damaged", DamagedFileError):
            self.network.load_state_dict(parts["network"])
            optimizer = self.optimizer.state_dict()
            optimizer["state"] = slots
            self.optimizer.load_state_dict(optimizer)
        for key, value in parts["average"].items():
            self.average[key].copy_(value)
        self.step, self.seconds, self.state = step, seconds, state
        self._started = time.monotonic()
        return True


def is_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether all values of tensors are finite."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def changed(entry: Mapping[str, Any], settings: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Name, old and new value of every setting that differs from those of a history entry."""
    old = entry["settings"]
    return [
        (name, old.get(name), settings.get(name))
        for name in dict.fromkeys([*old, *settings])
        if old.get(name) != settings.get(name)
    ]
