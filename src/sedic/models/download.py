"""Downloads one file from the first mirror that has the right bytes."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from sedic.errors import SedicError
from sedic.files import printable

Progress = Callable[[str, int, int], None]  # the file's name, bytes done, bytes in all or 0

_BLOCK = 1 << 20
_SECONDS = 30.0  # without a byte
_TRIES = 5  # at one mirror, as long as each brings something


class _MirrorError(Exception):
    """Why one mirror failed, in a few words."""


def download(urls: Sequence[str], target: Path, sha256: str, limit: int, progress: Progress) -> str:
    """Get ``target`` from one of ``urls`` and return its sha256.

    ``sha256``: the expected one, or "" if it is unknown. ``limit``: bytes, at most. An incomplete
    download stays in a hidden file beside ``target``, and a later call continues it; without a
    ``sha256`` it is not continued from another mirror. Raises ``SedicError``, which says why each
    mirror failed.
    """
    part = target.with_name(f".{target.name}.part")
    failures: list[str] = []
    try:
        for url in urls:
            if not sha256 and len(urls) > 1:
                part.unlink(missing_ok=True)
            try:
                _get(url, part, limit, progress)
                digest = sha256_of(part, lambda *_: None)
                if sha256 and digest != sha256:
                    part.unlink()
                    raise _MirrorError("another file (its sha256 is wrong)")
            except _MirrorError as failure:
                failures.append(f"{urlsplit(url).hostname}: {failure}")
                continue
            part.replace(target)
            return digest
    except OSError as error:
        raise SedicError(f"cannot write {printable(part)}: {error.strerror or error}") from error
    offline = all("no connection" in failure for failure in failures)
    raise SedicError(
        f"cannot get {target.name}{' (is this machine offline?)' if offline else ''}:"
        f" {'; '.join(failures)}"
    )


def _get(url: str, part: Path, limit: int, progress: Progress) -> None:
    """Complete ``part`` from one mirror, asking again while the connection breaks."""
    reason = "the connection broke"
    for _ in range(_TRIES):
        before = part.stat().st_size if part.exists() else 0
        try:
            if _continue(url, part, before, limit, progress):
                return
        except urllib.error.HTTPError as error:
            if error.code == 416 and before:  # there is nothing after what we have
                part.unlink()
                continue
            raise _MirrorError(f"{error.code} {printable(error.reason)}") from error
        except (urllib.error.URLError, http.client.HTTPException, ssl.SSLError) as error:
            cause = printable(getattr(error, "reason", "") or type(error).__name__)
            reason = f"no connection ({cause})"
        except (ConnectionError, TimeoutError) as error:
            reason = f"no connection ({error.strerror or type(error).__name__})"
        if not part.exists() or part.stat().st_size <= before:
            break
    raise _MirrorError(reason)


def _continue(url: str, part: Path, start: int, limit: int, progress: Progress) -> bool:
    """Append what the server sends after ``start``; whether the file is complete then."""
    _check_scheme(url)
    request = urllib.request.Request(url, headers={"User-Agent": "sedic"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with _opener.open(request, timeout=_SECONDS) as response:
        resumed = response.status == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise _MirrorError("it continues somewhere else than asked")
        done = start if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdecimal() else 0
        if total > limit:
            raise _MirrorError(f"{total} bytes, more than this file can have")
        with part.open("ab" if resumed else "wb") as file:
            _copy(response, file, part, done, total, limit, progress)
        return not total or part.stat().st_size == total


def _copy(
    response: IO[bytes],
    file: IO[bytes],
    part: Path,
    done: int,
    total: int,
    limit: int,
    progress: Progress,
) -> None:
    name = part.name.removeprefix(".").removesuffix(".part")
    with suppress(http.client.IncompleteRead):  # the size says so, in every version of Python
        while block := response.read(_BLOCK):
            done += len(block)
            if done > limit:
                file.truncate(0)
                raise _MirrorError("more bytes than this file can have")
            file.write(block)
            progress(name, done, total)
    file.flush()
    os.fsync(file.fileno())


def _check_scheme(url: str) -> None:
    parts = urlsplit(url)
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise _MirrorError("not https")


class _Https(urllib.request.HTTPRedirectHandler):
    """Follows redirections to https only."""

    def redirect_request(  # type: ignore[no-untyped-def]
        self, req, fp, code, msg, headers, newurl
    ):
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_opener = urllib.request.build_opener(_Https)


def sha256_of(path: Path, progress: Progress) -> str:
    """The sha256 of a file, in hexadecimal."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            progress(path.name, done, total)
    return digest.hexdigest()
