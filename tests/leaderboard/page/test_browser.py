"""The page of the board in a real browser: it draws, sorts and filters without a network.

Skipped if there is no Chromium (`apt-get install chromium`, or SEQMEM_CHROMIUM names one) or
no playwright (in the dev extra).
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("vl_convert", reason="the page needs the plot extra")
pytest.importorskip("playwright", reason="pages are opened with playwright, of the dev extra")

from playwright.sync_api import Browser, Page, expect

from seqmem.baselines import BASELINES
from seqmem.leaderboard.page import page as page_of
from seqmem.leaderboard.published import read_published
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.tests.leaderboard.page.browser import CONTRASTS, FOCUS, Opened, launched, opened
from seqmem.tests.records import Losses, make_record, make_trained

MODELS = ("lstm", "gru", "tcn", "transformer", "rnn", "lru", "wavenet", "mine")
SUMMARIES = {name: model.summary for name, model in BASELINES.items()}
EVIL = "</script><img src=x onerror=\"document.title='broken'\">"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = [
        make_trained(
            {1: 0.95, 4: 0.7 + i / 100, 16: 0.2 + i / 50, "full": 0.15 + i / 50},
            label=label,
            seed=seed,
            task=task,
        )
        for task in ("adding-problem/T=16", "hidden-markov/dwell=4")
        for i, label in enumerate((*MODELS, EVIL))
        for seed in range(2)
    ]
    records += [
        make_trained({1: 0.9, 4: 0.8 - k / 50, 16: 0.5, "full": 0.4}, k_train=k, state=state)
        for k in (1, 4)
        for state in ("carried", "reset")
    ]
    records.append(
        make_record({1: 6.0, 8: 5.0, "full": 4.9}, task="wikitext-2", score="perplexity")
    )
    path = tmp_path_factory.mktemp("page") / "board.html"
    path.write_text(page_of(boards(records), SUMMARIES, read_published()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def desktop(browser: Browser, board: Path) -> Iterator[Opened]:
    found = opened(browser, board)
    yield found
    found.page.context.close()


def column(page: Page, place: int, task: int = 0) -> list[str]:
    cells = page.locator(f"#task-{task} .board tbody tr > :nth-child({place})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_curves_are_drawn_without_messages_or_requests(desktop: Opened) -> None:
    page = desktop.page
    for task in range(4):
        page.locator(f"#task-{task}").scroll_into_view_if_needed()
        page.wait_for_selector(f"#task-{task} figure.curves[data-drawn] svg")
    page.locator("#needs .needs").scroll_into_view_if_needed()
    page.wait_for_selector("figure.need[data-drawn] svg")
    needs = page.locator('figure.need[data-task="0"] svg .role-axis-label text').all_text_contents()
    assert [name for name in needs if name in MODELS] == sorted(
        MODELS, key=[*BASELINES, "mine"].index
    )
    lines = page.locator("#task-0 .plot svg .mark-line path")
    drawn = [path for line in lines.all() if "L" in (path := line.get_attribute("d") or "")]
    assert len(drawn) >= len(MODELS) + 1  # and the best of all, chance
    assert all("NaN" not in path for path in drawn)
    assert page.locator("#task-0 .plot svg .mark-area path").count() == len(MODELS) + 1
    assert desktop.messages == []
    assert [url for url in desktop.requests if not url.startswith("file:")] == []
    assert len(desktop.requests) == 1


def test_nothing_in_a_label_becomes_markup(desktop: Opened) -> None:
    page = desktop.page
    assert "broken" not in page.title()
    assert page.locator("img").count() == 0
    assert EVIL in column(page, 1)


def test_a_table_sorts_by_the_clicked_column(desktop: Opened) -> None:
    page = desktop.page
    head = page.locator("#task-0 thead th", has=page.locator('[data-sort="k1"]'))
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    numbers = [float(text) for text in column(page, 5)]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 3
    page.keyboard.press("Enter")  # the button that was pressed is still the one in focus
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in column(page, 5)] == numbers[::-1]
    assert page.locator('#task-0 th[aria-sort="none"]').count() > 3
    page.locator('#task-0 [data-sort="k3"]').click()


def test_filters_leave_rows_and_lines_that_match(desktop: Opened) -> None:
    page = desktop.page
    page.locator("#find").fill("gru")
    page.wait_for_selector('#task-0 figure.curves[data-drawn="1"]')
    assert column(page, 1) == ["gru"]
    page.locator("#find").fill("")
    page.wait_for_selector(f'#task-0 figure.curves[data-drawn="{len(MODELS) + 1}"]')
    page.locator("#choose-models summary").click()
    page.locator("#choose-models label", has_text="transformer").locator("input").uncheck()
    page.wait_for_selector(f'#task-0 figure.curves[data-drawn="{len(MODELS)}"]')
    assert "transformer" not in column(page, 1)
    page.locator("#choose-models button", has_text="All").click()
    page.keyboard.press("Escape")
    page.locator("#choose-tasks summary").click()
    page.locator("#choose-tasks input").nth(1).uncheck()
    assert not page.locator("#task-1").is_visible()
    page.locator("#choose-tasks input").nth(1).check()
    assert page.locator("#task-1").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#choose-tasks fieldset").is_hidden()


def test_find_filters_every_table(desktop: Opened) -> None:
    page = desktop.page

    def shown(selector: str) -> list[str]:
        return page.locator(f"{selector}:visible").all_inner_texts()

    page.locator("#find").fill("gru hidden")
    page.wait_for_selector('#task-1 figure.curves[data-drawn="1"]')
    assert shown("table.glance tbody th a") == ["hidden-markov/dwell=4"]
    assert shown("section.task h2") == ["hidden-markov/dwell=4"]
    assert page.locator("figure.need:visible").count() == 1
    page.locator("#need-table").scroll_into_view_if_needed()
    page.wait_for_selector("#need-table:not(:has(tr:nth-child(2) th))")
    assert page.locator("#need-table tbody th").all_inner_texts() == ["gru"]
    page.locator("#find").fill("awd wikitext")  # only published
    page.wait_for_selector("#task-1", state="hidden")
    assert shown("section.task h2") == ["wikitext-2"]
    assert all("AWD" in text for text in shown(".published tbody th"))
    assert column(page, 1, 3) == ["no row matches"]
    page.locator("#find").fill("no such model")
    page.wait_for_selector("#nothing")
    assert shown("main h2") == ["How to read this page"]
    page.locator("#find").fill("")
    page.wait_for_selector("#nothing", state="hidden")
    assert len(shown("table.glance tbody tr")) == len(shown("section.task:has(figure) h2")) == 4
    assert desktop.messages == []


def test_the_number_of_lines_drawn_is_right(desktop: Opened) -> None:
    page = desktop.page
    page.locator("#task-0").scroll_into_view_if_needed()
    lines = page.locator("#task-0 figcaption select")
    assert lines.locator("option").all_inner_texts() == ["the first 6 of 9", "all 9"]
    assert lines.locator("option:checked").inner_text() == "all 9"
    lines.select_option("6")
    page.wait_for_selector('#task-0 figure.curves[data-drawn="6"]')
    assert lines.locator("option:checked").inner_text() == "the first 6 of 9"
    lines.select_option("60")
    page.wait_for_selector('#task-0 figure.curves[data-drawn="9"]')


def test_a_model_at_chance_is_not_the_best_of_a_column(browser: Browser, tmp_path: Path) -> None:
    """And the reader's own model is marked."""
    better = make_trained({1: 1.02, 4: 0.5, "full": 0.5}, label="better")
    chance = make_trained({1: 0.9999, 4: 1.01, "full": 1.01}, label="at-chance", half=0.1)
    own = replace(better, model={**better.model, "own": True})
    path = tmp_path / "board.html"
    path.write_text(page_of(boards([own, chance]), SUMMARIES), encoding="utf-8")
    found = opened(browser, path)
    page = found.page
    assert page.locator("#task-0 .board tbody th").all_inner_texts() == [
        "better (own)",
        "at-chance",
    ]
    assert page.locator("#task-0 .least").all_inner_texts() == ["0.5000", "0.5000"]
    lowest = page.locator("#task-0 .board tfoot tr").first
    assert lowest.locator("td").all_inner_texts()[:3] == ["0.9999", "0.5000", "0.5000"]
    assert lowest.locator("button").count() == 2
    page.context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_table_that_is_cut_says_so(width: int, browser: Browser, tmp_path: Path) -> None:
    losses: Losses = {1: 0.9, 2: 0.8, 4: 0.7, 8: 0.6, "full": 0.5}
    path = tmp_path / "board.html"
    path.write_text(page_of(boards([make_trained(losses)]), SUMMARIES), encoding="utf-8")
    found = opened(browser, path, width)
    page = found.page
    box = page.locator("#task-0 .board")
    box.locator("table").wait_for()
    if width == 1280:
        assert page.locator(".more-left, .more-right").count() == 0
        page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_selector("#task-0 .board.more-right:not(.more-left)")
    cue = "getComputedStyle(box.querySelector('caption span'), '::after').content"
    assert "more columns" in box.evaluate(f"box => {cue}")
    box.evaluate("box => box.scrollTo(40, 0)")
    page.wait_for_selector("#task-0 .board.more-right.more-left")
    box.evaluate("box => box.scrollTo(box.scrollWidth, 0)")
    page.wait_for_selector("#task-0 .board.more-left:not(.more-right)")
    assert "first columns" in box.evaluate(f"box => {cue}")
    page.context.close()


