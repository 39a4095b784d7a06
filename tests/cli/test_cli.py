"""The command line as a user meets it: separate processes, real photographs, bad input."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as samples

from sedic.cli.main import main
from sedic.coding.container import checksum
from sedic.describe.named import NamedDescriber

PROGRAM = [sys.executable, "-m", "sedic"]


@dataclass
class Done:
    """What a command left behind."""

    returncode: int
    stdout: bytes
    stderr: bytes


def sedic(*arguments: object, stdin: bytes = b"", models: Path | None = None) -> Done:
    """Run the command line in this process, with streams of its own."""
    streams = [io.TextIOWrapper(io.BytesIO(data), "utf-8") for data in (stdin, b"", b"")]
    code = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sedic", *map(str, arguments)])
        patch.setenv("COLUMNS", "200")
        if models:
            patch.setenv("SEDIC_MODELS", str(models))
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            patch.setattr(sys, name, stream)
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        out, err = (stream.flush() or stream.buffer.getvalue() for stream in streams[1:])  # type: ignore[attr-defined]
    return Done(code, out, err)


def assert_one_clear_line(result: Done, *words: str) -> None:
    message = result.stderr.decode()
    assert result.returncode == 1, message
    assert message.startswith("sedic: ") and message.count("\n") == 1, message
    assert "Traceback" not in message and "\x1b" not in message
    for word in words:
        assert word in message


COMPRESS = ("--bpp", "0.05", "--objects", "2")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "chelsea.png"
    Image.fromarray(samples.chelsea()).save(path)
    return path


@pytest.fixture(scope="module")
def coded(photo: Path) -> Path:
    path = photo.with_suffix(".sedic")
    result = sedic("compress", photo, path, *COMPRESS, "-v")
    assert result.returncode == 0, result.stderr.decode()
    assert b"reference level" in result.stderr
    return path


def test_a_photo_goes_there_and_back(photo: Path, coded: Path, tmp_path: Path) -> None:
    width, height = Image.open(photo).size
    assert 8 * coded.stat().st_size / (width * height) <= 0.05
    out = tmp_path / "out.png"
    assert sedic("decompress", coded, out).returncode == 0
    decoded = np.asarray(Image.open(out))
    original = np.asarray(Image.open(photo))
    assert decoded.shape == original.shape
    error = decoded.astype(float) - original
    assert np.sqrt((error**2).mean()) < 35
    assert np.abs(error.mean((0, 1))).max() < 6  # no colour shift


def test_a_decoded_picture_that_shows_something_else_is_warned_of(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def misled(self: object, original: np.ndarray, decoded: np.ndarray) -> str:
        compared.append((original, decoded))
        return "the decoded picture may mislead: a tabby cat became a ram"

    monkeypatch.setattr(NamedDescriber, "misled", misled)
    coded, out = tmp_path / "a.sedic", tmp_path / "a.png"
    quiet = sedic("compress", photo, coded, "--max-bytes", "300")
    assert quiet.returncode == 0 and b"mislead" not in quiet.stderr and not compared
    said = sedic("compress", photo, coded, "--max-bytes", "300", "-v", "--force")
    assert b"may mislead: a tabby cat became a ram" in said.stderr
    assert sedic("decompress", coded, out).returncode == 0
    original, decoded = compared[0]
    np.testing.assert_array_equal(original, np.asarray(Image.open(photo)))
    difference = np.abs(decoded.astype(int) - np.asarray(Image.open(out)))
    assert difference.mean() < 1.5  # both are decoded, in number formats of their own


def test_inspect_accounts_for_every_byte(coded: Path) -> None:
    facts = json.loads(sedic("inspect", coded, "--json").stdout)
    assert sum(facts["parts"].values()) == facts["bytes"] == coded.stat().st_size
    assert facts["overall"] and facts["object_count"] == len(facts["objects"])
    shown = sedic("inspect", coded, "--verbose").stdout.decode()
    for part in (*facts["parts"], "operating point", str(facts["bytes"])):
        assert part in shown


def test_inspect_needs_no_torch(coded: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv[1:] = ['inspect', sys.argv[1]];"
        "from sedic.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, coded], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_pipes(photo: Path, coded: Path) -> None:
    made = sedic("compress", "-", "-", *COMPRESS, stdin=photo.read_bytes())
    assert made.stdout == coded.read_bytes()
    seen = sedic("decompress", "-", "-", stdin=made.stdout)
    assert Image.open(io.BytesIO(seen.stdout)).size == Image.open(photo).size
    assert sedic("inspect", "-", "--json", stdin=made.stdout).returncode == 0


def test_semantics_are_saved_and_used_again(photo: Path, coded: Path, tmp_path: Path) -> None:
    scene = tmp_path / "scene.json"
    first = tmp_path / "first.sedic"
    assert sedic("compress", photo, first, *COMPRESS, "--save-semantics", scene).returncode == 0
    saved = json.loads(scene.read_text())
    assert saved["objects"][0]["name"] == "cat"
    saved["overall"] = "A tabby cat looks at the camera."
    scene.write_text(json.dumps(saved))
    second = tmp_path / "second.sedic"
    result = sedic("compress", photo, second, "--bpp", "0.05", "--semantics", scene)
    assert result.returncode == 0, result.stderr.decode()
    facts = json.loads(sedic("inspect", second, "--json").stdout)
    assert facts["overall"] == saved["overall"]
    # Own words are sent, whether or not objects pay for their bytes.
    assert [o["detail"] for o in facts["objects"]] == [o["detail"] for o in saved["objects"]]


@pytest.fixture(scope="module")
def for_sd21(photo: Path) -> Path:
    """A file whose networks are not here, with a setting of its own."""
    path = photo.with_name("sd21.sedic")
    made = sedic(
        *("compress", photo, path, "--profile", "sd21", "--reference", "pixel"),
        *("--max-bytes", 2_000, "--setting", "last_steps=9"),
    )
    assert made.returncode == 0, made.stderr.decode()
    return path


def test_a_file_without_its_networks_still_shows_its_reference(
    for_sd21: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    refused = sedic("decompress", for_sd21, out, models=tmp_path)
    assert_one_clear_line(refused, "sedic models fetch sd21")
    assert not out.exists()
    seen = sedic("decompress", for_sd21, out, "--preview", models=tmp_path)
    assert seen.returncode == 0, seen.stderr.decode()
    stages = tmp_path / "stages"
    more = ("--progress-dir", stages, "--until-stage", 0)
    first = sedic("decompress", for_sd21, tmp_path / "0.png", *more, models=tmp_path)
    assert first.returncode == 0, first.stderr.decode()
    pixels = [np.asarray(Image.open(p)) for p in (out, stages / "00-reference.png")]
    assert np.array_equal(*pixels)


def test_inspect_shows_the_settings_of_the_file(for_sd21: Path) -> None:
    facts = json.loads(sedic("inspect", for_sd21, "--json").stdout)
    assert facts["settings"]["last_steps"] == 9 and facts["parts"]["settings"] == 2
    assert "last_steps = 9" in sedic("inspect", for_sd21).stdout.decode()


def test_a_sheet_of_all_there_is(photo: Path, coded: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    made = sedic("inspect", coded, "--png", sheet, "--original", photo)
    assert made.returncode == 0, made.stderr.decode()
    assert Image.open(sheet).width == 4 * 480


def test_other_words_for_a_file(coded: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.sedic"
    words = ("--object", 1, "--detail", "grey dog, asleep", "--overall", "A dog.")
    assert sedic("edit", coded, out, *words).returncode == 0
    facts = json.loads(sedic("inspect", out, "--json").stdout)
    assert facts["overall"] == "A dog." and facts["objects"][0]["name"] == "grey dog"
    assert_one_clear_line(sedic("edit", coded, out, *words), "--force")


def test_limits_are_kept_or_the_smallest_size_is_named(photo: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.sedic"
    assert sedic("compress", photo, small, "--max-bytes", "400").returncode == 0
    assert small.stat().st_size <= 400
    result = sedic("compress", photo, tmp_path / "no.sedic", "--max-bytes", "8")
    assert_one_clear_line(result, "smallest possible file", "bytes")
    assert not (tmp_path / "no.sedic").exists()


def test_another_codec_s_file_is_carried(photo: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.webp"
    image = Image.open(photo)
    image.resize((image.width // 4, image.height // 4)).save(small, quality=10)
    out = tmp_path / "out.sedic"
    result = sedic("compress", photo, out, "--max-bytes", "2000", "--reference-file", small)
    assert result.returncode == 0, result.stderr.decode()
    assert small.read_bytes() in out.read_bytes()
    facts = json.loads(sedic("inspect", out, "--json").stdout)
    assert facts["reference_codec"] == "external"
    assert facts["parts"]["reference"] == small.stat().st_size


def test_nothing_is_overwritten_without_force(photo: Path, coded: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken.png"
    taken.write_bytes(b"mine")
    assert_one_clear_line(sedic("decompress", coded, taken), "--force")
    assert taken.read_bytes() == b"mine"
    assert sedic("decompress", coded, taken, "--force").returncode == 0
    assert Image.open(taken).size == Image.open(photo).size


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.sedic", b"", "empty"),
        ("text.sedic", b"just some text\n", "not a .sedic file"),
        ("missing.sedic", None, "No such file"),
        ("png.sedic", b"\x89PNG\r\n\x1a\n" + bytes(100), "not a .sedic file"),
    ],
)
def test_files_that_are_none(name: str, content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    out = tmp_path / "out.png"
    assert_one_clear_line(sedic("decompress", path, out), words)
    inspected = sedic("inspect", path)  # which takes pictures, too
    assert_one_clear_line(inspected, "metadata" if name == "png.sedic" else words)
    assert not out.exists()


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"no picture", bytes(2_000)])
def test_inputs_that_are_no_pictures(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "in\x1b[31m.png"
    path.write_bytes(content)
    assert_one_clear_line(sedic("compress", path, tmp_path / "out.sedic"))
    assert list(tmp_path.iterdir()) == [path]


def test_a_fingerprint_that_is_not_ours(coded: Path, tmp_path: Path) -> None:
    data = bytearray(coded.read_bytes()[:-2])
    data[2] ^= 0xFF
    other = tmp_path / "other.sedic"
    other.write_bytes(data + checksum(bytes(data)))
    ours = coded.read_bytes()[2:4].hex()
    result = sedic("decompress", other, tmp_path / "out.png")
    assert_one_clear_line(result, "mark", data[2:4].hex(), ours)
    facts = json.loads(sedic("inspect", other, "--json").stdout)
    assert facts["overall"] is None and ours in facts["problem"]


def test_outputs_that_cannot_be_written(photo: Path, coded: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent" / "out.sedic"
    assert_one_clear_line(sedic("compress", photo, absent), "out.sedic")
    assert_one_clear_line(sedic("decompress", coded, tmp_path), "folder")
    assert_one_clear_line(sedic("decompress", coded, tmp_path / "out.xyz"), "format")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(coded: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [*PROGRAM, "decompress", coded, "-", "--preview"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert_one_clear_line(result, "space")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["compress"],
        ["compress", "a.png", "b.sedic", "--bpp", "0.03", "--max-bytes", "100"],
        ["compress", "a.png", "b.sedic", "--rate", "medium"],
        ["compress", "a.png", "b.sedic", "--text-coder", "morse"],
        ["compress", "a.png", "b.sedic", "--reference-weights", "w.pth"],
        ["compress", "a.png", "b.sedic", "--setting", "last_steps"],
        ["compress", "a.png", "b.sedic", "--describer", "sidecar"],
        ["decompress", "a.sedic", "b.png", "--preview", "--until-stage", "1"],
        ["edit", "a.sedic", "b.sedic", "--object", "1"],
        ["fly"],
    ],
)
def test_wrong_usage_exits_with_two(arguments: list[str], photo: Path) -> None:
    arguments = [str(photo) if item == "a.png" else item for item in arguments]
    assert sedic(*arguments).returncode == 2


def test_help_is_light() -> None:
    code = (
        "import sys; sys.argv[1:] = ['--help'];\n"
        "from sedic.cli.main import main\n"
        "try: main()\n"
        "finally: print(sorted({'torch', 'skimage', 'scipy', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.stdout.decode().rstrip().endswith("[]"), done.stdout.decode()[-200:]


def test_work_out_of_proportion_is_asked_for(tmp_path: Path) -> None:
    from sedic import Decoder, Profile
    from sedic.coding.container import Container, pack
    from sedic.semantics import ReferenceImage, SemanticImage

    profile = Profile.load("mini")
    image = SemanticImage(8192, 8192, ReferenceImage("pixel", b"\0"))
    forged = tmp_path / "forged.sedic"
    forged.write_bytes(pack(image, profile, profile="mini", mark=b"ab").to_bytes())
    assert Container.parse(forged.read_bytes()).width == 8192 and Decoder(profile)
    for option in ((), ("--preview",)):
        refused = sedic("decompress", forged, tmp_path / "out.png", *option)
        assert_one_clear_line(refused, "8192x8192", "min of work", "--max-pixels 67108864")


def test_version_and_short_help() -> None:
    from sedic import __version__

    assert sedic("--version").stdout.decode().strip() == f"sedic {__version__}"
    assert b"compress" in sedic("-h").stdout


def test_an_input_is_never_its_own_output(photo: Path, tmp_path: Path) -> None:
    copy = tmp_path / "photo.png"
    copy.write_bytes(photo.read_bytes())
    assert_one_clear_line(sedic("compress", copy, copy, "--force"), "input")
    assert copy.read_bytes() == photo.read_bytes()
    demo = sedic("demo", tmp_path, "--photo", copy)
    assert_one_clear_line(demo, "photograph")
    assert copy.read_bytes() == photo.read_bytes()


def test_a_terminal_of_ascii_shows_any_word(coded: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.sedic"
    assert sedic("edit", coded, out, "--overall", "Ein Kätzchen \N{CAT FACE}").returncode == 0
    for arguments in (["inspect", out], ["inspect", out, "--json"], ["inspect", out, "-v"]):
        done = subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr.decode()
