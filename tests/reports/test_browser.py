"""The HTML report in a real browser, opened from disk."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from assay.reports import CheckFacts, RunFacts, render_check_report, render_report

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

NARROW: ViewportSize = {"width": 360, "height": 740}

CONTRAST = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92
    : ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgb(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    if (["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    if (![...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const [a, b] = [luminance(rgb(getComputedStyle(element).color)), luminance(background(element))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.outerHTML.slice(0, 120)]);
  }
  return found.sort((x, y) => x[0] - y[0]);
}"""

UNFOLD = "() => document.querySelectorAll('details').forEach((part) => { part.open = true; })"
OVERFLOW = "() => document.documentElement.scrollWidth - window.innerWidth"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    assert path, "Chromium is missing: apt-get install chromium"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        await started.close()


async def open_page(browser: Browser, file: Path, html: str, **options: Any) -> Page:
    """Write a report, open it from disk, and collect requests and messages in `page.seen`."""
    file.write_text(html, encoding="utf-8")
    page = await browser.new_page(**options)
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda message: seen.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: seen.append(f"error: {error}"))
    await page.goto(file.as_uri())
    page.seen = seen  # type: ignore[attr-defined]
    return page


def seen(page: Page) -> list[str]:
    found: list[str] = page.seen  # type: ignore[attr-defined]
    return found


def without_policy(html: str) -> str:
    start = html.index("<meta http-equiv")
    return html[:start] + html[html.index(">", start) + 1 :]


async def test_it_opens_from_disk_and_asks_for_nothing_else(
    browser: Browser, tmp_path: Path, run_facts: RunFacts, check_facts: CheckFacts
) -> None:
    """One request, for the file itself; no message in the console."""
    for name, html in [("run.html", render_report(run_facts)), ("check.html", render_check_report(check_facts))]:
        page = await open_page(browser, tmp_path / name, html)
        assert seen(page) == [(tmp_path / name).as_uri()]
        assert await page.locator(".tools button").count() == 2
        await page.close()


async def test_a_remote_picture_would_be_seen_and_is_stopped(
    browser: Browser, tmp_path: Path, run_facts: RunFacts
) -> None:
    """Negative control: with the policy no connection is made, without it one is."""
    connections: list[int] = []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/pixel"
        html = render_report(run_facts).replace("</main>", f"<img src='{url}'></main>")
        page = await open_page(browser, tmp_path / "a.html", html)
        assert any("Content Security Policy" in message for message in seen(page))
        assert connections == []
        await page.close()
        page = await open_page(browser, tmp_path / "b.html", without_policy(html))
        assert url in seen(page)
        assert connections
        await page.close()


async def test_hostile_text_does_not_execute(
    browser: Browser, tmp_path: Path, run_facts: RunFacts, poison: Callable[[Any], Any]
) -> None:
    """No script, no handler, no link of a ticket, a diff or a test runs, not even when everything is clicked."""
    page = await open_page(browser, tmp_path / "run.html", render_report(poison(run_facts)))
    await page.evaluate(UNFOLD)
    for link in await page.locator("main a").all():
        assert (await link.get_attribute("href") or "").startswith("#claim-")
    assert await page.evaluate("() => [typeof window.hacked, document.scripts.length, document.images.length]") == [
        "undefined",
        1,
        0,
    ]
    assert seen(page) == [(tmp_path / "run.html").as_uri()]
    await page.close()


async def test_the_policy_alone_stops_a_script_that_got_through(
    browser: Browser, tmp_path: Path, run_facts: RunFacts
) -> None:
    """Negative control: the same script runs where the policy is taken out."""
    html = render_report(run_facts).replace("</main>", "<script>window.hacked = 1</script></main>")
    for name, text, expected in [("a.html", html, "undefined"), ("b.html", without_policy(html), "number")]:
        page = await open_page(browser, tmp_path / name, text)
        assert await page.evaluate("() => typeof window.hacked") == expected
        await page.close()


