"""The HTML around a page's data: everything but what its script adds."""

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from seqmem.leaderboard.charts.picture import javascript
from seqmem.leaderboard.page.reading import INTRODUCTION, reading
from seqmem.leaderboard.page.sections import contents, glance, needs, section

__all__ = ["document", "script"]

HERE = Path(__file__).parent
SCRIPTS = ("dom", "state", "dialog", "table", "matrix", "curve", "need", "board")
EMPTY = (
    '<p class="empty">No records yet: <code>seqmem eval lstm --suite smoke</code> creates some.</p>'
)


def document(data: Mapping[str, Any]) -> str:
    """Return a page.

    Args:
        data: from `page_data`.
    """
    tasks = data["tasks"]
    drawn = any(task["rows"] for task in tasks)
    scripts = [javascript(), script()] if drawn else [script()]
    style = (HERE / "page.css").read_text(encoding="utf-8")
    body = EMPTY
    if tasks:
        at = data["at"]
        sections = [section(i, task, at) for i, task in enumerate(tasks)]
        ends = [needs(tasks), reading(data["about"])] if drawn else []
        body = "\n".join([glance(tasks, at), *sections, *ends])
    tags = "\n".join(f"<script>{text}</script>" for text in scripts)
    if drawn:
        licence = (HERE / "LICENSE-vega").read_text(encoding="utf-8")
        tags = f"<!--\n{licence}-->\n{tags}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>seqmem: loss against context length</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the boards</a>
<header class="top">
<h1>seqmem</h1>
{INTRODUCTION}
{contents(data["tasks"])}
</header>
{_controls(data) if drawn else ""}
<main id="main" tabindex="-1">
<noscript><p class="empty">A script in this page draws its charts and tables from data in this page.
Scripts are switched off here.</p></noscript>
<p class="empty" id="nothing" hidden>Nothing here matches.</p>
{body}
</main>
<footer>
<p>{_origin(data)}</p>
</footer>
<dialog id="provenance" aria-labelledby="provenance-title">
<h2 id="provenance-title">The source of a number</h2></dialog>
<p id="announcement" class="unseen" role="status"></p>
<script type="application/json" id="data">{_json(data)}</script>
{tags}
</body>
</html>
"""


def script() -> str:
    """Return the page's own scripts as one, without global names."""
    parts = [(HERE / f"{part}.js").read_text(encoding="utf-8") for part in SCRIPTS]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"


def _policy(scripts: list[str]) -> str:
    """Return a policy that allows these exact scripts, and nothing from outside."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _json(data: Mapping[str, Any]) -> str:
    """Return data as JSON in which no text can end the script or open a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _controls(data: Mapping[str, Any]) -> str:
    budgets = "".join(
        f'<option value="{escape(budget)}">{escape(budget)}</option>' for budget in data["budgets"]
    )
    budget = (
        f"""<label>Budget <select id="budget"><option value="">all</option>{budgets}</select>
</label>"""
        if len(data["budgets"]) > 1
        else ""
    )
    contexts = "".join(
        f'<option value="{k}"{" selected" * (k == data["at"])}>{k}</option>'
        for k in data["contexts"]
    )
    return f"""<form class="controls" role="search" aria-label="Choose what is shown">
<label>Compare at k = <select id="at">{contexts}</select></label>
<label class="find">Find <input type="search" id="find" autocomplete="off" spellcheck="false"
placeholder="model, task, k_train"></label>
<details class="choose" id="choose-models"><summary>Models <span></span></summary>
<fieldset><legend class="unseen">Models shown</legend></fieldset></details>
<details class="choose" id="choose-tasks"><summary>Tasks <span></span></summary>
<fieldset><legend class="unseen">Tasks shown</legend></fieldset></details>
{budget}
<label><input type="checkbox" id="every"> every k_train</label>
<label><input type="checkbox" id="intervals"> ± intervals</label>
<button type="button" id="theme">Dark colours</button>
</form>"""


def _origin(data: Mapping[str, Any]) -> str:
    latest = f", the latest of {escape(data['latest'])}" if data["latest"] else ""
    records = f"{data['records']:,} record{'s' * (data['records'] != 1)}"
    return (
        f"Written by seqmem {escape(data['suite'])} from {records}{latest}."
        " Charts are drawn by Vega, Vega-Lite and Vega-Embed (University of Washington Interactive "
        "Data Lab, BSD 3-Clause licence)."
    )
