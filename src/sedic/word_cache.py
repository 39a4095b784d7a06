"""A cache of decoded words on disk, so that the second search of a folder is fast.

The cache is an SQLite database. The key of an entry is a SHA-256 of the coded text and of the table
it was coded with, so entries never become wrong: a file that is changed has another key, and one
that is moved or copied has the same. A database that cannot be used is ignored.
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

# Version 0.2's first databases have a table named words with other columns.
_TABLE = "create table if not exists texts (key blob primary key, words text not null)"


class WordCache:
    """Decodes the words of files through a cache. As a context manager it saves and closes it."""

    def __init__(self, path: Path | None) -> None:
        """``path``: the database, which is made where it is missing; None: nothing is cached."""
        self._base: sqlite3.Connection | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=1)
            self._base.execute(_TABLE)
        except (OSError, sqlite3.Error):
            self._base = None

    def __enter__(self) -> WordCache:
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

    def words_of(self, container: Container, profile: Profile) -> Words:
        """The words of a file; raises as ``Container.words`` does."""
        pin = profile.store.pins.get("text")
        facts = f"{pin.sha256 if pin else ''} {container.text_coder} {container.object_count} "
        key = hashlib.sha256(facts.encode() + container.text).digest()
        words = self._get(key)
        if words is not None:
            return words
        words = container.words(profile)
        # The key does not name the language model of the coder "model".
        if self._base is not None and container.text_coder != "model":
            with suppress(sqlite3.Error):
                text = json.dumps(words)
                self._base.execute("insert or ignore into texts values (?, ?)", (key, text))
        return words

    def _get(self, key: bytes) -> Words | None:
        if self._base is None:
            return None
        try:
            row = self._base.execute("select words from texts where key = ?", (key,)).fetchone()
            if row is None:
                return None
            overall, objects = json.loads(row[0])
            return str(overall), [(str(name), str(detail)) for name, detail in objects]
        except (sqlite3.Error, ValueError, TypeError):
            return None


def default_path() -> Path:
    """The database of the user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("sedic") / "words.sqlite"
