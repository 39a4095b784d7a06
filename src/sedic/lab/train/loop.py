"""What every training run shares: optimiser, schedule, averaged weights, checkpoints, log.

A run lives in one folder: ``checkpoint.safetensors`` (weights, their moving average, optimiser
state, step; no pickle) and ``log.jsonl`` (one line per report). Resuming gives the run that would
have gone on: data and noise of a step depend on (seed, step) alone.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sedic.errors import SedicError


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
    """Where a run says how far it is."""

    def __call__(self, done: int, total: int, text: str) -> None: ...


class Recipe(Protocol):
    """What a run must know of its recipe."""

    @property
    def steps(self) -> int: ...
    @property
    def measure_every(self) -> int: ...
    @property
    def save_every(self) -> int: ...


class Task(Protocol):
    """What is learned: ``Run.finish`` asks for a loss at every step."""

    @property
    def recipe(self) -> Recipe: ...

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a step and its parts, for the log."""
        ...

    def measure(self) -> Any:
        """What held-out pictures say, as JSON."""
        ...

    def after(self, run: Run) -> None:
        """Called after every step."""


@dataclass
class Run:
    """A network being trained in a folder."""

    folder: Path
    network: nn.Module
    schedule: Schedule
    table_rate: float = 1.0  # learning-rate factor of the ``nn.Parameter`` tables
    averaging: float = 0.999
    step: int = 0
    seconds: float = 0.0
    state: dict[str, Any] = field(default_factory=dict)  # JSON: what a task wants to keep

    def __post_init__(self) -> None:
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

    def update(self, loss: Tensor) -> float:
        """One optimiser step on ``loss``; returns the gradient norm. Skips non-finite ones."""
        rate = self.schedule(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), 1.0))
        if norm < float("inf"):  # false for nan, too
            self.optimizer.step()
        self.step += 1
        keep = min(self.averaging, (self.step + 1) / (self.step + 20))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - keep)
                else:
                    self.average[name].copy_(value)
        return norm

    def finish(self, task: Task, progress: Progress) -> None:
        """Train up to the recipe's last step; the run is saved however that ends."""
        recipe = task.recipe
        try:
            while self.step < recipe.steps:
                loss, parts = task.loss(self.step)
                norm = self.update(loss)
                said = " ".join(f"{name} {value:.4f}" for name, value in parts.items())
                progress(self.step, recipe.steps, said)
                if self.step % 50 == 0:
                    self.log(**parts, norm=round(norm, 3), rate=self.schedule(self.step))
                task.after(self)
                if self.step % recipe.measure_every == 0:
                    self.log(held_out=task.measure())
                if self.step % recipe.save_every == 0:
                    self.save()
        finally:
            self.save()

    def log(self, **values: Any) -> None:
        """Append one line to the run's log."""
        line = json.dumps({"step": self.step, "seconds": round(self.elapsed, 1), **values})
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(line + "\n")

    @property
    def elapsed(self) -> float:
        """Seconds of training over all sessions."""
        return self.seconds + time.monotonic() - self._started

    def save(self) -> None:
        """Write the checkpoint, atomically."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for i, slot in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in slot.items()}
        meta = {"step": self.step, "seconds": self.elapsed, "state": self.state}
        temporary = self.folder / "checkpoint.tmp"
        contiguous = {k: v.detach().contiguous().clone() for k, v in tensors.items()}
        save_file(contiguous, temporary, {"sedic": json.dumps(meta)})
        temporary.replace(self.folder / "checkpoint.safetensors")

    def resume(self) -> bool:
        """Go on from the folder's checkpoint; false if it has none."""
        path = self.folder / "checkpoint.safetensors"
        if not path.is_file():
            return False
        with safe_open(path, "pt") as file:
            meta = json.loads((file.metadata() or {}).get("sedic", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
        for key, value in tensors.items():
            part, _, name = key.partition(".")
            parts[part][name] = value
        try:
            self.network.load_state_dict(parts["network"])
        except RuntimeError as error:
            raise SedicError(f"{path} is of another network; choose another --out") from error
        self.average = parts["average"]
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            slot, _, key = name.partition(".")
            state.setdefault(int(slot), {})[key] = value
        optimizer = self.optimizer.state_dict()
        optimizer["state"] = state
        self.optimizer.load_state_dict(optimizer)
        self.step, self.seconds, self.state = meta["step"], meta["seconds"], meta["state"]
        self._started = time.monotonic()
        return True
