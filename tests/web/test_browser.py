"""The page in headless Chromium, as a stranger uses it, on a desk and on a phone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sedic

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 300_000  # milliseconds that one step may take on a busy machine


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra browser")
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def shoot(page: Any, name: str) -> None:
    """A picture of the whole page, where the variable SEDIC_SCREENSHOTS names a folder for them."""
    if folder := os.environ.get("SEDIC_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_a_stranger_uses_the_page(
    browser: Any, address: str, photo: Path, tmp_path: Path, width: int, height: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    missing: list[str] = []
    dialogs: list[Any] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda reply: missing.append(reply.url) if reply.status >= 400 else None)
    page.on("dialog", lambda dialog: (dialogs.append(dialog), dialog.dismiss()))
    page.goto(address)
    compress = page.get_by_role("button", name="Compress and decode")
    compress.wait_for()
    shoot(page, f"{width}-begin")

    compress.click()  # without a photograph
    page.locator(".problem", has_text="Choose a file first").wait_for()

    page.locator("input[type=file]").first.set_input_files(photo)
    page.locator("img[src*='file=']").first.wait_for()
    page.locator("input[type=number]").first.fill("300")
    compress.click()
    page.locator(".headline b").wait_for()
    size = int(page.locator(".headline b").inner_text().split()[0])
    assert 100 <= size <= 300
    assert page.locator(".bytes tr").last.inner_text().split()[-1] == str(size)

    with page.expect_download() as download:
        page.get_by_text("Download my-cat.sedic").click()
    coded = Path(download.value.path()).read_bytes()
    assert len(coded) == size and download.value.suggested_filename == "my-cat.sedic"
    words = sedic.read(coded)
    assert words.overall in page.locator(".words").inner_text()

    # The line between original and decoded picture moves.
    line = page.get_by_test_id("slider").first
    line.scroll_into_view_if_needed()
    before = line.bounding_box()
    page.mouse.move(before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    page.mouse.down()
    page.mouse.move(before["x"] - 60, before["y"] + before["height"] / 2, steps=4)
    page.mouse.up()
    page.wait_for_timeout(500)
    assert line.bounding_box()["x"] < before["x"] - 30
    shoot(page, f"{width}-compressed")
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.locator("textarea").first.fill("A <b>grey</b> evening.")
    page.get_by_role("button", name="Decode with these words").click()
    page.get_by_text("on average").wait_for()
    assert "A <b>grey</b> evening." in page.locator(".words").inner_text()
    shoot(page, f"{width}-edited")

    hostile = tmp_path / "hostile.sedic"
    hostile.write_bytes(b"\x5e\xdc<img src=x onerror=alert(1)>")
    page.get_by_role("tab", name=".sedic file").click()
    page.locator("input[type=file]").last.set_input_files(hostile)
    page.locator(".problem", has_text="damaged").wait_for()
    shoot(page, f"{width}-hostile")

    good = tmp_path / "good.sedic"
    good.write_bytes(coded)
    page.get_by_label("Clear").last.click()
    page.locator("input[type=file]").last.set_input_files(good)
    page.get_by_text("Left: reference image. Right: decoded.").wait_for()
    shoot(page, f"{width}-opened")

    assert not dialogs
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert not missing
    page.close()
