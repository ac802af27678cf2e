"""The report in a browser: it fits phones and desks, and no part of it is missing or complains."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from lightning_stdim.report.page import write_report
from lightning_stdim.report.runs_on_disk import read_record
from lightning_stdim.report.write import compare_games
from tests.report.pages import make_tree

FOUND = shutil.which("chromium")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
    *("--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"),  # no network
)
# What a phone's user would notice: text or pictures wider than the page. A window of a browser is
# not narrower than 500 pixels, so the page is looked at in a frame.
MEASURE = """<!DOCTYPE html><title>waiting</title><body style="margin: 0">
<iframe src="report.html" style="border: 0; width: {width}px; height: 900px"></iframe>
<script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  page.querySelectorAll("details").forEach(one => one.open = true);
  const wide = [...page.querySelectorAll("main *")].filter(
    one => one.getBoundingClientRect().right > {width} + 1 && !one.closest(".scroll, svg, .away"));
  const broken = [...page.querySelectorAll("image")].filter(one => !one.getBBox().width);
  const small = [...page.querySelectorAll("main svg[role=img]")].filter(
    one => one.getBoundingClientRect().height < 40);
  const cut = [...page.querySelectorAll("th")].filter(
    one => one.scrollWidth > one.clientWidth + 1 && !one.querySelector(".away"));
  const frames = [...page.querySelectorAll(".frames")][0].children;
  const top = frames[0].getBoundingClientRect().top;
  const beside = [...frames].filter(one => one.getBoundingClientRect().top === top);
  document.title = JSON.stringify({{
    overflow: root.scrollWidth - {width}, wide: wide.map(one => one.outerHTML.slice(0, 80)),
    cut: cut.map(one => one.textContent), beside: beside.length,
    hint: getComputedStyle(page.querySelector(".scroll")).backgroundAttachment,
    broken: broken.length, small: small.length, svgs: page.querySelectorAll("svg").length,
  }});
}});
</script>"""

pytestmark = pytest.mark.skipif(
    FOUND is None and "CI" not in os.environ, reason="chromium is not installed"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory, make_result) -> Path:
    record = read_record(make_tree(tmp_path_factory.mktemp("browser") / "mine", make_result))
    path, *_ = write_report(record, compare_games(record))
    return path


def browse(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    assert FOUND, "CI must have chromium: see .ci/run"
    words = [FOUND, *OPTIONS, f"--user-data-dir={page.parent / 'profile'}", *options]
    return subprocess.run(
        [*words, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_page(page, width) -> None:
    frame = page.with_name(f"frame-{width}.html")
    frame.write_text(MEASURE.format(width=width))
    found = browse(frame, "--allow-file-access-from-files", "--dump-dom", "--window-size=1600,1000")
    (title,) = re.findall("<title>(.*?)</title>", found.stdout)
    measured = json.loads(html.unescape(title))
    assert measured["overflow"] <= 0, measured
    assert measured["wide"] == []
    assert measured["broken"] == 0
    assert measured["small"] == 0
    assert measured["cut"] == []  # no heading reaches into its neighbour
    assert measured["beside"] >= 2  # not one frame alone in a row, on a phone either
    assert measured["hint"] == "local, local, scroll, scroll"  # shadows where a table goes on
    assert measured["svgs"] > 20


def test_no_word_of_complaint_and_ink_on_paper(page, tmp_path) -> None:
    picture = tmp_path / "page.png"
    found = browse(page, f"--screenshot={picture}", "--window-size=1440,1400")
    assert "CONSOLE" not in found.stderr
    image = matplotlib.image.imread(picture)[..., :3]
    assert image.shape[:2] == (1400, 1440)
    assert np.ptp(image) > 0.8
    assert np.mean(image.min(2) > 0.9) > 0.5  # mostly paper
    assert np.mean(np.ptp(image, axis=2) > 0.2) > 0.001  # and some colour
