"""Batches on a real Ray cluster: two nodes on this machine, reached by their address."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet
from skimage import data as samples
from typer.testing import CliRunner

import sedic
from sedic.batch import Folder, Job, Outcome
from sedic.cli.main import app
from sedic.errors import SedicError
from sedic.sources import all_items, open_source

pytestmark = pytest.mark.timeout(1200)  # a cluster begins many processes

ERRANDS = """
import os
import time

from sedic.batch import Job

class Errand(Job):
    '''Answers with the process that computed it; some inputs are slow, some kill the process.'''

    def run(self, data):
        if data == b"die":
            os._exit(9)
        if data == b"slow":
            time.sleep(2)
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return f"{os.getppid()} {visible}".encode()
"""


def test_a_missing_ray_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.sedic").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "sedic.cluster", raising=False)
    arguments = ["batch", str(tmp_path / "x.sedic"), "--out", str(tmp_path / "out")]
    missing = CliRunner().invoke(app, [*arguments, "--engine", "ray"])
    assert isinstance(missing.exception, SedicError)
    assert "pip install 'sedic[ray]'" in str(missing.exception)
    assert CliRunner().invoke(app, [*arguments, "--engine", "spark"]).exit_code == 2
    assert CliRunner().invoke(app, [*arguments, "--address", "auto"]).exit_code == 2


@pytest.fixture(scope="module")
def coded() -> bytes:
    return sedic.compress(samples.chelsea()[20:84, 100:196].copy(), max_bytes=250)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of two nodes with two processors each; the first has two GPUs, as far as Ray knows.

    The module ``errands`` can be imported there and here.
    """
    pytest.importorskip("ray")
    folder = tmp_path_factory.mktemp("modules")
    (folder / "errands.py").write_text(ERRANDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # Ray's 15 would wait for all else here
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 2, "object_store_memory": 200 << 20, "include_dashboard": False}
        nodes = Cluster(initialize_head=True, head_node_args={**node, "num_gpus": 2})
        try:
            nodes.add_node(num_cpus=2, object_store_memory=200 << 20)
            yield nodes.address
        finally:
            nodes.shutdown()


@pytest.fixture
def inputs(tmp_path: Path, coded: bytes) -> list[Path]:
    """A folder, a shard and a table, each with good and bad inputs."""
    folder = tmp_path / "coded"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "one.sedic").write_bytes(coded)
    (folder / "two.sedic").write_bytes(coded)
    (folder / "bad.sedic").write_bytes(b"bad")
    (folder / "gone.sedic").symlink_to(tmp_path / "nowhere")
    (folder / "notes.txt").write_text("not wanted")
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for name in ("000.sedic", "../../up.sedic", "001.sedic"):
            member = tarfile.TarInfo(name)
            member.size = len(coded)
            tar.addfile(member, io.BytesIO(coded))
    rows = pyarrow.table({"image": [coded, None, b"no file"]})
    parquet.write_table(rows, tmp_path / "rows.parquet")
    cut = (tmp_path / "shard.tar").read_bytes()[:700]
    (tmp_path / "cut.tar").write_bytes(cut)
    return [folder, *(tmp_path / name for name in ("shard.tar", "rows.parquet", "cut.tar"))]


def told(lines: list[str]) -> list[dict[str, Any]]:
    """The lines of a report in the order of their sources, without times."""
    found = [json.loads(line) for line in lines]
    for outcome in found:
        outcome.pop("seconds", None)
    return sorted(found, key=lambda outcome: outcome["source"])


@pytest.mark.slow
def test_a_cluster_does_what_one_process_does(
    address: str, inputs: list[Path], tmp_path: Path
) -> None:
    from sedic.batch import run

    job = Job("inspect")
    readers = [open_source(str(source), job.suffixes) for source in inputs]
    here = [outcome.line() for outcome in run(job, all_items(readers), Folder(tmp_path / "here"))]
    out = tmp_path / "there"
    command = ["batch", *map(str, inputs), "--out", str(out), "--action", "inspect"]
    command += ["--engine", "ray", "--address", address, "--workers", "2"]
    done = CliRunner().invoke(app, command)
    report = (out / "report.jsonl").read_text().splitlines()
    assert told(report) == told(here)
    good = sum(json.loads(line)["status"] == "done" for line in here)
    assert 5 <= good < len(here)
    assert f"{good} done, 0 skipped, {len(here) - good} failed" in str(done.exception)
    made = {path.relative_to(out): path.read_bytes() for path in out.rglob("*.json")}
    wanted = (tmp_path / "here").rglob("*.json")
    assert made == {path.relative_to(tmp_path / "here"): path.read_bytes() for path in wanted}
    again = CliRunner().invoke(app, command)
    assert f"0 done, {good} skipped, {len(here) - good} failed" in str(again.exception)


