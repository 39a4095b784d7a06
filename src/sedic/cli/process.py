"""The process of one command: few garbage collections, and a quick end."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn


def run_and_leave(run: Callable[[], object]) -> NoReturn:
    """Run a command and end the process with its exit status.

    Importing torch makes a quarter of a million objects that are never freed. Garbage collection
    would visit them again and again, and the interpreter would free them one by one at the end;
    together that takes a third of the import's time. So collections are rarer, and the process ends
    right after the registered exit functions.
    """
    gc.set_threshold(500_000, 50, 1_000)  # new objects, younger and older collections
    status: object = 0
    try:
        run()
    except SystemExit as leave:
        status = leave.code
    if not (status is None or isinstance(status, int)):
        print(status, file=sys.stderr)
        status = 1
    for stream in (sys.stdout, sys.stderr):  # None where it was closed before we began
        with suppress(OSError, ValueError, AttributeError):  # whoever read it may be gone
            stream.flush()
    atexit._run_exitfuncs()
    os._exit(status or 0)
