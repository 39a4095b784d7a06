"""Words that were decoded once, kept for the next search: a small database of the user's cache.

An entry's key is a hash of the coded text and of the table that it was coded with, so it never goes
stale: a file that changes, moves or is copied is found by what it holds. A database that cannot be
used is ignored, and words are decoded.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sedic.coding.container import Container
    from sedic.profile import Profile

Words = tuple[str, list[tuple[str, str]]]  # overall; name and detail of each object

_TABLE = "create table if not exists words (key blob primary key, said text not null)"


class KeptWords:
    """Decodes words, or remembers them. Use it as a context: what is new is saved at the end."""

    def __init__(self, path: Path | None) -> None:
        """``path``: the database, made where it is missing; None keeps nothing."""
        self._base: sqlite3.Connection | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=1)
            self._base.execute(_TABLE)
        except (OSError, sqlite3.Error):
            self._base = None

    def __enter__(self) -> KeptWords:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._base is not None:
            with suppress(sqlite3.Error):
                self._base.commit()
            self._base.close()
            self._base = None

    def of(self, container: Container, profile: Profile) -> Words:
        """The words of a file; raises as ``Container.words`` does."""
        pin = profile.store.pins.get("text")
        facts = f"{pin.sha256 if pin else ''} {container.text_coder} {container.object_count} "
        key = hashlib.sha256(facts.encode() + container.text).digest()
        words = self._get(key)
        if words is not None:
            return words
        words = container.words(profile)
        if self._base is not None and container.text_coder != "model":  # another key would be due
            with suppress(sqlite3.Error):
                text = json.dumps(words)
                self._base.execute("insert or ignore into words values (?, ?)", (key, text))
        return words

    def _get(self, key: bytes) -> Words | None:
        if self._base is None:
            return None
        try:
            row = self._base.execute("select said from words where key = ?", (key,)).fetchone()
            if row is None:
                return None
            overall, objects = json.loads(row[0])
            return str(overall), [(str(name), str(detail)) for name, detail in objects]
        except (sqlite3.Error, ValueError, TypeError):
            return None


def usual_place() -> Path:
    """The database in the user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("sedic") / "words.sqlite"
