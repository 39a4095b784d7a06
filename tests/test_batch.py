"""Many pictures at once: what is read, what is written, what a bad input costs."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pyarrow
import pytest
import webdataset
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet
from skimage import data as samples

import sedic
from sedic.batch import Folder, Job, RemoteFolder, run
from sedic.errors import SedicError
from sedic.sources import CODED, PICTURES, all_items, open_source, output_name
from sedic.synthesis.stages import Stage

PHOTO = samples.chelsea()[20:84, 100:196]


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def coded() -> bytes:
    return sedic.compress(PHOTO.copy(), max_bytes=250)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with two pictures, one that is none, and what nobody asked for."""
    folder = tmp_path / "photos"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "one.jpg").write_bytes(jpeg())
    (folder / "two.PNG").write_bytes(jpeg())
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not wanted")
    return folder


def outcomes(job: Job, source: object, out: Path, **options: Any) -> list[tuple[str, str | None]]:
    items = all_items([open_source(str(source), job.suffixes)])
    return [(o.status, o.output) for o in run(job, items, Folder(out), **options)]


SMALL = Job("compress", max_bytes=250)


def test_a_folder_keeps_its_tree_and_is_resumed(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = outcomes(SMALL, tree, out)
    assert first == [("done", "a/one.sedic"), ("failed", "bad.sedic"), ("done", "two.sedic")]
    assert (out / "two.sedic").read_bytes() == sedic.compress(jpeg(), max_bytes=250)
    (out / "a" / "one.sedic").write_bytes(b"mine")
    again = outcomes(SMALL, tree, out)
    assert [status for status, _ in again] == ["skipped", "failed", "skipped"]
    assert (out / "a" / "one.sedic").read_bytes() == b"mine"
    assert outcomes(SMALL, tree / "a", out / "a", force=True) == [("done", "one.sedic")]
    assert (out / "a" / "one.sedic").read_bytes() == (out / "two.sedic").read_bytes()


def test_every_action(coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = Stage(1, 1, "whole", np.zeros_like(PHOTO))
    monkeypatch.setattr("sedic.decoder.Decoder.stages", lambda *_, **__: iter([last]))
    (tmp_path / "x.sedic").write_bytes(coded)
    for action, name in (("decompress", "x.png"), ("preview", "x.png"), ("inspect", "x.json")):
        out = tmp_path / action
        assert outcomes(Job(action), tmp_path / "x.sedic", out) == [("done", name)]
    assert not np.asarray(Image.open(tmp_path / "decompress" / "x.png")).any()
    shown = np.asarray(Image.open(tmp_path / "preview" / "x.png"))
    assert np.array_equal(shown, sedic.preview(coded))
    facts = json.loads((tmp_path / "inspect" / "x.json").read_text())
    assert facts["bytes"] == len(coded) == sum(facts["parts"].values())
    assert facts["overall"] == sedic.read(coded).overall


def test_globs_and_files(tree: Path) -> None:
    def names(source: object) -> list[str]:
        return [item.name for item in open_source(str(source), PICTURES).items()]

    assert names(f"{tree}/**/*.jpg") == ["a/one.jpg"]
    assert names(f"{tree}/*") == ["bad.png", "two.PNG"]
    assert names(tree / "notes.txt") == ["notes.txt"]  # asked for by name
    with pytest.raises(SedicError, match="no such file"):
        names(tree / "absent")


def test_outputs_that_meet(tree: Path, tmp_path: Path) -> None:
    (tree / "two.jpg").write_bytes(jpeg())
    found = outcomes(SMALL, tree, tmp_path / "out")
    assert sorted(found)[-1] == ("failed", "two.sedic")
    assert [status for status, _ in found].count("done") == 2


def test_shards_of_webdataset(coded: bytes, tmp_path: Path) -> None:
    shard = tmp_path / "shard-0003.tar"
    with webdataset.TarWriter(str(shard)) as writer:
        for key in ("000", "001"):
            writer.write({"__key__": key, "sedic": coded, "cls": 3, "txt": "a cat"})
    found = outcomes(Job("inspect"), shard, tmp_path / "out")
    assert found == [("done", "shard-0003/000.json"), ("done", "shard-0003/001.json")]
    assert json.loads((tmp_path / "out/shard-0003/000.json").read_text())["bytes"] == len(coded)


def archive(names: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.sedic")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return buffer.getvalue()


def test_hostile_archives(coded: bytes, tmp_path: Path) -> None:
    path = tmp_path / "shard.tar.gz"
    names = ("../../up.sedic", "/root.sedic", "c:/x.sedic", "a\x1b[31m.sedic", "fine.sedic")
    path.write_bytes(archive(dict.fromkeys(names, coded)))
    out = tmp_path / "out"
    found = outcomes(Job("inspect"), path, out)
    assert [status for status, _ in found] == ["failed", "done", "done", "failed", "done"]
    written = {str(made.relative_to(tmp_path)) for made in tmp_path.rglob("*.json")}
    assert written == {"out/shard/root.json", "out/shard/c:/x.json", "out/shard/fine.json"}
    whole = archive({f"{number}.sedic": coded for number in range(30)}, "w")
    cut = tmp_path / "cut.tar"  # ends within a file
    cut.write_bytes(whole[: 20 * 1024 + 600])
    found = outcomes(Job("inspect"), cut, out)
    assert ("done", "cut/0.json") in found and found[-1][0] == "failed"
    cut.write_bytes(b"no archive")
    assert [status for status, _ in outcomes(Job("inspect"), cut, out)] == ["failed"]


@given(st.text(max_size=30))
def test_names_stay_in_the_folder_of_outputs(name: str) -> None:
    root = Path("/out")
    try:
        made = output_name(name, ".sedic")
    except SedicError:
        return
    assert Path(os.path.normpath(root / made)).is_relative_to(root)
    assert made.isprintable() and made.endswith(".sedic")


def test_rows_of_parquet(coded: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    plain = pyarrow.table({"image": [coded, None, b"no file"], "label": [1, 2, 3]})
    parquet.write_table(plain, path)
    found = outcomes(Job("inspect"), path, tmp_path / "plain")
    assert found == [
        ("done", "rows/00000000.json"),
        ("failed", "rows/00000001.json"),
        ("failed", "rows/00000002.json"),
    ]
    images = [{"bytes": coded, "path": "a.sedic"}]  # as ``datasets`` writes images
    parquet.write_table(pyarrow.table({"image": images, "other": [b"x"]}), path)
    with pytest.raises(SedicError, match="--column"):
        open_source(str(path), CODED)
    with pytest.raises(SedicError, match="no column 'none'"):
        open_source(str(path), CODED, "none")
    items = open_source(str(path), CODED, "image").items()
    assert next(items).read() == coded
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(SedicError, match="Parquet"):
        open_source(str(path), CODED)


def test_urls(coded: bytes) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/in/a/x.sedic": coded, "/in/y.sedic": b"bad", "/in/z.txt": b""})
    try:
        job = Job("inspect")
        for expected in ("done", "skipped"):
            items = all_items([open_source("memory://in", job.suffixes)])
            made = list(run(job, items, RemoteFolder("memory://made/here")))
            assert [o.status for o in made] == [expected, "failed"]
        assert json.loads(memory.cat("/made/here/a/x.json"))["bytes"] == len(coded)
        with pytest.raises(SedicError, match="exists already"):
            RemoteFolder("memory://made/here").write("a/x.json", b"", force=False)
    finally:
        memory.rm("/in", recursive=True)
        memory.rm("/made", recursive=True)
    with pytest.raises(SedicError, match="nonsense"):
        open_source("nonsense://x", CODED)


class Bucket(MemoryFileSystem):  # type: ignore[misc]
    """An object store as ``s3fs`` presents one, kept in memory."""

    protocol = ("s3",)
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("s3://")))


def test_every_kind_of_input_from_an_object_store(
    coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from sedic.cli.main import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(_registry, "s3", Bucket)
    rows = io.BytesIO()
    parquet.write_table(pyarrow.table({"image": [coded, b"bad"]}), rows)
    store = Bucket(skip_instance_cache=True)
    monkeypatch.setattr(Bucket, "store", {})
    store.pipe(
        {
            "/bucket/in/a/x.sedic": coded,
            "/bucket/in/z.txt": b"",
            "/bucket/more/y.sedic": b"bad",
            "/bucket/s.tar": archive({"000.sedic": coded}, "w"),
            "/bucket/rows.parquet": rows.getvalue(),
        }
    )
    (tmp_path / "here.sedic").write_bytes(coded)
    sources = ["s3://bucket/in", "s3://bucket/more/*.sedic", "s3://bucket/s.tar"]
    sources += ["s3://bucket/rows.parquet", f"file://{tmp_path}/here.sedic"]
    command = ["batch", *sources, "--out", "s3://bucket/out", "--action", "inspect"]
    for counts in ("4 done, 0 skipped, 2 failed", "0 done, 4 skipped, 2 failed"):
        done = CliRunner().invoke(app, [*command, "--workers", "1"])
        assert counts in str(done.exception), done.output
    made = {"a/x.json", "s/000.json", "rows/00000000.json", "here.json"}
    assert {path.removeprefix("/bucket/out/") for path in store.find("/bucket/out")} == made
    assert (tmp_path / "report.jsonl").read_text().count("\n") == 12
    refused = CliRunner().invoke(app, ["batch", "s3://bucket/in", "--out", "s3://bucket/in/out"])
    assert "would mix with the inputs" in str(refused.exception)


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_store_without_its_package_is_one_line(
    scheme: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(_registry, scheme, raising=False)
    with pytest.raises(SedicError, match=package) as caught:
        open_source(f"{scheme}://bucket/x", CODED)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SedicError, match=r"pip install 'sedic\[batch\]'"):
        open_source(str(tmp_path / "x.parquet"), CODED)


DEADLY = """
import os, sys
from pathlib import Path
from sedic.batch import Folder, Job, run
from sedic.sources import open_source

class Deadly(Job):
    def run(self, data):
        if data == b"die":
            os._exit(9)
        if data == b"sleep":
            import time
            print("asleep", flush=True)
            time.sleep(600)
        return data

if __name__ == "__main__":
    job = Deadly("inspect")
    items = open_source(sys.argv[1], job.suffixes).items()
    for outcome in run(job, items, Folder(Path(sys.argv[2])), workers=2):
        print(outcome.line(), end="", flush=True)
"""


@pytest.fixture
def deadly(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    script = tmp_path / "deadly.py"
    script.write_text(DEADLY)
    (tmp_path / "in").mkdir()

    def start(contents: dict[str, bytes]) -> subprocess.Popen[str]:
        for name, data in contents.items():
            (tmp_path / "in" / f"{name}.sedic").write_bytes(data)
        command = [sys.executable, str(script), str(tmp_path / "in"), str(tmp_path / "out")]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)

    return start


def test_a_worker_that_dies_costs_its_own_input_alone(
    deadly: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    contents = {f"{number}": b"%d" % number for number in range(6)}
    process = deadly(contents | {"2": b"die"})
    said, _ = process.communicate(timeout=240)
    made = {(line := json.loads(text))["output"]: line["status"] for text in said.splitlines()}
    expected = {f"{number}.json": "done" for number in range(6)}
    assert made == expected | {"2.json": "failed"}
    assert (tmp_path / "out" / "5.json").read_bytes() == b"5"


def test_ctrl_c_ends_the_workers(
    deadly: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = deadly({"a": b"sleep", "b": b"sleep"})
    assert process.stdout is not None
    assert process.stdout.readline() == "asleep\n"
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=120)
    assert time.monotonic() - begun < 60
    with pytest.raises(ProcessLookupError):  # nobody of the group is left
        for _ in range(200):
            os.killpg(process.pid, 0)
            time.sleep(0.1)
    assert list((tmp_path / "out").glob("*")) == []


def test_the_command(tree: Path, coded: bytes, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from sedic.cli.main import app

    def sedic_batch(*arguments: object) -> Any:
        return CliRunner().invoke(app, ["batch", *map(str, arguments)])

    (tree / "a" / "x.sedic").write_bytes(coded)
    out = tmp_path / "out"
    common = ("--action", "inspect", "--workers", 1)
    done = sedic_batch(tree, "--out", out, *common)
    assert done.exit_code == 0 and "1 done, 0 skipped, 0 failed" in done.stderr
    (tree / "bad.sedic").write_bytes(b"bad")
    done = sedic_batch(tree, "--out", out, *common)
    assert "0 done, 1 skipped, 1 failed" in str(done.exception)
    lines = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["done", "skipped", "failed"]
    assert "not a .sedic file" in lines[-1]["error"]
    for same in (tree, tree / "a"):
        refused = sedic_batch(tree, "--out", same, *common)
        assert "would mix with the inputs" in str(refused.exception)
    one = tree / "a" / "x.sedic"
    refused = sedic_batch(one, "--out", tree / "a", "--workers", 1)
    assert "would mix with the inputs" in str(refused.exception)
    assert one.read_bytes() == coded
    assert sedic_batch(tree, "--out", out, "--action", "fly").exit_code == 2
    assert sedic_batch(tree, "--out", out, "--bpp", 1, "--max-bytes", 1).exit_code == 2
