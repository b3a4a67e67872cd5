"""`seqmem ablate`: what of the far context a trained model uses."""

from typing import TYPE_CHECKING

import click

from seqmem.cli import options
from seqmem.cli.arguments import NUMBERS
from seqmem.cli.exits import log
from seqmem.leaderboard import Format

if TYPE_CHECKING:
    from seqmem.measuring.ablation import Ablation

__all__ = ["ablate"]

KINDS = ("sentences", "shuffle", "older", "nothing")


@click.command(
    epilog="Example: seqmem ablate weights.safetensors --task wikitext-2 --beyond 8,32 --k 256"
)
@click.argument("model", metavar="MODEL")
@options.task(required=True)
@click.option(
    "--beyond",
    type=NUMBERS,
    required=True,
    help="How many of the latest inputs stay as they are: one number, or several.",
)
@click.option(
    "--ablate",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="What is in place of those before: the same in random order, by sentences or all "
    "shuffled; older inputs; nothing. Repeatable.  [default: all that apply]",
)
@click.option(
    "--k",
    type=click.IntRange(2, 1_000_000),
    help="Inputs of a window.  [default: the longest context that may help, at most 512]",
)
@click.option(
    "--targets",
    type=click.IntRange(2, 10_000_000),
    default=2000,
    help="How many targets are scored.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Of targets and shuffles.")
@options.device
@options.output_format()
@options.data_dir
def ablate(
    model: str,
    tasks: tuple[str, ...],
    beyond: tuple[int, ...],
    kinds: "tuple[Ablation, ...]",
    k: int | None,
    targets: int,
    seed: int,
    device: str,
    form: Format,
) -> None:
    """Replace what is far in the context of a trained MODEL, and print what that costs.

    MODEL is as for `seqmem measure`. Targets with 2 k inputs before them are drawn from the test
    split, and scored with their k latest inputs, whole and with those beyond the latest few
    shuffled, replaced or missing: all on the same targets. The checks of validity are not run.
    """
    from seqmem.measuring.ablation_text import ablation_text
    from seqmem.measuring.device import find_device
    from seqmem.submissions.ablate import ablate_trained
    from seqmem.submissions.measure import model_name
    from seqmem.submissions.opening import OpenOptions, check_format
    from seqmem.tasks.loading import load_tasks

    check_format(model)
    loaded, _ = load_tasks(tasks, None, log, command="seqmem ablate")
    for task in loaded:
        found = ablate_trained(
            model,
            task,
            log,
            OpenOptions(trust=True),
            beyond=beyond,
            kinds=kinds or None,
            k=k,
            targets=targets,
            seed=seed,
            device=find_device(device),
        )
        click.echo(ablation_text(found, model_name(model), form), nl=False)
