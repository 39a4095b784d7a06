"""What the page lets in, asked over plain HTTP."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from sedic.web.door import _has_address, _name_of


def ask(
    url: str,
    data: bytes | None = None,
    headers: dict[str, str] | None = None,
    method: str | None = None,
) -> tuple[int, bytes, dict[str, str]]:
    request = urllib.request.Request(url, data, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.read(), {k.lower(): v for k, v in reply.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, error.read(), {}


def call(address: str, name: str, *data: Any) -> tuple[int, bytes]:
    body = json.dumps({"data": data}).encode()
    status, answer, _ = ask(
        f"{address}gradio_api/call/{name}", body, {"content-type": "application/json"}
    )
    return status, answer


def form(name: str, content: bytes) -> tuple[bytes, dict[str, str]]:
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + b"\r\n--x--\r\n"
    return body, {"content-type": "multipart/form-data; boundary=x"}


def test_the_page_loads_nothing_from_elsewhere(address: str) -> None:
    status, page, headers = ask(address)
    assert status == 200 and b"fonts.googleapis" not in page
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert headers["referrer-policy"] == "no-referrer"
    theme = ask(f"{address}theme.css")[1]
    assert set(re.findall(rb"https?:[^'\")]*", theme)) == {b"http://www.w3.org/2000/svg"}
    config = json.loads(ask(f"{address}config")[1])
    assert config["analytics_enabled"] is False


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../../../../etc/passwd",
        "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "{temporary}/../../../../etc/passwd",
        "http://127.0.0.1:1/",
        "https://example.org/",
        "C:/windows/win.ini",
        "{here}",
    ],
)
def test_no_file_of_the_server_is_served(address: str, path: str) -> None:
    path = path.format(here=Path(__file__).resolve(), temporary="/tmp")
    for route in ("gradio_api/file=", "file=", "static/", "assets/", "gradio_api/file/"):
        status, body, _ = ask(f"{address}{route}{path}")
        assert status in (403, 404), (route, path)
        assert b"root:" not in body and b"import" not in body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "gradio_api/proxy=http://127.0.0.1:1/"),
        ("GET", "gradio_api/deep_link?session_hash=a"),
        ("GET", "monitoring"),
        ("GET", "monitoring/summary"),
        ("GET", "gradio_api/vibe-code/"),
        ("GET", "gradio_api/openapi.json"),
        ("GET", "gradio_api/run-history/buckets"),
        ("POST", "gradio_api/vibe-edit/"),
        ("POST", "gradio_api/process_recording"),
        ("POST", "gradio_api/component_server"),
        ("POST", "gradio_api/run/compress"),
        ("POST", "login"),
        ("PUT", ""),
        ("DELETE", "config"),
    ],
)
def test_what_the_page_does_not_need_is_shut(address: str, method: str, path: str) -> None:
    data = b"{}" if method == "POST" else None
    assert ask(address + path, data, method=method)[0] == 404


def test_other_sites_may_not_call_the_page(address: str) -> None:
    assert ask(address, headers={"host": "sedic.example"})[0] == 403  # a name that was rebound
    for origin in ("https://example.org", "null", "http://localhost:1"):
        status, _, _ = ask(f"{address}gradio_api/upload", b"", {"origin": origin})
        assert status == 403
    assert ask(address, headers={"origin": address.rstrip("/")})[0] == 200


def test_requests_are_small(address: str) -> None:
    body, headers = form("a.png", bytes(1 << 20))
    assert ask(f"{address}gradio_api/upload", body, headers)[0] == 200
    body, headers = form("a.png", bytes((1 << 20) + (1 << 15)))
    assert ask(f"{address}gradio_api/upload", body, headers)[0] == 413
    assert call(address, "edit", "x" * (1 << 17))[0] == 413


def test_files_are_sent_and_not_named(address: str) -> None:
    fetched = {"path": "http://127.0.0.1:1/a.png", "meta": {"_type": "gradio.FileData"}}
    status, answer = call(address, "decode", fetched)
    assert status == 400 and b"its address" in answer
    assert call(address, "decode", {"deeper": [fetched]})[0] == 400
    assert (
        ask(f"{address}gradio_api/call/decode", b"{", {"content-type": "application/json"})[0]
        == 400
    )
    for meta in ({"_type": "gradio.FileData"}, None):
        named = {"path": str(Path(__file__).resolve()), "meta": meta}
        status, answer = call(address, "decode", named)
        event = json.loads(answer)["event_id"]
        said = ask(f"{address}gradio_api/call/decode/{event}")[1]
        assert said.startswith(b"event: error") and b"import" not in said


def test_served_files_stay_in_no_cache(address: str) -> None:
    body, headers = form("a.sedic", b"anything")
    (path,) = json.loads(ask(f"{address}gradio_api/upload", body, headers)[1])
    status, content, headers = ask(f"{address}gradio_api/file={path}")
    assert (status, content, headers["cache-control"]) == (200, b"anything", "no-store")


def test_names_and_addresses() -> None:
    assert [_name_of(host) for host in ("LocalHost:80", "[::1]:80", "a")] == [
        "localhost",
        "::1",
        "a",
    ]
    assert _has_address([{"a": {"path": "ftp://x"}}]) and not _has_address(
        [{"path": "/x"}, 1, None]
    )
