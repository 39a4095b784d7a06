"""Words for a picture from any OpenAI-compatible chat-completions endpoint.

Hosted models, vLLM, Ollama, LM Studio, llama.cpp and ``transformers serve`` have such endpoints.
``endpoint`` bounds their answers in size and time; ``answers.parse_words`` checks them.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import random
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sedic.describe.answer_text import RefusalError
from sedic.describe.answers import Usage, Words, parse_words
from sedic.describe.description import one_line
from sedic.describe.endpoint import OPENAI, Endpoint, RequestError
from sedic.describe.prompts import picture_for_model, prompt, schema
from sedic.errors import DescriberError, UnsuitableInputError

if TYPE_CHECKING:
    from sedic.picture import Picture

MAX_TOKENS = 4_096  # of an answer, thoughts included
MORE_TOKENS = 16_384  # of the second try, after an answer was cut off before its description
TRIES = 4  # for one picture
BACKOFF = 1.0  # seconds before the second try, doubled for each further one

# Fields of a request besides model and messages, in the order in which they are left out when a
# server does not understand them. The first two are alternative forms of the answer.
_EXTRAS = ("json_schema", "json_object", "max_tokens", "temperature")
_FORMS = ("json_schema", "json_object")
# Words with which servers name the form of the answer in their errors.
_FORM_NAMES = ("response_format", "response format", "structured", "json", "schema", "grammar")
_NOT_UNDERSTOOD = (400, 415, 422, 501)
_NOT_ABOUT_FORM = (401, 403, 408, 409, 413, 425, 429)
_CUT_OFF = "{}: the answer was cut off at {} tokens, before there was a description"
_ONLY_THOUGHT = "{}: the model thought about the picture but gave no answer"


@dataclass(frozen=True)
class _Answer:
    """The text that the model wrote, and whether it was cut off at the limit of tokens."""

    text: str
    cut_off: bool
    thought: bool  # it also thought, in a field of its own


@dataclass
class ApiDescriber:
    """A ``Describer`` behind an OpenAI-compatible endpoint.

    ``base`` is the endpoint's address up to ``/chat/completions``, else ``SEDIC_API_BASE``, else
    OpenAI's; it must be https except on this machine. ``model`` is the model's name there, else
    ``SEDIC_API_MODEL``. The key, if the endpoint wants one, is ``SEDIC_API_KEY`` in the
    environment; for OpenAI's own address ``OPENAI_API_KEY`` will do.

    Pictures are sent as JPEG (quality 90), reduced so that no side has more than ``side`` pixels.
    ``deadline`` is in seconds, for one picture with all its tries. ``prices`` are those of a
    million tokens sent and received. Raises ``UnsuitableInputError`` for settings that cannot work.
    """

    base: str = ""
    model: str = ""
    method: str = "sedic"
    side: int = 1024
    deadline: float = 300.0
    prices: tuple[float, float] | None = None
    _endpoint: Endpoint = field(init=False, repr=False)
    _refused: frozenset[str] = field(init=False, repr=False, default=frozenset())

    def __post_init__(self) -> None:
        self.base = self.base or os.environ.get("SEDIC_API_BASE", "") or OPENAI
        self.model = self.model or os.environ.get("SEDIC_API_MODEL", "")
        if not self.model:
            raise UnsuitableInputError(
                "no model is named: set SEDIC_API_MODEL to one that the endpoint has"
            )
        if self.side < 32 or not 0 < self.deadline < math.inf:
            raise UnsuitableInputError("api: side at least 32, deadline above 0")
        base = self.base.removesuffix("/").removesuffix("/chat/completions")
        self._endpoint = Endpoint(base)

    def describe(
        self, picture: Picture, objects: int, detail_words: int, overall_words: int
    ) -> Words:
        """Ask for the words of one (height, width, 3) uint8 picture.

        Tries again, with growing pauses, when the endpoint is busy or broken or the answer has no
        description; leaves out fields that the endpoint does not understand; allows more tokens
        once if the answer was cut off before its description. Raises ``RefusalError`` if the model
        refuses, ``DescriberError`` where no try succeeds before the deadline.
        """
        end = time.monotonic() + self.deadline
        question = prompt(self.method, objects, detail_words, overall_words)
        content = [
            {"type": "image_url", "image_url": {"url": _data_url(picture, self.side)}},
            {"type": "text", "text": question},
        ]
        request = {"model": self.model, "messages": [{"role": "user", "content": content}]}
        form = schema(self.method, objects)
        refused, usage, tries, limit = self._refused, Usage(), 0, MAX_TOKENS
        while True:
            wait = 0.0
            answer = None
            try:
                extras = _extras(refused, form, limit)
                reply = self._endpoint.post("/chat/completions", {**request, **extras}, end)
                self._refused = refused  # it understood this one, and will the next
                spent = self._usage(reply)
                usage += spent
                answer = self._answer(reply)
                words = parse_words(answer.text, objects, detail_words, overall_words)
                warnings = ("the model's answer was cut off",) if answer.cut_off else ()
                return replace(words, warnings=words.warnings + warnings, usage=usage)
            except RefusalError:
                raise
            except RequestError as error:
                named = _named(refused, error)
                if named is not None:
                    refused |= {named}
                    continue
                tries += 1
                if error.status == 500 and tries > 1:  # it does not say why: perhaps the form
                    refused |= set([name for name in _sent(refused) if name in _FORMS][:1])
                wait = max(error.wait, BACKOFF * 2 ** (tries - 1) * random.uniform(0.5, 1.0))
                if not error.again or tries == TRIES or time.monotonic() + wait >= end:
                    raise
            except DescriberError as error:  # words of no use; the model may find others
                if answer is not None and answer.cut_off:
                    if "max_tokens" not in extras or limit == MORE_TOKENS:
                        count = spent.received or limit
                        raise DescriberError(_CUT_OFF.format(self.model, count)) from error
                    limit = MORE_TOKENS
                    continue
                tries += 1
                if tries == TRIES:
                    if answer is not None and answer.thought and not answer.text.strip():
                        raise DescriberError(_ONLY_THOUGHT.format(self.model)) from error
                    raise
            time.sleep(wait)

    def _answer(self, reply: dict[str, Any]) -> _Answer:
        """The answer in a chat completion: its text, or the arguments of its tool calls.

        The model's reasoning has fields of its own and is no part of the answer.
        """
        choices = reply.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(choice, dict) and choice.get("error"):
            raise self._endpoint.error(choice)
        if not isinstance(choice, dict) or not isinstance(message, dict):
            raise RequestError(f"{self._endpoint.host}: no message in the answer", again=True)
        reason, refusal = choice.get("finish_reason"), message.get("refusal")
        if isinstance(refusal, str) and refusal.strip():
            words = one_line(refusal)[:120]
            raise RefusalError(f"the model refuses to describe this picture: {words}")
        if reason == "content_filter":
            raise RefusalError("the model refuses to describe this picture (a content filter)")
        text = _text_of(message.get("content")) or _arguments(message)
        thought = any(message.get(key) for key in ("reasoning_content", "reasoning", "thinking"))
        cut_off = reason in ("length", "max_tokens")
        if text is None and not thought and not cut_off:
            raise RequestError(f"{self._endpoint.host}: no text in the answer", again=True)
        return _Answer(text or "", cut_off, thought)

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
    """Those of ``_EXTRAS`` that a request has, to a server that refused some."""
    left = [name for name in _EXTRAS if name not in refused]
    return [name for name in left if name != "json_object" or "json_schema" in refused]


def _extras(refused: frozenset[str], form: dict[str, Any], limit: int) -> dict[str, Any]:
    """The fields of a request besides model and messages."""
    json_schema = {"name": "description", "strict": True, "schema": form}
    fields: dict[str, dict[str, Any]] = {
        "json_schema": {"response_format": {"type": "json_schema", "json_schema": json_schema}},
        "json_object": {"response_format": {"type": "json_object"}},
        "max_tokens": {"max_tokens": limit},
        "temperature": {"temperature": 0},
    }
    return {key: value for name in _sent(refused) for key, value in fields[name].items()}


def _named(refused: frozenset[str], error: RequestError) -> str | None:
    """The field to leave out after an ``error``; None if the error is not about the fields.

    That is the field that the server's message names, whatever the status. If it names none and the
    status says that the request was not understood, it is the first field.
    """
    options = _sent(refused)
    words = error.reason.casefold()
    named = [name for name in options if name in words]
    if any(name in words for name in _FORM_NAMES):
        named += [name for name in options if name in _FORMS]
    if error.status in _NOT_UNDERSTOOD:
        named += options
    return named[0] if named and error.status not in _NOT_ABOUT_FORM else None


def _text_of(content: object) -> str | None:
    """The text in a message's content, which may come in parts; thoughts are parts of their own."""
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        texts = [p.get("text") for p in parts if p.get("type", "text") in ("text", "output_text")]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else None


def _arguments(message: dict[str, Any]) -> str | None:
    """The arguments of the model's tool calls, as JSON texts; None if there are none."""
    calls = message.get("tool_calls")
    calls = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    functions = [*(call.get("function") for call in calls), message.get("function_call")]
    arguments = [function.get("arguments") for function in functions if isinstance(function, dict)]
    texts = [text if isinstance(text, str) else json.dumps(text) for text in arguments if text]
    return "\n".join(texts) or None


def _data_url(picture: Picture, side: int) -> str:
    file = io.BytesIO()
    picture_for_model(picture, side).save(file, "JPEG", quality=90, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