def processes_of_workers() -> list[int]:
    """Ray's processes with a ``_Worker``, by the titles that Ray gives them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            title = entry.read_bytes()
        except OSError:  # it has just ended
            continue
        if title.startswith(b"ray::") and b"_Worker" in title:
            found.append(int(entry.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_a_killed_worker_loses_nothing(address: str, tmp_path: Path) -> None:
    import errands  # type: ignore[import-not-found]

    from sedic import cluster

    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}.sedic").write_bytes(b"slow")
    (folder / "05.sedic").write_bytes(b"die")
    job = errands.Errand("inspect")
    reader = open_source(str(folder), job.suffixes)
    found: dict[str, Outcome] = {}
    killed: list[int] = []
    for outcome in cluster.run(job, [reader], str(tmp_path / "out"), address=address, workers=2):
        assert outcome.output not in found and outcome.output is not None
        found[outcome.output] = outcome
        if not killed:
            killed = processes_of_workers()[:1]
            os.kill(killed[0], signal.SIGKILL)
    assert len(found) == 12
    assert found["05.json"].status == "failed"
    assert "worker process died" in str(found.pop("05.json").error)
    assert {outcome.status for outcome in found.values()} <= {"done", "skipped"}
    made = [(tmp_path / "out" / name).read_text().split()[0] for name in found]
    assert len(set(made)) >= 2  # both worked
    assert set(made) - {str(killed[0])}


@pytest.mark.slow
def test_networks_get_the_gpus(address: str, tmp_path: Path) -> None:
    import errands

    from sedic import cluster

    (tmp_path / "in").mkdir()
    for number in range(6):
        (tmp_path / "in" / f"{number}.sedic").write_bytes(b"slow")
    for action, seen in (("decompress", {"0", "1"}), ("inspect", {""})):
        job = errands.Errand(action)
        reader = open_source(str(tmp_path / "in"), job.suffixes)
        out = tmp_path / action
        done = list(cluster.run(job, [reader], str(out), address=address, force=True))
        assert {outcome.status for outcome in done} == {"done"}
        answers = [path.read_text().partition(" ")[2] for path in out.iterdir()]
        assert set(answers) == seen


@pytest.mark.slow
def test_a_pipeline_of_ones_own(address: str, tmp_path: Path) -> None:
    import ray

    from sedic.cluster import Coder, FilePerRow

    (tmp_path / "photos").mkdir()
    for name in ("one.png", "two.png"):
        Image.fromarray(samples.chelsea()[20:84, 100:196]).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")
    job = Job("compress", max_bytes=250)
    with ray.init(address=address, log_to_driver=False):
        coded = (
            ray.data.read_binary_files(str(tmp_path / "photos"), include_paths=True)
            .map_batches(Coder, fn_constructor_args=[job], batch_format="pyarrow", concurrency=2)
            .materialize()
        )
        coded.write_parquet(str(tmp_path / "table"))
        coded.write_datasink(FilePerRow(str(tmp_path / "files"), ".sedic"))
        coded.write_datasink(FilePerRow(str(tmp_path / "tree"), ".sedic", str(tmp_path)))
    expected = sedic.compress(tmp_path / "photos" / "one.png", max_bytes=250)
    written = {path.name: path.read_bytes() for path in (tmp_path / "files").iterdir()}
    assert written == {"one.sedic": expected, "two.sedic": expected}
    assert (tmp_path / "tree" / "photos" / "two.sedic").read_bytes() == expected
    table = {
        Path(row["path"]).name: row for row in parquet.read_table(tmp_path / "table").to_pylist()
    }
    assert table["two.png"]["output"] == expected and table["two.png"]["error"] is None
    assert table["bad.png"]["output"] is None and "picture" in table["bad.png"]["error"]


@pytest.mark.slow
def test_a_cluster_of_this_machine_is_begun_and_ended(inputs: list[Path], tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    command = ["batch", str(inputs[0] / "a"), "--out", str(tmp_path / "out"), "--engine", "ray"]
    done = CliRunner().invoke(app, [*command, "--action", "inspect", "--workers", "1"])
    assert done.exit_code == 0 and "1 done" in done.stderr, done.output
    assert not ray.is_initialized()
    assert (tmp_path / "out" / "one.json").exists()


def test_what_a_cluster_cannot_reach(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from sedic import cluster

    (tmp_path / "x.sedic").write_bytes(b"")
    reader = open_source(str(tmp_path / "x.sedic"), frozenset([".sedic"]))
    with pytest.raises(SedicError, match="cannot reach this memory"):
        next(cluster.run(Job("inspect"), [reader], "memory://out"))
    for address, error in (
        ("127.0.0.1:1", "no cluster answers at 127.0.0.1:1"),
        ("ray://127.0.0.1:1", "no cluster answers"),
        ("nonsense", "auto, host:port"),
        ("host:99999", "auto, host:port"),
        ("a\nb:1", "no cluster answers"),
    ):
        with pytest.raises(SedicError, match=error) as caught:
            next(cluster.run(Job("inspect"), [reader], str(tmp_path / "out"), address=address))
        assert "\n" not in str(caught.value)
