"""An ASGI layer that refuses all requests that the page does not need, before gradio sees them.

gradio's server does more than serve a page: it has proxies, downloads of URLs, dashboards and
stored deep links. This layer accepts only the routes of this page, only requests that this page
sends, only small ones, and no URL in place of a file. Its headers tell the browser to load nothing
from other servers.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_CALL_BYTES = 1 << 16  # of a request that carries no file
_DISCARDED_MESSAGES = 4096  # of up to 64 KiB each, of a request that is refused
_FORM_BYTES = 1 << 14  # of an upload, besides the file
_NAME = r"[\w-]+"
_FILE = "/gradio_api/file="
_ROUTES = {
    "GET": re.compile(
        r"/|/config|/theme\.css|/favicon\.ico|/robots\.txt|/(assets|static)/[\w./-]+"
        rf"|/gradio_api/(info|startup-events|upload_progress|queue/(data|status)|heartbeat/{_NAME}"
        rf"|call/{_NAME}/{_NAME}|file=.+)"
    ),
    "POST": re.compile(
        rf"/gradio_api/(upload|cancel|reset|queue/join|call/{_NAME}|call/v2/{_NAME})"
    ),
}
_ROUTES["HEAD"] = _ROUTES["GET"]
_HEADERS = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline';"
    " script-src 'self' 'unsafe-inline' 'unsafe-eval'; img-src 'self' data: blob:;"
    " font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self';"
    " frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class _RefusedError(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Door:
    """Wraps an ASGI application.

    ``folder``: the only folder whose files are served. Limits: ``upload_bytes`` of a request with a
    file; ``stored_bytes`` of all files in the folder, above which uploads are refused. ``hosts``:
    names that a request's Host header may have; any name if it is empty.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        folder: Path,
        upload_bytes: int,
        stored_bytes: int,
        hosts: Collection[str] = (),
    ) -> None:
        self._app = app
        self._folder = folder.resolve()
        self._upload_bytes = upload_bytes + _FORM_BYTES
        self._stored_bytes = stored_bytes
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            self._check(scope)
            if scope["method"] == "POST":
                receive = await self._checked_body(scope, receive)
        except _RefusedError as refusal:
            if refusal.code == 413:  # nothing of it was read yet
                await _discard(receive)
            await _answer(send, refusal.code, refusal.reason)
            return
        is_file = scope["path"].startswith(_FILE)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = _HEADERS | ({"cache-control": "no-store"} if is_file else {})
                kept = [
                    (name, value)
                    for name, value in message["headers"]
                    if name.decode() not in extra
                ]
                more = [(name.encode(), value.encode()) for name, value in extra.items()]
                message = {**message, "headers": [*kept, *more]}
            await send(message)

        await self._app(scope, receive, guarded)

    def _check(self, scope: Scope) -> None:
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        host = headers.get("host", "")
        if self._hosts and _name_of(host) not in self._hosts:
            raise _RefusedError(403, "this page has another name")  # DNS rebinding
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise _RefusedError(403, "another site may not call this page")
        path = scope["path"]
        route = _ROUTES.get(scope["method"])
        if route is None or not route.fullmatch(path) or ".." in path.split("/"):
            raise _RefusedError(404, "there is no such page")
        if path.startswith(_FILE):
            asked = os.path.realpath(unquote(path.removeprefix(_FILE)).replace("\0", ""))
            if not Path(asked).is_relative_to(self._folder):
                raise _RefusedError(403, "no such file is served")

    async def _checked_body(self, scope: Scope, receive: Receive) -> Receive:
        """The request's body, limited in length; the body of an API call is read and checked."""
        if scope["path"] == "/gradio_api/upload":
            if _size_of(self._folder) > self._stored_bytes:
                raise _RefusedError(507, "this page holds too many files: try again in a while")
            _check_length(scope, self._upload_bytes)
            return _limited(receive, self._upload_bytes)
        _check_length(scope, _CALL_BYTES)
        limited = _limited(receive, _CALL_BYTES)
        body, more = b"", True
        while more:
            message = await limited()
            if message["type"] == "http.disconnect":
                break
            body += message.get("body", b"")
            more = message.get("more_body", False)
        try:
            content = json.loads(body or b"null")
        except (ValueError, RecursionError) as error:
            raise _RefusedError(400, "this is no JSON") from error
        if _has_address(content):
            raise _RefusedError(400, "send the file itself, not its address")
        rest: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return rest.pop() if rest else await receive()

        return again


def _name_of(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].casefold()


def _check_length(scope: Scope, limit: int) -> None:
    for name, value in scope["headers"]:
        if name == b"content-length" and not (value.isdigit() and int(value[:20]) <= limit):
            raise _RefusedError(413, f"at most {limit:,} bytes")


def _limited(receive: Receive, limit: int) -> Receive:
    """``receive``, which ends the request where more than ``limit`` bytes come."""
    left = limit

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return {"type": "http.disconnect"} if left < 0 else message

    return counted


def _has_address(content: Any) -> bool:
    """Whether a file in the JSON of a call is an URL, which gradio would fetch."""
    open_ones = [content]
    while open_ones:
        one = open_ones.pop()
        if isinstance(one, list):
            open_ones += one
        elif isinstance(one, dict):
            path = one.get("path")
            if isinstance(path, str) and "://" in path:
                return True
            open_ones += one.values()
    return False


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in list(folder.rglob("*")) if path.is_file())


async def _discard(receive: Receive) -> None:
    """Read the rest of a request, because a client that still sends does not read the answer."""
    for _ in range(_DISCARDED_MESSAGES):
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            return


async def _answer(send: Send, code: int, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": f"{reason}\n".encode()})
