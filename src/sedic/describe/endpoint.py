"""An HTTP endpoint that takes and returns JSON. Its answers are not trusted.

An exchange is bounded in time and size whatever the server does. It goes to one host only, and over
https except on this machine. The key is read from the environment for each request; no file,
message or attribute holds it.

This module uses the standard library's HTTP because httpx and requests bound the time of each read,
not of the whole exchange: a server that sends a byte now and then would never let the caller go.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import math
import os
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from sedic.describe.description import one_line
from sedic.errors import DescriberError, UnsuitableInputError
from sedic.files import printable

OPENAI = "https://api.openai.com/v1"
MAX_BODY = 1 << 20  # bytes of a server's answer
SHORTEST_KEY = 12  # characters; shorter ones ("EMPTY", "ollama") are words, not secrets


class RequestError(DescriberError):
    """A request that failed; ``status`` is the server's, 0 if it gave none.

    ``again`` says whether another try may help, ``wait`` after how many seconds at least.
    ``reason`` are the server's own words, "" if there are none.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        again: bool = False,
        wait: float = 0,
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.status, self.again, self.wait, self.reason = status, again, wait, reason


class Endpoint:
    """The address ``base``; ``UnsuitableInputError`` where no request could go there safely.

    Redirects are not followed (the key would go with them) and proxies not used.
    """

    def __init__(self, base: str) -> None:
        wrong = f"{printable(base)[:200]}: not an API address such as {OPENAI}"
        try:
            url = urlsplit(base)
            port = url.port
        except ValueError as error:
            raise UnsuitableInputError(wrong) from error
        if "@" in url.netloc or url.query or url.fragment:
            raise UnsuitableInputError(
                "the API address must have no user, key or query; see SEDIC_API_KEY"
            )
        plain = base.isascii() and base.isprintable() and " " not in base
        if url.scheme not in ("http", "https") or not url.hostname or not plain:
            raise UnsuitableInputError(wrong)
        if url.scheme == "http" and not _is_this_machine(url.hostname):
            raise UnsuitableInputError(
                f"{url.netloc}: only https, except on this machine (use a tunnel)"
            )
        self.host = url.netloc
        self._tls = url.scheme == "https"
        self._address = (url.hostname, port or (443 if self._tls else 80))
        self._path = url.path

    def post(self, path: str, request: dict[str, Any], end: float) -> dict[str, Any]:
        """The JSON object that the server answers before ``end`` (``time.monotonic``).

        The server's texts may hold anything but the key. Raises ``RequestError``.
        """
        key = self._key()
        headers = {"Host": self.host, "Content-Type": "application/json", "User-Agent": "sedic"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        body = json.dumps(request).encode()
        status, fields, data = self._exchange(self._path + path, body, headers, end)
        if len(data) > MAX_BODY:
            raise RequestError(f"{self.host}: the answer has more than {MAX_BODY} bytes")
        secret = key if len(key) >= SHORTEST_KEY else ""
        reply = _parse(data, secret)
        if status == 200:
            if isinstance(reply, dict) and (reply.get("choices") or not _words_of(reply)):
                return reply
            if isinstance(reply, dict):
                raise self.error(reply)
            page = _page_text(data, secret)
            page = f" (it says: {page})" if page else ""
            message = f"{self.host}: the answer is no JSON object; is this an API address?{page}"
            raise RequestError(message, again=True)
        if 300 <= status < 400:
            message = f"{self.host} redirects elsewhere: not followed; correct SEDIC_API_BASE"
            raise RequestError(message, status=status)
        retry_after = fields.get("Retry-After", "")
        raise self.error(reply, status, retry_after, _page_text(data, secret))

    def error(
        self, reply: object, status: int = 0, retry_after: str = "", otherwise: str = ""
    ) -> RequestError:
        """The error that a ``reply`` describes, which may come with any status, 200 too.

        An error's own "code" stands for a status that was not given. ``otherwise``: the words of a
        reply that is no JSON.
        """
        reason = _words_of(reply) or otherwise
        explanation = reason or "no reason given"
        status = status or _code_of(reply)
        if status in (401, 403):
            message = f"{self.host} refuses the key (set SEDIC_API_KEY): {explanation}"
            return RequestError(message, status=status, reason=reason)
        busy = status in (0, 408, 409, 425, 429) or (status >= 500 and status != 501)
        wait = _seconds(retry_after) if busy else 0.0
        later = f", try again in {wait:.0f} s" if wait else ""
        with_status = f"with status {status}" if status else "with an error"
        message = f"{self.host} answers {with_status}{later}: {explanation}"
        return RequestError(message, status=status, again=busy, wait=wait, reason=reason)

    def _key(self) -> str:
        """The key for this endpoint, "" if there is none; OpenAI's key goes to OpenAI alone."""
        key = os.environ.get("SEDIC_API_KEY", "").strip()
        if not key and self.host == urlsplit(OPENAI).netloc:
            key = os.environ.get("OPENAI_API_KEY", "").strip()
            if not key:
                raise UnsuitableInputError(
                    "no key: put one into the environment variable SEDIC_API_KEY"
                )
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise UnsuitableInputError(
                "the API key has characters that no key has; look at SEDIC_API_KEY"
            )
        return key

    def _exchange(
        self, path: str, body: bytes, headers: dict[str, str], end: float
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, header fields and the first ``MAX_BODY`` + 1 bytes of the answer."""
        late = f"{self.host}: no complete answer in time"
        left = end - time.monotonic()
        if left <= 0:
            raise RequestError(late)
        sock: socket.socket | None = None
        watch: threading.Timer | None = None
        try:
            sock = socket.create_connection(self._address, left)
            if self._tls:
                sock = _context().wrap_socket(
                    sock, server_hostname=self._address[0], do_handshake_on_connect=False
                )
            # The socket's own timeout starts again with every byte that drips in.
            watch = threading.Timer(max(end - time.monotonic(), 0), _hang_up, [sock])
            watch.daemon = True
            watch.start()
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            connection = http.client.HTTPConnection(*self._address)
            connection.sock = sock
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            data = response.read(MAX_BODY + 1)
            if len(data) <= MAX_BODY and response.length:
                raise http.client.IncompleteRead(b"", response.length)
        except ssl.SSLCertVerificationError:
            raise RequestError(f"{self.host}: its certificate is not valid") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            if time.monotonic() >= end:
                raise RequestError(late) from None
            kind = printable(getattr(error, "strerror", None) or type(error).__name__)
            message = f"{self.host}: the connection failed ({kind})"
            raise RequestError(message, again=True) from None
        finally:
            if watch:
                watch.cancel()
            if sock:
                sock.close()
        if time.monotonic() >= end:  # what looks like the end of the answer may be the watch
            raise RequestError(late)
        return response.status, response.headers, data


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _hang_up(sock: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # TLS's own is not for other threads


def _parse(data: bytes, secret: str) -> object:
    """The JSON value in ``data`` with ``secret`` blotted out, ``None`` if it is none."""
    try:
        reply = json.loads(data)
        return json.loads(json.dumps(reply).replace(secret, "***")) if secret else reply
    except (ValueError, RecursionError):
        return None


def _words_of(reply: object) -> str:
    """A server's own words about an error in its ``reply``, in one short line; "" if none."""
    if isinstance(reply, list) and reply:
        return _words_of(reply[0])
    if not isinstance(reply, dict):
        return ""
    for key in ("error", "detail", "errors", "message", "msg"):
        inner = reply.get(key)
        words = inner if isinstance(inner, str) else _words_of(inner)
        if words := one_line(words)[:200]:
            return words
    error = reply.get("error")
    return one_line(json.dumps(error))[:200] if error else ""


def _code_of(reply: object) -> int:
    """The HTTP status that an error in a ``reply`` names as its code, 0 if none."""
    error = reply.get("error", reply) if isinstance(reply, dict) else None
    code = error.get("code", error.get("status")) if isinstance(error, dict) else None
    if isinstance(code, str) and code.isdecimal() and len(code) == 3:
        code = int(code)
    return code if type(code) is int and 400 <= code < 600 else 0


def _page_text(data: bytes, secret: str) -> str:
    """The title, or else the beginning, of an answer that is a page or plain text."""
    text = data[:10_000].decode("utf-8", "replace")
    text = text.replace(secret, "***") if secret else text
    title = re.search(r"<title>([^<]{1,200})", text, re.IGNORECASE)
    text = title[1] if title else re.sub(r"<[^<>]{0,500}>", " ", text)
    words = one_line(text)[:200]
    return words if any(char.isalpha() for char in words) else ""


def _seconds(retry_after: str) -> float:
    """A Retry-After header in seconds from now: 0 if it is none, a day at most."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), 86_400.0) if math.isfinite(seconds) else 0.0
