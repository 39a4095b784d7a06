from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data as samples

from sedic.errors import SedicError
from sedic.lab.bench import rivals
from sedic.lab.bench.commands import CommandCoder, run
from sedic.lab.bench.fidelity import psnr
from sedic.lab.bench.rivals import Missing, Rival, find_rivals, finest_within, sizes

PICTURE = samples.astronaut()[:96, :127]  # an odd side

# A codec of one's own: a PNG of fewer grey levels, smaller for a smaller quality.
ENCODE = (
    "from PIL import Image; import sys;"
    "_, i, o, q = sys.argv;"
    "Image.open(i).quantize(int(q)).save(o, 'PNG')"
)
DECODE = (
    "from PIL import Image; import sys; Image.open(sys.argv[1]).convert('RGB').save(sys.argv[2])"
)


def own(range_: str = "=2..40") -> CommandCoder:
    python = sys.executable.replace(":", r"\:")
    return CommandCoder.parse(
        f'own:{python} -c "{ENCODE}" {{input}} {{output}} {{quality{range_}}}'
        f':{python} -c "{DECODE}" {{input}} {{output}}'
    )


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=80), st.integers(0, 1100))
def test_the_search_finds_the_largest_that_fits(steps: list[int], limit: int) -> None:
    ascending = np.cumsum(steps)
    index = finest_within(lambda i: int(ascending[i]), len(steps), limit)
    fitting = [i for i, size in enumerate(ascending) if size <= limit]
    assert index == (fitting[-1] if fitting else None)


@pytest.mark.parametrize("name", ["WebP", "JPEG 2000"])
def test_pillows_codecs_keep_to_the_limit_and_gain_with_it(name: str) -> None:
    (coder,) = find_rivals((name,))
    assert not isinstance(coder, Missing)
    limits = (30, 900, 2500)
    for rival in sizes(coder)[:2]:
        nothing, little, much = rival.code(PICTURE, limits)
        assert nothing is None and little is not None and much is not None
        assert little.picture.shape == much.picture.shape == PICTURE.shape
        assert len(little.data) <= 900 < len(much.data) <= 2500
        assert psnr(little.picture, PICTURE) < psnr(much.picture, PICTURE)


def test_every_size_has_its_name() -> None:
    (coder,) = find_rivals(("WebP",))
    assert not isinstance(coder, Missing)
    assert [rival.name for rival in sizes(coder)] == ["WebP", "WebP 1/2", "WebP 1/4"]
    assert coder.how == "Pillow: WEBP quality=0, method=6"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["VVC", "HEVC", "AV1 (aom)", "AV1 (SVT)", "JPEG XL"])
def test_ffmpegs_codecs_keep_to_the_limit(name: str) -> None:
    (coder,) = find_rivals((name,))
    if isinstance(coder, Missing):
        pytest.skip(str(coder))
    (coded,) = Rival(coder, 2).code(PICTURE, (800,))
    assert coded is not None and len(coded.data) <= 800
    assert coded.picture.shape == PICTURE.shape and psnr(coded.picture, PICTURE) > 17


def test_what_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("SEDIC_VTM", raising=False)
    monkeypatch.delenv("SEDIC_FFMPEG", raising=False)
    monkeypatch.setattr(rivals, "_bundled_ffmpeg", lambda: None)
    missing = find_rivals(("VVC", "BPG", "VTM"))
    assert all(isinstance(coder, Missing) for coder in missing)
    assert [str(coder).partition(":")[0] for coder in missing] == ["VVC", "BPG", "VTM"]
    assert "sedic[bench]" in str(missing[0]) and "SEDIC_VTM" in str(missing[2])
    with pytest.raises(SedicError, match="unknown codec"):
        find_rivals(("JPEG 3000",))


def test_any_command_line_is_a_rival() -> None:
    coder = own()
    assert coder.how.startswith("python") and "{quality}" in coder.how
    assert coder.name == "own" and list(coder.qualities) == list(range(2, 41))
    finest = len(coder.encode(PICTURE, 40))
    coded, nothing = Rival(coder).code(PICTURE, (finest, 20))
    assert coded is not None and coded.quality == 40 and len(coded.data) == finest
    assert nothing is None
    assert psnr(coded.picture, PICTURE) > 20


def test_the_quality_range_may_fall_and_may_be_left_out() -> None:
    def qualities(encode: str) -> list[int]:
        return list(CommandCoder.parse(f"x:{encode}:d {{input}} {{output}}").qualities)

    assert qualities("e {input} {output} -q {quality=51..49}") == [51, 50, 49]
    assert qualities("e {input} {output} -q {quality}") == list(range(101))
    assert len(qualities("e {input} {output}")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name:enc {input} {output}",
        "name:enc {input} {output}:",
        ":enc {input} {output}:dec {input} {output}",
        "name:enc {input}:dec {input} {output}",
        "name:enc {input} {output}:dec {output}",
        "name:enc '{input} {output}:dec {input} {output}",
        "name:a {input} {output} {quality=1..2} {quality=3..4}:b {input} {output}",
        "name:a:b {input} {output}:c",
    ],
)
def test_what_is_no_rival_is_refused(text: str) -> None:
    with pytest.raises(SedicError, match="rival"):
        CommandCoder.parse(text)


@given(st.text(alphabet="ab:\\{}'\" =.0123456789", max_size=60))
def test_any_text_is_a_rival_or_an_error(text: str) -> None:
    with suppress(SedicError):
        assert CommandCoder.parse(text + ":e {input} {output}:d {input} {output}").name


def test_commands_run_without_a_shell(tmp_path: Path) -> None:
    program = "import sys, pathlib; pathlib.Path('said').write_text(sys.argv[1])"
    run([sys.executable, "-c", program, "$(touch pwned); `id` | cat > x"], tmp_path, 60)
    assert (tmp_path / "said").read_text() == "$(touch pwned); `id` | cat > x"
    assert [path.name for path in tmp_path.iterdir()] == ["said"]


def test_failures_are_one_line_each(tmp_path: Path) -> None:
    def python(program: str, seconds: float = 60) -> None:
        run([sys.executable, "-c", program], tmp_path, seconds)

    with pytest.raises(SedicError, match=r"failed \(3\): out of luck"):
        python("import sys; print('out of\\nluck'); sys.exit(3)")
    with pytest.raises(SedicError, match="took more than"):
        python("import time; time.sleep(60)", 0.2)
    with pytest.raises(SedicError, match="cannot run"):
        run([str(tmp_path / "no-such-program")], tmp_path, 1)
    silent = CommandCoder.parse(
        f"idle:{sys.executable} -c pass {{input}} {{output}}:x {{input}} {{output}}"
    )
    with pytest.raises(SedicError, match="wrote nothing"):
        silent.encode(PICTURE, 0)


def test_a_decoder_that_changes_the_size_is_refused() -> None:
    python = sys.executable
    shrink = (
        "from PIL import Image; import sys;"
        "Image.open(sys.argv[1]).convert('RGB').resize((8, 8)).save(sys.argv[2])"
    )
    coder = CommandCoder(
        "odd",
        ((python, "-c", ENCODE, "{input}", "{output}", "{quality}"),),
        ((python, "-c", shrink, "{input}", "{output}"),),
        range(2, 4),
    )
    with pytest.raises(SedicError, match="another size"):
        coder.decode(coder.encode(PICTURE, 3), 127, 96)