def test_long_names_of_budgets_fit_a_phone(browser: Browser, tmp_path: Path) -> None:
    budgets = ("small", "medium, steps 23872, learning_rate 0.002, schedule constant")
    records = [make_trained({1: 0.9, "full": 0.5}, budget=budget) for budget in budgets]
    path = tmp_path / "board.html"
    path.write_text(page_of(boards(records), SUMMARIES), encoding="utf-8")
    page = opened(browser, path, 390).page
    right = "all => Math.max(...all.map(each => each.getBoundingClientRect().right))"
    assert page.locator("select:visible").evaluate_all(right) <= 390
    page.context.close()


def test_the_keyboard_reaches_the_source_of_a_number(desktop: Opened) -> None:
    page = desktop.page
    stops = page.locator('#task-0 .board button.number[tabindex="0"]')
    assert stops.count() == 1
    stops.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    name = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert "gru, k = 4: 0.71" in name
    page.keyboard.press("Enter")
    dialog = page.locator("dialog[open]")
    text = dialog.inner_text()
    assert "gru, k = 4" in text
    for word in ("Seed 0", "Seed 1", "task version", "data hash", "suite commit", "trust",
                 "self-reported", "every target scored", "recipe", "95 % interval"):  # fmt: skip
        assert word in text
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == name