@pytest.mark.parametrize("width", [320, 360, 400])
async def test_a_narrow_window_scrolls_tables_and_not_the_page(
    browser: Browser, tmp_path: Path, run_facts: RunFacts, poison: Callable[[Any], Any], width: int
) -> None:
    """Unfolded and with hostile text, nothing sticks out; something too wide would be noticed."""
    for facts in (run_facts, poison(run_facts)):
        page = await open_page(
            browser, tmp_path / "run.html", render_report(facts), viewport={"width": width, "height": 700}
        )
        await page.evaluate(UNFOLD)
        assert await page.evaluate(OVERFLOW) <= 0
        await page.evaluate("() => document.querySelector('main').append('x'.repeat(9))")
        await page.evaluate("() => { document.querySelector('.scroll').style.overflow = 'visible'; }")
        assert await page.evaluate(OVERFLOW) > 0
        await page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_contrasts_with_what_is_behind_it(
    browser: Browser, tmp_path: Path, run_facts: RunFacts, scheme: Any
) -> None:
    """At least 4.5 to 1 for every piece of text, and a grey that is too light would be found."""
    page = await open_page(browser, tmp_path / "run.html", render_report(run_facts), color_scheme=scheme)
    await page.evaluate(UNFOLD)
    found = await page.evaluate(CONTRAST)
    assert len(found) > 300
    assert found[0][0] >= 4.5, found[:3]
    await page.evaluate("() => { document.querySelector('.muted').style.color = 'Canvas'; }")
    assert (await page.evaluate(CONTRAST))[0][0] < 4.5
    await page.close()


async def test_the_dark_scheme_is_dark(browser: Browser, tmp_path: Path, run_facts: RunFacts) -> None:
    """The reader's setting changes paper and ink."""
    color = "() => getComputedStyle(document.documentElement).backgroundColor"
    colors = []
    for scheme in ("light", "dark"):
        page = await open_page(browser, tmp_path / "run.html", render_report(run_facts), color_scheme=scheme)
        colors.append(await page.evaluate(color))
        await page.close()
    assert colors == ["rgb(255, 255, 255)", "rgb(21, 24, 28)"]


async def test_paper_shows_what_is_folded(browser: Browser, tmp_path: Path, run_facts: RunFacts) -> None:
    """A printed report is whole, light, and without buttons."""
    page = await open_page(browser, tmp_path / "run.html", render_report(run_facts), color_scheme="dark")
    step = page.locator("td", has_text="The head descends from the base.").first
    shown = "(element) => element.checkVisibility({ contentVisibilityAuto: true }) && element.offsetHeight > 0"
    assert not await step.evaluate(shown)
    await page.emulate_media(media="print", color_scheme="dark")
    assert await step.evaluate(shown)
    assert await page.evaluate("() => getComputedStyle(document.documentElement).color") == "rgb(0, 0, 0)"
    assert not await page.locator(".tools").is_visible()
    assert (await page.pdf(format="A4")).startswith(b"%PDF")
    await page.close()


async def test_it_reads_without_a_script(browser: Browser, tmp_path: Path, run_facts: RunFacts) -> None:
    """Folding is the browser's own; the two buttons are all that is missing."""
    page = await open_page(browser, tmp_path / "run.html", render_report(run_facts), java_script_enabled=False)
    await page.locator("summary", has_text="Steps of the proof").first.click()
    assert await page.locator("td", has_text="The head descends from the base.").first.is_visible()
    assert await page.locator(".tools").count() == 0
    await page.close()


async def test_the_keyboard_reaches_what_can_be_done(browser: Browser, tmp_path: Path, run_facts: RunFacts) -> None:
    """Skip link first; folded parts open with Enter; what scrolls can be focused and has a name."""
    page = await open_page(browser, tmp_path / "run.html", render_report(run_facts), viewport=NARROW)
    await page.keyboard.press("Tab")
    assert await page.evaluate("() => document.activeElement.textContent") == "Skip to the report"
    await page.locator("summary").first.focus()
    await page.keyboard.press("Enter")
    assert await page.locator("details").first.get_attribute("open") is not None
    unnamed = "() => document.querySelectorAll('.scroll:not([tabindex][role=region][aria-label])').length"
    assert await page.evaluate(unnamed) == 0
    outline = "() => [...document.querySelectorAll('header, nav, main, footer, h1')].map((e) => e.tagName).join()"
    assert await page.evaluate(outline) == "HEADER,H1,NAV,MAIN,FOOTER"
    assert await page.get_attribute("html", "lang") == "en"
    assert await page.title() == "Delivered: Splitting a bill loses cents, and 12.5 is read as 12.05 - assay"
    await page.close()
