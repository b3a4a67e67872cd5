"""`seqmem check`: whether baselines, or a layer of yours, still learn what is expected."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from seqmem.cli import options
from seqmem.cli.arguments import COUNT, PATH, SEED
from seqmem.cli.exits import fail, log

if TYPE_CHECKING:
    from seqmem.check.report import CheckReport
    from seqmem.check.run import CheckRequest

__all__ = ["check"]

Form = Literal["table", "markdown", "json", "junit", "github"]
FORMS: tuple[Form, ...] = ("table", "markdown", "json", "junit", "github")
ENDINGS: dict[str, Form] = {".txt": "table", ".md": "markdown", ".json": "json", ".xml": "junit"}


@click.command(epilog="Example: seqmem check --suite smoke --jobs 2 -o check.xml")
@click.argument("models", metavar="[BASELINE]...", nargs=-1)
@options.task("A task, or several as in 'copy-memory/T=10|20|50'")
@options.suite
@click.option(
    "--model",
    "drop_in",
    metavar="CODE",
    help="A class of yours, package.module:Class or file.py:Class, that replaces a baseline (a "
    "whole model) or its layer (called as torch.nn.LSTM is); its code runs in this process.",
)
@click.option("--against", metavar="BASELINE", help="The baseline that --model replaces.")
@click.option("--update", is_flag=True, help="Add the result to the expectations; print both.")
@click.option("--speed", is_flag=True, help="Fail also if training or measuring is slow.")
@click.option(
    "--seed",
    "seeds",
    type=SEED,
    multiple=True,
    help="Seed of training; repeatable.  [default: 0 and 1; with --update 0 to 4]",
)
@click.option(
    "--expectations",
    metavar="DIR",
    type=PATH,
    help="The folder that expectations are read from, and with --update written to.  [default: "
    "the committed ones]",
)
@click.option(
    "--jobs",
    metavar="N",
    type=COUNT,
    default=1,
    help="Processes that train cells at the same time.",
)
@options.output_format(FORMS, "; github is the table and a line for each annotation")
@options.output(
    "Write to a file too, in the format of its ending: .txt, .md, .json, .xml (JUnit); repeatable.",
    multiple=True,
)
@options.data_dir
def check(
    models: tuple[str, ...],
    drop_in: str | None,
    against: str | None,
    update: bool,
    seeds: tuple[int, ...],
    expectations: Path | None,
    form: Form,
    output: tuple[Path, ...],
    **others: Any,
) -> None:
    """Train baselines again for a few steps, and compare their curves with expectations.

    Without BASELINEs, all are checked. Exit status 0: something is green, and the rest is green,
    undecided or skipped; 1: something is red or cannot be compared, or nothing is green.
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
    for path in output:
        if path.suffix not in ENDINGS:
            known = ", ".join(ENDINGS)
            raise InputError(f"--output {path}: the ending chooses the format: {known}")
    request = CheckRequest(
        expectations=expectations or EXPECTATIONS,
        models=models if against is None else (against,),
        drop_in=drop_in,
        seeds=tuple(dict.fromkeys(seeds)) or (EXPECTED if update else CHECKED),
        **others,
    )
    if update:
        _renew(request)
        return
    report = run_check(request, log)
    click.echo(_text(report, form), nl=False)
    for path in output:
        write_output(path, _text(report, ENDINGS[path.suffix]).encode())
    if problems := report.problems():
        for problem in problems:
            log(problem)
        raise fail(f"the check fails: {report.count()}", 1)


def _text(report: "CheckReport", form: Form) -> str:
    """Return a report in one of the formats."""
    from seqmem.check.ci import annotations, junit
    from seqmem.check.report import report_json, report_table

    if form == "json":
        return report_json(report)
    if form == "junit":
        return junit(report)
    table = report_table(report, "markdown" if form == "markdown" else "table")
    return table + ("\n" + annotations(report) if form == "github" else "")


def _renew(request: "CheckRequest") -> None:
    """Renew expectations, and print each as it is written."""
    from seqmem.check.report import renewal_table
    from seqmem.check.run import renew

    failures, cells = 0, 0
    for renewal in renew(request, log):
        cells += 1
        if isinstance(renewal.new, str):
            failures += 1
            log(f"{renewal.cell}: {renewal.new}")
        elif renewal.path is None:
            log(f"{renewal.cell}: as before")
        else:
            log(f"{renewal.cell}: {renewal.path}")
            click.echo(renewal_table(renewal.old, renewal.new))
    if failures:
        raise fail(f"{failures} could not be renewed (see above)", 1)
    if not cells:
        raise fail("nothing was renewed", 1)
