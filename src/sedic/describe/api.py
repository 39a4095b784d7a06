"""Words for a picture from any OpenAI-compatible chat-completions endpoint.

Hosted models, vLLM, Ollama, LM Studio, llama.cpp and ``transformers serve`` all answer to it. What
they send is bounded by ``endpoint`` and checked by ``answers.parse``.
"""

from __future__ import annotations

import base64
import io
import math
import os
import random
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from sedic.describe.answers import Usage, Words, parse
from sedic.describe.endpoint import OPENAI, Endpoint, RequestError
from sedic.describe.prompts import prompt, schema, shown
from sedic.errors import SedicError

if TYPE_CHECKING:
    from sedic.picture import Picture

MAX_TOKENS = 4_096  # that a model may write, its thoughts included
TRIES = 4  # for one picture
BACKOFF = 1.0  # seconds before the second try, doubled for each further one

# What a request has beyond model and messages, in the order in which it goes where a server
# answers that it does not understand. The two first are forms of the answer: one at a time.
_EXTRAS = ("json_schema", "json_object", "max_tokens", "temperature")


@dataclass
class ApiDescriber:
    """A ``Describer`` behind an OpenAI-compatible endpoint.

    ``base`` is the endpoint's address up to ``/chat/completions``, else ``SEDIC_API_BASE``, else
    OpenAI's; it must be https except on this machine. ``model`` is the model's name there, else
    ``SEDIC_API_MODEL``. The key, if the endpoint wants one, is ``SEDIC_API_KEY`` in the
    environment; for OpenAI's own address ``OPENAI_API_KEY`` will do.

    Pictures are sent as JPEG (quality 90), reduced so that no side has more than ``side`` pixels.
    ``deadline`` is in seconds, for one picture with all its tries. ``prices`` are those of a
    million tokens sent and received. Raises ``SedicError`` for settings that cannot work.
    """

    base: str = ""
    model: str = ""
    method: str = "sedic"
    side: int = 1024
    deadline: float = 300.0
    concurrency: int = 4
    prices: tuple[float, float] | None = None
    _endpoint: Endpoint = field(init=False, repr=False)
    _refused: frozenset[str] = field(init=False, repr=False, default=frozenset())

    def __post_init__(self) -> None:
        self.base = self.base or os.environ.get("SEDIC_API_BASE", "") or OPENAI
        self.model = self.model or os.environ.get("SEDIC_API_MODEL", "")
        if not self.model:
            raise SedicError("no model is named: set SEDIC_API_MODEL to one that the endpoint has")
        if self.side < 32 or not 0 < self.deadline < math.inf or self.concurrency < 1:
            raise SedicError("api: side at least 32, deadline above 0, concurrency at least 1")
        base = self.base.removesuffix("/").removesuffix("/chat/completions")
        self._endpoint = Endpoint(base)

    def describe(
        self, picture: Picture, objects: int, detail_words: int, overall_words: int
    ) -> Words:
        """Ask for the words of one (height, width, 3) uint8 picture.

        Tries again, later and later, when the endpoint is busy or broken or the answer is of no
        use. Raises ``SedicError`` when that does not help before the deadline.
        """
        end = time.monotonic() + self.deadline
        question = prompt(self.method, objects, detail_words, overall_words)
        content = [
            {"type": "image_url", "image_url": {"url": _data_url(picture, self.side)}},
            {"type": "text", "text": question},
        ]
        request = {"model": self.model, "messages": [{"role": "user", "content": content}]}
        form = schema(self.method, objects)
        refused, usage, tries = self._refused, Usage(), 0
        while True:
            wait = 0.0
            try:
                extras = _extras(refused, form)
                reply = self._endpoint.post("/chat/completions", {**request, **extras}, end)
                self._refused = refused  # it understood this one, and will the next
                usage += self._usage(reply)
                text, warnings = self._text(reply)
                words = parse(text, objects, detail_words, overall_words)
                return replace(words, warnings=words.warnings + warnings, usage=usage)
            except RequestError as error:
                simpler = _simpler(refused, str(error)) if error.status in (400, 422) else None
                if simpler is not None:
                    refused = simpler
                    continue
                tries += 1
                wait = max(error.wait, BACKOFF * 2 ** (tries - 1) * random.uniform(0.5, 1.0))
                if not error.again or tries == TRIES or time.monotonic() + wait >= end:
                    raise
            except SedicError:  # words of no use; the model may find others
                tries += 1
                if tries == TRIES:
                    raise
            time.sleep(wait)

    def describe_many(
        self, pictures: Iterable[Picture], objects: int, detail_words: int, overall_words: int
    ) -> Iterator[Words | SedicError]:
        """The words of each picture in their order, ``concurrency`` at a time; a picture that
        fails gives its error. No more pictures are held than are being asked about."""

        def one(picture: Picture) -> Words | SedicError:
            try:
                return self.describe(picture, objects, detail_words, overall_words)
            except SedicError as error:
                return error

        source = iter(pictures)
        with ThreadPoolExecutor(self.concurrency) as pool:
            running: deque[Future[Words | SedicError]] = deque(
                pool.submit(one, picture) for picture in islice(source, self.concurrency)
            )
            while running:
                yield running.popleft().result()
                running.extend(pool.submit(one, picture) for picture in islice(source, 1))

    def _text(self, reply: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        """What the model wrote, and warnings about it."""
        choices = reply.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            raise RequestError(f"{self._endpoint.host}: no message in the answer", again=True)
        reason = choice.get("finish_reason")
        if reason == "content_filter" or isinstance(message.get("refusal"), str):
            raise RequestError("the model refuses to describe this picture")
        content = message.get("content")
        if isinstance(content, list):
            parts = [part.get("text") for part in content if isinstance(part, dict)]
            content = "".join(part for part in parts if isinstance(part, str))
        if not isinstance(content, str):
            raise RequestError(f"{self._endpoint.host}: no text in the answer", again=True)
        return content, ("the model's answer was cut off",) if reason == "length" else ()

    def _usage(self, reply: dict[str, Any]) -> Usage:
        usage = reply.get("usage")
        numbers = usage if isinstance(usage, dict) else {}
        sent, received = (
            count if type(count) is int and 0 <= count < 1 << 32 else 0
            for count in (numbers.get("prompt_tokens"), numbers.get("completion_tokens"))
        )
        if self.prices is None:
            return Usage(sent, received)
        return Usage(sent, received, (sent * self.prices[0] + received * self.prices[1]) / 1e6)


def _sent(refused: frozenset[str]) -> list[str]:
    """Which of ``_EXTRAS`` go with a request to a server that refused some."""
    left = [name for name in _EXTRAS if name not in refused]
    return [name for name in left if name != "json_object" or "json_schema" in refused]


def _extras(refused: frozenset[str], form: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request that are sent beside model and messages."""
    json_schema = {"name": "description", "strict": True, "schema": form}
    fields: dict[str, dict[str, Any]] = {
        "json_schema": {"response_format": {"type": "json_schema", "json_schema": json_schema}},
        "json_object": {"response_format": {"type": "json_object"}},
        "max_tokens": {"max_tokens": MAX_TOKENS},
        "temperature": {"temperature": 0},
    }
    return {key: value for name in _sent(refused) for key, value in fields[name].items()}


def _simpler(refused: frozenset[str], message: str) -> frozenset[str] | None:
    """What to leave out after one more refusal: what the server's message names, else the first;
    ``None`` if nothing is left to leave out."""
    sent = _sent(refused)
    named = [name for name in sent if name in message]
    return refused | {(named or sent)[0]} if sent else None


def _data_url(picture: Picture, side: int) -> str:
    file = io.BytesIO()
    shown(picture, side).save(file, "JPEG", quality=90, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