def test_a_point_shows_its_value_and_opens_its_record(desktop: Opened) -> None:
    page = desktop.page
    page.locator("#task-2 .plot").scroll_into_view_if_needed()
    point = page.locator("#task-0 .plot svg .mark-symbol path").last
    point.hover(force=True)
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert "score" in tip.inner_text()
    point.click(force=True)
    assert page.locator("dialog[open] h2").count() == 1
    page.keyboard.press("Escape")


def test_models_trained_with_several_k_have_a_heat_map(desktop: Opened) -> None:
    page = desktop.page
    page.locator("#task-2").scroll_into_view_if_needed()
    heats = page.locator("#task-2 table.heat")
    expect(heats).to_have_count(2)  # drawn once they are in sight
    expect(heats.first).to_contain_text("state carried")
    expect(heats.first.locator("td.same")).to_have_count(2)
    heats.first.locator("button.number").first.click()
    assert "k_train 1" in page.locator("dialog[open]").inner_text().replace("\n", " ")
    page.keyboard.press("Escape")
    assert desktop.messages == []


def test_models_are_compared_at_another_k(desktop: Opened) -> None:
    page = desktop.page
    assert page.locator("#at").input_value() == "8"
    assert "none better than chance" in page.locator("#task-3 dd[data-leaders]").inner_text()
    assert "not measured" in page.locator("#task-0 dd[data-leaders]").inner_text()
    page.locator("#at").select_option("16")
    assert "k = 16 inputs" in page.locator("#task-0 dl.answers").inner_text()
    first = page.locator("#task-0 dd[data-leaders]")
    assert first.inner_text().split() == ["lstm", "score", "0.2000"]
    assert page.locator('td[data-leaders="0"]').inner_text().split() == ["lstm", "score", "0.2000"]
    page.locator("#task-0").scroll_into_view_if_needed()
    marked = page.locator("#task-0 .board td.at")
    marked.first.wait_for()
    assert marked.count() == len(MODELS) + 1
    assert set(marked.all_inner_texts()) == set(column(page, 6))
    page.locator("#at").select_option("8")
    assert desktop.messages == []


def test_tab_goes_down_the_page_and_focus_is_always_visible(browser: Browser, board: Path) -> None:
    found = opened(browser, board)
    found.draw_all()  # else the number of stops depends on how fast tables are drawn
    page = found.page
    stops = []
    for _ in range(70):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(FOCUS))
    assert [stop["place"] for stop in stops] == sorted(stop["place"] for stop in stops)
    assert all(stop["ring"] and stop["free"] for stop in stops)
    assert [stop["tag"] for stop in stops[:4]] == ["a"] * 4  # skip, and what is on the page
    ids = [stop["id"] for stop in stops if stop["id"]]
    assert ids == ["at", "find", "every", "intervals", "theme"]
    tags = {stop["tag"] for stop in stops}
    assert tags == {"a", "select", "input", "summary", "button", "div"}
    page.context.close()


