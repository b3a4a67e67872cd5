"""A model's scores as evaluation results of its card on the Hugging Face hub.

The metadata of a card, YAML, contain them under ``model-index``: a result for each task, with a
metric for each context length. The library of the hub writes them.
"""

from collections.abc import Iterator, Sequence

from seqmem.errors import InputError
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.rows import usual_rows
from seqmem.leaderboard.tables.formatting import unit

__all__ = ["model_card"]

# The hub's own names of data sets: repository and configuration.
ON_THE_HUB = {
    "wikitext-2": ("Salesforce/wikitext", "wikitext-2-v1"),
    "wikitext-103": ("Salesforce/wikitext", "wikitext-103-v1"),
}
# The hub's names of metrics, by the unit of the loss.
METRICS = {"mean squared error": "mse"}
TEXT = ("nats per word", "nats per character")


def model_card(boards: Sequence[Board]) -> str:
    """Return a model's scores as the metadata of its card.

    Of several trainings on a task, the usual one is taken, as the recipe says; of several seeds the
    median.

    Raises:
        InputError: the boards have no model, or several.
    """
    from huggingface_hub import EvalResult, ModelCardData

    rows = [(board, row) for board in boards for row in usual_rows(board)]
    names = sorted({row.label for _, row in rows})
    if len(names) != 1:
        there = f"there are {', '.join(names)}" if names else "there is none"
        raise InputError(f"a model card is of one model, and {there}: name one with --model")
    for board in boards:
        if len(budgets := sorted(row.budget for b, row in rows if b is board)) > 1:
            raise InputError(
                f"{names[0]} was trained on {board.task_id} with the budgets {', '.join(budgets)}: "
                "choose one with --budget"
            )
    found = [EvalResult(**fields) for board, row in rows for fields in _results(board, row)]
    return f"{ModelCardData(model_name=names[0], eval_results=found).to_yaml()}\n"


def _results(board: Board, row: Row) -> Iterator[dict[str, object]]:
    """Yield the fields of a result for each k."""
    facts = row.records[0].task
    family, _, parameters = facts.id.replace(":", "/", 1).partition("/")
    dataset, config = ON_THE_HUB.get(facts.id, (family, parameters or None))
    metric = "perplexity" if facts.score == "perplexity" else METRICS.get(facts.unit, "loss")
    for k, score in row.scores.items():
        if k not in board.contexts:
            continue
        context = "full context" if k == "full" else f"k = {k}"
        arguments = {"k": k, "half_width_95": score.half, "seeds": score.seeds}
        yield {
            "task_type": "text-generation" if facts.unit in TEXT else "other",
            "task_name": f"{facts.id}, loss against context length k",
            "dataset_type": dataset,
            "dataset_name": facts.id,
            "dataset_config": config,
            "dataset_split": facts.split,
            "dataset_args": {"task_version": facts.version, "data_hash": facts.data_hash},
            "metric_type": metric,
            "metric_name": f"{unit(facts)}, {context}",
            "metric_value": score.value,
            "metric_args": {name: value for name, value in arguments.items() if value is not None},
        }
