"""A real browser for tests of the page; they are skipped if there is none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT = 60_000  # milliseconds; enough on a busy machine

# The contrast of every visible text with its background, by WCAG 2's definition.
CONTRASTS = """() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [R, G, B]) =>
    [[r, R], [g, G], [b, B]].map(([above, below]) => above * a + below * (1 - a));
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      layers.unshift(rgba(getComputedStyle(e).backgroundColor));
    }
    return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((v) =>
      v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim();
    const element = texts.currentNode.parentElement;
    if (!text || element.closest("script, style, noscript, .unseen")) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const below = ground(element);
    const ink = over(rgba(element.closest("svg") ? style.fill : style.color), below);
    const [high, low] = [light(ink), light(below)].sort((a, b) => b - a);
    found.push([(high + 0.05) / (low + 0.05), text]);
  }
  return found;
}"""

# The focused element: its place in the document, and whether its outline and all of it are visible.
FOCUS = """() => {
  const one = document.activeElement;
  const style = getComputedStyle(one);
  const box = one.getBoundingClientRect();
  const x = Math.min(Math.max(box.left + box.width / 2, 1), innerWidth - 2);
  const y = Math.min(Math.max(box.top + Math.min(box.height / 2, 20), 1), innerHeight - 2);
  const top = document.elementFromPoint(x, y);
  return {
    place: [...document.querySelectorAll("*")].indexOf(one),
    tag: one.tagName.toLowerCase(),
    id: one.id,
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    free: top !== null && (one.contains(top) || top.contains(one)),
  };
}"""


@dataclass
class Opened:
    """A page, its console messages and errors, and the addresses it requested."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def draw_all(self) -> None:
        """Scroll through all tasks, so that every chart and table is drawn, and back to the top."""
        for section in self.page.locator("section.task:has(figure.curves)").all():
            section.scroll_into_view_if_needed()
            section.locator("figure.curves[data-drawn] .plot svg").wait_for()
        for figure in self.page.locator("figure.need").all():
            figure.scroll_into_view_if_needed()
            figure.locator("svg").wait_for()
        self.page.evaluate("scrollTo(0, 0)")


@contextmanager
def launched() -> Iterator[Browser]:
    """Start Chromium, or skip the test."""
    chromium = os.environ.get("SEQMEM_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        pytest.skip("needs Chromium: apt-get install chromium, or SEQMEM_CHROMIUM=PATH")
    with sync_playwright() as player:
        found = player.chromium.launch(executable_path=chromium, args=list(FLAGS), timeout=WAIT)
        yield found
        found.close()


def opened(browser: Browser, path: Path, width: int = 1280, scheme: str = "light") -> Opened:
    """Open a page and wait for the chart of its first task."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(WAIT)
    page = context.new_page()
    found = Opened(page)
    page.on("console", lambda message: found.messages.append(message.text))
    page.on("pageerror", lambda error: found.messages.append(str(error)))
    page.on("request", lambda request: found.requests.append(request.url))
    page.goto(path.as_uri())
    page.locator("#task-0 figure.curves").scroll_into_view_if_needed()
    page.wait_for_selector("#task-0 figure.curves[data-drawn] svg")
    page.evaluate("scrollTo(0, 0)")
    return found
