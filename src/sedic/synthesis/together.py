"""Several pictures restored at once: what they ask of the networks at one step is one batch.

Every picture runs Algorithm 1 as if it were alone, in a thread of its own, of which one at a time
computes. A thread that asks for a prediction waits until all others ask for one too, or have ended;
then the caller's thread answers requests of one kind by one call of the networks. So pictures of
one size share their steps, whatever their words, masks and seeds are. Guidance, which takes
gradients, runs one by one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from sedic.models.interface import Networks

T = TypeVar("T")
_Arguments = tuple[Tensor, int, Tensor, Tensor, float]  # of ``Networks.predict``


def run_together(networks: Networks, jobs: Sequence[Callable[[Networks], T]]) -> list[T]:
    """The results of all jobs, each given networks whose predictions they share.

    Raises what the first job that failed has raised, when all have ended.
    """
    meeting = _Meeting(networks, len(jobs))
    results: dict[int, T] = {}
    failures: dict[int, BaseException] = {}

    def work(number: int) -> None:
        with meeting.turn:
            try:
                results[number] = jobs[number](cast(Networks, _Shared(networks, meeting)))
            except BaseException as error:
                failures[number] = error
            finally:
                meeting.leave()

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(len(jobs))]
    with meeting.turn:
        for thread in threads:
            thread.start()
        meeting.answer_all()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[min(failures)]
    return [results[n] for n in range(len(jobs))]


class _Shared:
    """The networks as one of several jobs sees them; implements ``interface.Networks``."""

    def __init__(self, networks: Networks, meeting: _Meeting) -> None:
        self._networks, self._meeting = networks, meeting

    def __getattr__(self, name: str) -> Any:
        return getattr(self._networks, name)

    def predict(
        self, z: Tensor, t: int, context: Tensor, condition: Tensor, strength: float = 1.0
    ) -> Tensor:
        """As ``Networks.predict``, in one call with the other jobs' if no gradient is asked for."""
        if torch.is_grad_enabled():
            return self._networks.predict(z, t, context, condition, strength)
        return self._meeting.predict((z, t, context, condition, strength))


class _Meeting:
    """Where jobs wait for each other. Whoever holds ``turn`` computes."""

    def __init__(self, networks: Networks, jobs: int) -> None:
        self.turn = threading.Condition()
        self._networks, self._jobs = networks, jobs
        self._asked: list[_Request] = []
        self._stopped: BaseException | None = None

    def predict(self, arguments: _Arguments) -> Tensor:
        """What the networks say, once it is the caller's turn to ask them."""
        request = _Request(arguments, self._stopped)
        self._asked.append(request)
        self.turn.notify_all()
        self.turn.wait_for(lambda: request.answer is not None or request.failure is not None)
        if request.answer is None:
            raise cast(BaseException, request.failure)
        return request.answer

    def leave(self) -> None:
        """A job has ended."""
        self._jobs -= 1
        self.turn.notify_all()

    def answer_all(self) -> None:
        """Answer what is asked until all jobs have ended; interrupted, end them."""
        try:
            while self._jobs:
                self.turn.wait_for(lambda: len(self._asked) == self._jobs)
                self._answer()
        except BaseException as error:
            self._stopped = error
            for request in self._asked:
                request.failure = error
            self.turn.notify_all()
            raise

    def _answer(self) -> None:
        groups: dict[tuple[object, ...], list[_Request]] = {}
        for request in self._asked:
            groups.setdefault(request.kind, []).append(request)
        self._asked = []
        for group in groups.values():
            try:
                with torch.no_grad():
                    answers = _predict(self._networks, [request.arguments for request in group])
                for request, answer in zip(group, answers, strict=True):
                    request.answer = answer
            except BaseException as error:  # out of memory: every job of the batch hears of it
                for request in group:
                    request.failure = error
        self.turn.notify_all()


class _Request:
    """What one job asks, and what came of it."""

    def __init__(self, arguments: _Arguments, failure: BaseException | None) -> None:
        self.arguments, self.failure = arguments, failure
        self.answer: Tensor | None = None

    @property
    def kind(self) -> tuple[object, ...]:
        """Requests of one kind can be answered by one call."""
        z, t, context, condition, strength = self.arguments
        return z.shape, t, context.shape, condition.shape, strength


def _predict(networks: Networks, asked: Sequence[_Arguments]) -> Sequence[Tensor]:
    """``Networks.predict`` for each of ``asked``, which are of one kind."""
    if len(asked) == 1:
        return [networks.predict(*asked[0])]
    texts = len(asked[0][2])  # one, or with classifier-free guidance two
    z = torch.cat([one[0].expand(texts, -1, -1, -1) for one in asked])
    contexts = torch.cat([one[2] for one in asked])
    conditions = torch.cat([one[3].expand(texts, -1, -1, -1) for one in asked])
    return networks.predict(z, asked[0][1], contexts, conditions, asked[0][4]).chunk(len(asked))
