"""Runs the page, and deletes its files at the end."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sedic import extras
from sedic.errors import UnsuitableInputError
from sedic.files import printable
from sedic.web.door import LOOPBACK as LOOPBACK
from sedic.web.limits import Limits

if TYPE_CHECKING:
    from sedic.profile import Profile

# gradio reads these. Nothing is reported to its makers, and no public address is asked for.
_ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_ALLOWED_PATHS": "",
    "GRADIO_ROOT_PATH": "",
    "GRADIO_NUM_WORKERS": "0",
}


@contextmanager
def running(
    profile: Profile, *, host: str = "127.0.0.1", port: int = 7860, limits: Limits | None = None
) -> Iterator[str]:
    """Run the page in threads of its own; yields its address. At the end all its files are deleted.

    ``port`` 0 is any free one. Raises ``UnsuitableInputError`` where host or port cannot be had,
    and ``MissingWeightsError``, which names the extra, without gradio.
    """
    limits = limits or Limits()
    with extras.named():
        import gradio  # noqa: F401
    port = _free_port(host, port)
    with TemporaryDirectory(prefix="sedic-web-") as name, _environment(name):
        page, launch = _page(profile, host, port, limits, Path(name))
        try:
            page.launch(**launch)
            yield f"http://{_in_address(host)}:{port}/"
        finally:
            with suppress(Exception):  # one that never started
                page.close(verbose=False)


def serve() -> None:
    """Wait until the user interrupts the process or ends it."""
    stopped = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    try:
        with suppress(KeyboardInterrupt):
            stopped.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def _page(
    profile: Profile, host: str, port: int, limits: Limits, folder: Path
) -> tuple[Any, dict[str, Any]]:
    """The page, and the keyword arguments of its ``launch``."""
    from starlette.middleware import Middleware

    from sedic.web import page
    from sedic.web.door import Door
    from sedic.web.work import Work

    door = Middleware(
        Door,
        folder=folder,
        upload_bytes=limits.upload_bytes,
        stored_bytes=limits.stored_bytes,
        hosts=LOOPBACK if host in LOOPBACK else (),
    )
    blocks = page.build(Work(profile, limits), folder)
    blocks.queue(max_size=limits.waiting, default_concurrency_limit=1, api_open=False)
    return blocks, {
        "server_name": _in_address(host),
        "server_port": port,
        "app_kwargs": {"middleware": [door]},
        "max_file_size": limits.upload_bytes,
        "allowed_paths": [],
        "state_session_capacity": 64,
        "footer_links": [],
        "share": False,
        "inline": False,
        "quiet": True,
        "prevent_thread_lock": True,
        "show_error": False,
        "enable_monitoring": False,
        "run_history": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "num_workers": 0,
        **page.THEME,
    }


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _free_port(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise UnsuitableInputError(
            f"{printable(host)}, port {port}: {error.strerror or error};"
            " --port names another, 0 any that is free"
        ) from error


@contextmanager
def _environment(folder: str) -> Iterator[None]:
    """Set gradio's environment variables, with its files in ``folder``; restore them at the end."""
    ours = {**_ENVIRONMENT, "GRADIO_TEMP_DIR": folder}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
