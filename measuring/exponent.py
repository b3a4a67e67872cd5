"""By which law a loss falls with context: of a task's optimum, or of models' records.

The paired losses of a record are totals over groups of dependent targets at every k, from which the
covariance between context lengths follows (`leaderboard.statistics.paired_curve`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqmem.errors import InputError
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.leaderboard.selection import select
from seqmem.leaderboard.statistics.aggregate import Row, boards
from seqmem.leaderboard.statistics.law_fit import Fit, PairedCurve, fit_law
from seqmem.leaderboard.statistics.law_verdict import FEWEST, Judgement, judge
from seqmem.leaderboard.statistics.paired_curve import paired_curve
from seqmem.leaderboard.statistics.rows import names, usual_rows
from seqmem.measuring.arrays import Floats
from seqmem.tasks import load_task
from seqmem.tasks.correlations import Correlations, correlations
from seqmem.tasks.known_laws import in_view, known_law
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.law import InView, KnownLaw
from seqmem.tasks.task import Task

__all__ = ["SHORT", "CurveLaw", "Exponents", "exponents"]

SHORT = 1.5  # decades of context below which laws are hard to distinguish
SPARE = 2  # groups of dependent targets more than context lengths, at least
NORMAL = 1.96

Log = Callable[[str], object]


@dataclass(frozen=True, eq=False)
class CurveLaw:
    """The law of one curve.

    Attributes:
        task: the task's id.
        model: the model's name; None for the optimum.
        unit: what u counts in the laws: inputs, or pairs.
        loss_unit: of L∞ and A.
        judgement: the fits and the verdict.
        known: what theory says of the task's optimum; None if nothing.
        seeds: γ of a power law fitted to each seed alone; empty for the optimum.
        k_train: the context that the model was trained with; None if unknown or full.
    """

    task: str
    model: str | None
    unit: str
    loss_unit: str
    judgement: Judgement
    known: KnownLaw | None
    seeds: tuple[float, ...] = ()
    k_train: int | None = None

    @property
    def verdict(self) -> str:
        """One of "power law", "exponential", "neither" and "cannot tell"."""
        return self.judgement.verdict

    @property
    def power_law(self) -> Fit:
        """The power law that fits best, whatever the verdict; its `value` is γ."""
        return self.judgement.fits["power law"]

    @property
    def exponential(self) -> Fit:
        """The exponential that fits best, whatever the verdict; its `value` is τ."""
        return self.judgement.fits["exponential"]

    @property
    def contexts(self) -> tuple[int, ...]:
        """The context lengths that were fitted."""
        return self.judgement.curve.contexts

    @property
    def decades(self) -> float:
        """How many decades of units the fitted context lengths span."""
        views = self.judgement.curve.views
        first, last = (view.units[np.isfinite(view.units)].max() for view in (views[0], views[-1]))
        return math.log10(last / first)


@dataclass(frozen=True, eq=False)
class Exponents:
    """The laws of curves on one task, and of its corpus.

    Attributes:
        task: the task's id.
        curves: of the optimum, or of each model.
        corpus: how the correlations of tokens decay with their distance; None for other tasks.
    """

    task: str
    curves: tuple[CurveLaw, ...]
    corpus: Correlations | None

    @property
    def curve(self) -> CurveLaw:
        """The first curve.

        Raises:
            InputError: there is none, only a corpus.
        """
        if not self.curves:
            raise InputError(
                f"{self.task} has no known optimum, and no model was named; there is only .corpus"
            )
        return self.curves[0]


def exponents(
    task_id: str,
    model: str | Sequence[Record] | None = None,
    *,
    contexts: Sequence[Context] | None = None,
    budget: str | None = None,
    places: Sequence[Path | RemoteResults] = (),
    log: Log = lambda line: None,
) -> Exponents:
    """Return by which law losses on a task fall with context.

    Args:
        task_id: the task.
        model: a name on the board, a file or folder of records, or records; None: the optimum of
            the task, where it is known.
        contexts: only these context lengths; None: all that were measured, where theory states a
            law in the range where it holds.
        budget: only models trained with it; None: all.
        places: where names are looked up; none: in the committed records, and in ./results.
        log: called with one line for each file that is no record, and each curve without a law.

    Raises:
        InputError: there is no such task or model, nothing that can be fitted, or missing data.
    """
    task = load_task(task_id)
    known = known_law(task)
    wanted = None if contexts is None else [k for k in contexts if k != "full"]
    text = isinstance(task, LanguageTask) and task.stream
    if model is not None:
        curves = _of_models(task, known, _records(task, model, budget, places, log), wanted, log)
    elif task.optimum(task.longest_context) is not None:
        curves = (_of_optimum(task, known, wanted),)
    elif text:
        curves = ()
    else:
        raise InputError(
            f"{task.id} has no known optimum whose law could be fitted: name a MODEL; "
            f"`seqmem leaderboard --task {task.id}` lists those with records"
        )
    corpus = None
    if isinstance(task, LanguageTask) and text:
        corpus = correlations(task.counted_ids())
    return Exponents(task.id, curves, corpus)


def _of_optimum(task: Task, known: KnownLaw | None, wanted: Sequence[int] | None) -> CurveLaw:
    """Return the law of a task's optimum.

    Raises:
        InputError: there are too few context lengths, or it does not fall.
    """
    who = f"the optimum of {task.id}"
    available = list(task.contexts) if wanted is None else sorted(set(wanted))
    losses, views = {}, {}
    for k in _chosen(available, known, wanted):
        best, view = task.optimum(k), in_view(task, k)
        if best is not None and view.units.max() > 0:
            losses[k], views[k] = best, view
    used = [k for i, k in enumerate(losses) if i == 0 or losses[k] != losses[list(losses)[i - 1]]]
    _enough(who, used, list(losses))
    curve = PairedCurve(
        tuple(used), np.array([losses[k] for k in used]), tuple(views[k] for k in used)
    )
    if curve.fall <= 1e-9 * abs(task.chance()):
        raise _flat(who, used)
    return CurveLaw(task.id, None, _unit(known), task.loss.unit, judge(curve), known)


def _records(
    task: Task,
    model: str | Sequence[Record],
    budget: str | None,
    places: Sequence[Path | RemoteResults],
    log: Log,
) -> Sequence[Record]:
    """Return the records of a task that a user names; see `exponents`."""
    if not isinstance(model, str):
        found: Sequence[Record] = [record for record in model if record.task.id == task.id]
    elif Path(model).exists():
        found = select([Path(model)], [task.id], log, budget=budget).records
    else:
        found = select(places, [task.id], log, models=[model], budget=budget).records
    if not found:
        raise InputError(f"there are no records of {task.id} among those given")
    return [record for record in found if record.task.version == task.version] or found


def _of_models(
    task: Task,
    known: KnownLaw | None,
    records: Sequence[Record],
    wanted: Sequence[int] | None,
    log: Log,
) -> tuple[CurveLaw, ...]:
    """Return the law of each row of a board.

    Raises:
        InputError: none of them can be fitted.
    """
    found, problems = [], []
    for board in boards(records):
        rows = usual_rows(board)
        for name, row in zip(names(rows), rows, strict=True):
            try:
                found.append(_of_row(task, known, name, row, wanted))
            except InputError as error:
                problems.append(error)
    if not found:
        raise problems[0]
    for problem in problems:
        log(f"{problem}")
    return tuple(found)


def _of_row(
    task: Task, known: KnownLaw | None, name: str, row: Row, wanted: Sequence[int] | None
) -> CurveLaw:
    """Return the law of the mean over a row's seeds.

    Raises:
        InputError: there are too few context lengths or groups, or it does not fall.
    """
    who = f"the loss of {name} on {task.id}"
    seeds = row.records
    counts = np.array(seeds[0].group_counts)
    if any(seed.group_counts != seeds[0].group_counts for seed in seeds):
        seeds = seeds[:1]  # measured on groups of their own, which are not paired
    shared = [p.k for p in seeds[0].curve if isinstance(p.k, int)]
    shared = [k for k in shared if all(seed.point(k) is not None for seed in seeds)]
    sums: dict[int, Floats] = {}  # (seeds, G)
    views: dict[int, InView] = {}
    shared = _chosen(shared, known, wanted)
    for k in shared:
        each = np.array([point.group_sums for seed in seeds if (point := seed.point(k))])
        view = in_view(task, k)
        same = sums and np.array_equal(each, sums[max(sums)])  # no window of k inputs was scored
        if not same and view.units.max() > 0 and np.ptp(each.mean(axis=0) / counts) > 0:
            sums[k], views[k] = each, view
    used = tuple(sums)
    _enough(who, used, shared)
    groups = np.stack([sums[k].mean(axis=0) for k in used], axis=1)
    curve = paired_curve(used, tuple(views.values()), groups, counts)
    assert curve.covariance is not None
    if curve.freedom < len(used) + SPARE:
        raise InputError(
            f"{who}: the test data are {len(counts)} groups of dependent targets, which count as "
            f"{curve.freedom + 1:.0f} equal ones; {len(used)} context lengths need at least "
            f"{len(used) + SPARE + 1}: choose fewer with --k, at least {FEWEST}"
        )
    ends = np.zeros(len(used))
    ends[[0, -1]] = 1.0, -1.0
    if curve.fall <= NORMAL * math.sqrt(ends @ curve.covariance @ ends):
        raise _flat(who, used)
    try:
        judgement = judge(curve)
        alone = tuple(
            fit_law(
                paired_curve(
                    used,
                    curve.views,
                    np.stack([sums[k][i] for k in used], axis=1),
                    counts,
                ),
                "power law",
            ).value
            for i in range(len(seeds))
        )
    except np.linalg.LinAlgError:
        raise InputError(
            f"{who} is the same at several of k = {_listed(used)} up to rounding: choose fewer "
            f"with --k, at least {FEWEST}"
        ) from None
    trained = row.k_train if isinstance(row.k_train, int) else None
    unit = seeds[0].task.unit
    return CurveLaw(task.id, name, _unit(known), unit, judgement, known, alone, trained)


def _chosen(
    available: Sequence[int], known: KnownLaw | None, wanted: Sequence[int] | None
) -> list[int]:
    """Return the context lengths to fit: those wanted, or those at which a known law holds."""
    if wanted is not None:
        return [k for k in available if k in set(wanted)]
    if known is None:
        return list(available)
    within = [k for k in available if known.first <= k <= known.last]
    return within if len(within) >= FEWEST else list(available)


def _enough(who: str, used: Sequence[int], there: Sequence[int]) -> None:
    """Raise InputError if too few context lengths differ."""
    if len(used) <= 1 and len(there) >= FEWEST:
        raise _flat(who, there)
    if len(used) < FEWEST:
        at = f" (k = {_listed(used)})" if used else ""
        raise InputError(
            f"{who} is known at {len(used)} context lengths that differ{at}: a law needs at least "
            f"{FEWEST}; `seqmem eval` with --k measures more"
        )


def _flat(who: str, used: Sequence[int]) -> InputError:
    return InputError(
        f"{who} does not fall from k = {used[0]:,} to k = {used[-1]:,}: there is no law to fit; "
        "choose other context lengths with --k"
    )


def _listed(contexts: Sequence[int]) -> str:
    return ", ".join(map(str, contexts))


def _unit(known: KnownLaw | None) -> str:
    return "inputs" if known is None else known.unit
