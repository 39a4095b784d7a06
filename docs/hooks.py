"""Takes the pages of ``benchmarks/`` into the site, and makes links between the folders work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
SHOWN = {".md", ".jpg", ".png", ".svg", ".csv", ".json", ".jsonl", ".html"}


def on_files(files: Files, *, config: Any) -> Files:
    """Add what the pages of ``benchmarks/`` show and link to."""
    for path in sorted((ROOT / "benchmarks").rglob("*")):
        if path.is_file() and path.suffix in SHOWN:
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Rewrite links that are right in the repository, where ``docs`` is a folder of its own."""
    if page.file.src_uri.startswith("benchmarks/"):
        return re.sub(r"\]\(((?:\.\./)+)docs/", r"](\1", markdown)
    return markdown.replace("](../benchmarks/", "](benchmarks/")
