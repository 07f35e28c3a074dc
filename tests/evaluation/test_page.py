"""The HTML page: whole by itself, read aloud, printed, and shown by a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.nets import HAS_REPORT
from tests.evaluation.test_run import labels_of, options, quantized
from tests.small_nets import write_pictures
from xportdnn import statistics
from xportdnn.errors import UsageError
from xportdnn.evaluation import page
from xportdnn.evaluation.charts import beyond
from xportdnn.evaluation.run import evaluate
from xportdnn.journal import Journal, Level, Remark

pytestmark = pytest.mark.skipif(not HAS_REPORT, reason="the extra 'report' is not installed")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Elements(HTMLParser):
    """All elements with their attributes, text and parents; unbalanced tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open:
            self.texts.append((self.open[-1], data.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes, _ in self.found if name == tag]


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a small network whose name and label file want escaping."""
    folder = tmp_path_factory.mktemp("page")
    images = write_pictures(folder / "pictures <&>", 3, (5, 6))
    given = options(quantized(folder), images, labels=labels_of(folder, [0, 1, 2]), one_at_a_time=True)
    found = evaluate(given, Journal(), histograms=True)
    return page.as_html(found, [Remark(Level.WARNING, "beware of <script>"), Remark(Level.INFO, "hello")]).decode()


@pytest.fixture(scope="module")
def elements(html: str) -> Elements:
    return Elements(html)


def test_text_is_escaped(html: str, elements: Elements) -> None:
    assert elements.all("script") == []
    assert "beware of &lt;script&gt;" in html
    assert "pictures &lt;&amp;&gt;" in html
    assert "hello" not in html


def test_nothing_is_loaded(elements: Elements) -> None:
    for tag, attributes, _ in elements.found:
        assert tag not in ("script", "iframe", "object", "embed", "img")
        for name in ("src", "href", "xlink:href", "srcset", "action", "style"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
    styles = " ".join(text for tag, text in elements.texts if tag == "style")
    assert "url(" not in styles
    assert "@import" not in styles
    assert "@media print" in styles


def test_language_title_and_headings(elements: Elements) -> None:
    assert elements.all("html")[0]["lang"] == "en"
    assert ("title", "deploy.prototxt: float and quantized compared") in elements.texts
    levels = [int(tag[1]) for tag, _, _ in elements.found if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_ids_are_unique_and_every_reference_has_one(elements: Elements) -> None:
    ids = [attributes["id"] for _, attributes, _ in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes, _ in elements.found:
        wanted = (attributes.get("aria-labelledby") or "").split()
        wanted += [(attributes.get("href") or "")[1:]] if tag == "a" else []
        assert set(wanted) <= set(ids)


def test_tables_can_be_read_aloud(elements: Elements) -> None:
    assert len(elements.all("caption")) == len(elements.all("table")) == 5
    assert all(attributes.get("scope") in ("col", "row") for attributes in elements.all("th"))


def test_charts_can_be_read_aloud(elements: Elements) -> None:
    charts = elements.all("svg")
    # three over all layers, one for each layer that rounds
    assert len(charts) == 3 + 4
    for attributes in charts:
        assert attributes["role"] == "img"
        assert attributes["aria-labelledby"]
    described = [text for tag, text in elements.texts if tag == "desc"]
    assert len(described) == len(charts)
    assert any(text.startswith("conv1 (Convolution) behind relu1: |x| up to ") for text in described)


def test_every_layer_stands_in_the_table(elements: Elements) -> None:
    rows = {text for tag, text in elements.texts if tag == "th"}
    assert {"data", "conv1", "relu1", "conv2", "pool2", "prob"} <= rows


def test_zero_weights(elements: Elements) -> None:
    cells = [text for tag, text in elements.texts if tag == "td" and " % -> " in text]
    assert cells


def test_the_same_bytes_again(html: str, tmp_path: Path) -> None:
    images = write_pictures(tmp_path / "pictures", 2, (5, 6))
    found = evaluate(options(quantized(tmp_path), images), Journal(), histograms=True)
    assert page.as_html(found, ()) == page.as_html(found, ())


def test_share_beyond_a_limit() -> None:
    seen = statistics.of(np.arange(0, 8, dtype=np.float32))
    assert beyond(seen, 6.0) == pytest.approx(2 / 8)
    assert beyond(seen, 100.0) == 0


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"--report needs jinja2 and pygal: pip install xportdnn\[report\]"):
        page.check()


def test_the_command_needs_no_extra() -> None:
    code = (
        "import sys; sys.modules |= {'jinja2': None, 'pygal': None}\n"
        "from xportdnn import cli; sys.exit(cli._run(['evaluate', '--help'], True))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--one_at_a_time" in done.stdout


@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
def test_in_a_browser(html: str, tmp_path: Path) -> None:
    assert BROWSER is not None
    path, log, printed = (tmp_path / name for name in ("page.html", "net.json", "page.pdf"))
    path.write_text(html, encoding="utf-8")
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
        "--disable-background-networking", "--disable-component-update", "--no-first-run", "--enable-logging=stderr",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--log-net-log={log}", "--no-pdf-header-footer", f"--print-to-pdf={printed}", path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    assert printed.read_bytes().startswith(b"%PDF-")
    assert {url for url in requested(log) if not url.startswith("data:")} <= {path.as_uri()}


def requested(log: Path) -> set[str]:
    """The addresses that the page asked for; the browser's own errands have no origin."""
    events: list[dict[str, Any]] = json.loads(log.read_text(encoding="utf-8"))["events"]
    params = [event.get("params", {}) for event in events]
    return {
        each["url"] for each in params if "url" in each and str(each.get("initiator", "")).startswith(("file", "null"))
    }
