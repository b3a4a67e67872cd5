"""`seqmem probe`: how far a network looks."""

from pathlib import Path

import click

from seqmem.cli import options

__all__ = ["probe"]


@click.command(epilog="Example: seqmem probe net.py:Net -o influence.svg")
@click.argument("model", metavar="MODEL")
@click.option("--task", "task_id", metavar="ID", help="Read this task's inputs.  [default: random]")
@click.option(
    "--length",
    metavar="N",
    type=click.IntRange(2, 1 << 20),
    help="Inputs of a sequence.  [default: doubled until nothing older matters, to 1,024]",
)
@click.option(
    "--share",
    metavar="X",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    help="The share of the influence that counts as little.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of the inputs.")
@options.output("Draw the influence by lag: .png, .svg, .pdf or .html.")
@options.data_dir
def probe(
    model: str,
    task_id: str | None,
    length: int | None,
    share: float,
    seed: int,
    output: Path | None,
) -> None:
    """Print whether MODEL is causal, how many inputs its outputs depend on, and how much on each.

    No training and no task is needed. MODEL is a baseline (lstm:hidden=64), with random weights;
    model.onnx, weights.safetensors of a baseline, hf:DIRECTORY-OR-ID; or Python code of yours, a
    function or a class: net.py:Net or package.module:Net, which runs in this process. What outputs
    must not depend on is checked: later inputs, other sequences of the batch, the length, earlier
    calls, random numbers. The exit status is 1 if they do.
    """
    from seqmem.files import write_output
    from seqmem.leaderboard.charts.picture import form_of, picture
    from seqmem.leaderboard.tables.fitted import terminal_width
    from seqmem.probing.findings import drawn, report
    from seqmem.probing.probe import ProbeOptions, probe_network
    from seqmem.submissions.probing import open_network
    from seqmem.tasks import load_task

    if output is not None:
        form = form_of(output, "--output")  # a wrong name is reported at once
    task = None if task_id is None else load_task(task_id)
    with open_network(model, task) as (network, source):
        settings = ProbeOptions(length=length, share=share, seed=seed)
        found = probe_network(network, source, Path(model).name, settings)
    click.echo(report(found, terminal_width()))
    if output is not None:
        write_output(output, picture(drawn(found), form))
    if found.faults:
        raise SystemExit(1)