def test_keys_work_every_control(browser: Browser, board: Path) -> None:
    found = opened(browser, board)
    page = found.page

    def press(selector: str, key: str) -> None:
        page.locator(selector).first.focus()
        page.keyboard.press(key)

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    press("#at", "ArrowDown")
    assert page.locator("#at").input_value() == "16"
    press("#every", "Space")
    press("#intervals", "Space")
    assert page.locator("#every").is_checked()
    page.wait_for_selector("#task-0 .board small")
    for box in ("#choose-models", "#choose-tasks"):
        press(f"{box} summary", "Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")  # None
        assert page.locator(f"{box} input:checked").count() == 0
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")  # All
        assert page.locator(f"{box} input:not(:checked)").count() == 0
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
        assert page.locator(f"{box} fieldset").is_hidden()
    before = page.locator("#theme").inner_text()
    press("#theme", "Space")
    assert page.locator("#theme").inner_text() != before
    press('#task-0 [data-sort="rank"]', "Space")
    assert page.locator('#task-0 th:has([data-sort="rank"])').get_attribute("aria-sort") == (
        "ascending"
    )
    page.locator("#task-2").scroll_into_view_if_needed()
    press("#task-2 details.heat summary", "Enter")
    assert not page.locator("#task-2 table.heat").first.is_visible()
    assert found.messages == []
    page.context.close()


def test_everything_has_a_role_and_a_name(browser: Browser, board: Path) -> None:
    found = opened(browser, board)
    found.draw_all()
    page = found.page
    page.locator("#choose-models summary").click()
    tree = page.locator("body").aria_snapshot()
    for role in ("button", "checkbox", "combobox", "columnheader", "heading", "img", "link",
                 "navigation", "region", "rowheader", "search", "searchbox", "table"):  # fmt: skip
        named = re.findall(rf"^\s*- '?{role} \"", tree, re.M)
        assert named, role
        assert len(named) == len(re.findall(rf"^\s*- '?{role}\b", tree, re.M)), role
    scopes = page.locator("th").evaluate_all("all => all.map((one) => one.getAttribute('scope'))")
    assert set(scopes) == {"col", "row", "colgroup"}
    assert page.locator("table:not(:has(caption))").count() == 0
    for name in ("Compare at k =", "Find", "every k_train", "± intervals", "Lines drawn"):
        assert f'"{name}"' in tree
    assert '- columnheader "k = 4"' in tree
    page.locator("#task-0 button.number").first.click()
    assert '- dialog "' in page.locator("dialog").aria_snapshot()
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(browser: Browser, tmp_path: Path, scheme: str) -> None:
    """Also the text on the colours of a heat map, in every shade."""
    records = [
        make_trained({k: 1 - k / 40 for k in range(1, 33)} | {"full": 0.2}, k_train=k, half=h)
        for k, h in ((1, 0.01), (4, 0.01))
    ]
    path = tmp_path / "board.html"
    path.write_text(page_of(boards(records), SUMMARIES, read_published()), encoding="utf-8")
    found = opened(browser, path, scheme=scheme)
    found.draw_all()
    found.page.locator("#every").check()
    found.page.locator("#intervals").check()
    found.page.locator("#choose-models summary").click()
    found.page.wait_for_selector("table.heat button.number")
    contrasts = found.page.evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert min(contrasts)[0] >= 4.5, min(contrasts)
    found.page.locator("#task-0 button.number").first.click()
    for summary in found.page.locator("dialog summary").all():
        summary.click()
    assert min(found.page.evaluate(CONTRASTS))[0] >= 4.5
    found.page.context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_seen(
    browser: Browser, board: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    found = opened(browser, board, width, scheme)
    page = found.page
    over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert over <= 0  # tables scroll inside their box
    assert page.locator("#task-0 .board").evaluate("box => box.scrollWidth >= box.clientWidth")

    def ground() -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return int(colour.strip("rgba()").split(",")[0])

    before = ground()
    assert (before < 60) == (scheme == "dark")
    page.locator("#theme").click()
    assert (ground() < 60) != (before < 60)
    assert len(page.screenshot(path=tmp_path / "page.png")) > 10_000
    assert found.messages == []
    page.context.close()
