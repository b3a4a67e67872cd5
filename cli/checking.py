"""`seqmem check`: do baselines, or a layer of yours, still learn what they are expected to?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from seqmem.cli.arguments import data_dir_option
from seqmem.cli.exits import fail, one_line_errors, say

if TYPE_CHECKING:
    from seqmem.check.report import Report
    from seqmem.check.run import CheckRequest

__all__ = ["check"]

Form = Literal["table", "markdown", "json", "junit", "github"]
FORMS: tuple[Form, ...] = ("table", "markdown", "json", "junit", "github")
ENDINGS: dict[str, Form] = {".txt": "table", ".md": "markdown", ".json": "json", ".xml": "junit"}


@click.command(epilog="Example: seqmem check --suite smoke --jobs 2 -o check.xml")
@click.argument("models", metavar="[BASELINE]...", nargs=-1)
@click.option("--task", "task_ids", metavar="ID", multiple=True, help="A task; repeatable.")
@click.option("--suite", metavar="NAME", help="A set of tasks, as smoke.")
@click.option(
    "--model",
    "drop_in",
    metavar="CODE",
    help="A class of yours, package.module:Class or file.py:Class, put in the place of a baseline "
    "(a whole model) or of its layer (made as torch.nn.LSTM is); its code runs in this process.",
)
@click.option("--against", metavar="BASELINE", help="Whose place --model takes.")
@click.option("--update", is_flag=True, help="Add what is found to the expectations; show both.")
@click.option("--speed", is_flag=True, help="Fail as well where training or measuring is slow.")
@click.option(
    "--seed",
    "seeds",
    type=click.IntRange(0, 2**31 - 1),
    multiple=True,
    help="Of training; repeatable.  [default: 0 and 1; with --update 0 to 4]",
)
@click.option(
    "--expectations",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where expectations are read, and written with --update.  [default: the committed ones]",
)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Processes that cells are shared out to.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    default="table",
    show_default=True,
    help="What stdout gets; github is the table and a line for each annotation.",
)
@click.option(
    "--output",
    "-o",
    "outputs",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="Write to a file too, as its ending says: .txt, .md, .json, .xml (JUnit); repeatable.",
)
@data_dir_option
@one_line_errors
def check(
    models: Sequence[str],
    task_ids: Sequence[str],
    suite: str | None,
    drop_in: str | None,
    against: str | None,
    update: bool,
    speed: bool,
    seeds: Sequence[int],
    expectations: Path | None,
    jobs: int,
    form: Form,
    outputs: Sequence[Path],
) -> None:
    """Train baselines again for a few steps, and compare their curves with what is expected.

    Without BASELINEs, all are checked. Exit status 0: everything compared is green, or the seeds
    are too noisy to tell; 1: something is red, cannot be compared, or nothing was compared.
    """
    from seqmem.check.expectation import EXPECTATIONS
    from seqmem.check.run import CHECKED, EXPECTED, CheckRequest
    from seqmem.check.run import check as run_check
    from seqmem.errors import InputError
    from seqmem.files import write_output

    if (drop_in is None) != (against is None) or (drop_in is not None and models):
        raise InputError(
            "--model CODE and --against BASELINE go together, and without other baselines: "
            "seqmem check --model layers.py:MyLSTM --against lstm --task hidden-markov/dwell=10"
        )
    for path in outputs:
        if path.suffix not in ENDINGS:
            known = ", ".join(ENDINGS)
            raise InputError(f"--output {path}: the ending says what is written: {known}")
    request = CheckRequest(
        expectations=expectations or EXPECTATIONS,
        models=(against,) if against is not None else tuple(models),
        tasks=tuple(task_ids),
        suite=suite,
        drop_in=drop_in,
        seeds=tuple(dict.fromkeys(seeds)) or (EXPECTED if update else CHECKED),
        speed=speed,
        jobs=jobs,
    )
    if update:
        _renew(request)
        return
    report = run_check(request, say)
    click.echo(_written(report, form), nl=False)
    for path in outputs:
        write_output(path, _written(report, ENDINGS[path.suffix]).encode())
    problems = report.problems()
    if problems:
        for problem in problems:
            say(problem)
        raise fail(f"the check fails: {report.count()}", 1)


def _written(report: "Report", form: Form) -> str:
    """Write a report in one of the forms."""
    from seqmem.check.ci import annotations, junit
    from seqmem.check.report import report_json, report_table

    if form == "json":
        return report_json(report)
    if form == "junit":
        return junit(report)
    table = report_table(report, "pipe" if form == "markdown" else "simple")
    return table + ("\n" + annotations(report) if form == "github" else "")


def _renew(request: "CheckRequest") -> None:
    """Renew expectations, each shown as it is written."""
    from seqmem.check.report import renewal_table
    from seqmem.check.run import renew

    failures, done = 0, 0
    for renewal in renew(request, say):
        done += 1
        name = f"{renewal.model} on {renewal.task}"
        if renewal.new is None:
            failures += 1
            say(f"{name}: {renewal.reason}")
        elif renewal.path is None:
            say(f"{name}: as before")
        else:
            say(f"{name}: {renewal.path}")
            click.echo(renewal_table(renewal.old, renewal.new))
    if failures or not done:
        what = f"{failures} could not be renewed (see above)" if failures else "nothing was renewed"
        raise fail(what, 1)
