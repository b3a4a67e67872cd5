"""The law of a task's optimum and of records: verdicts, seeds, ranges, what cannot be fitted."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import seqmem
from seqmem.api.model_curve import ModelCurve
from seqmem.errors import InputError
from seqmem.leaderboard.record import Context, Record, to_json
from seqmem.measuring.exponent import exponents
from seqmem.measuring.exponent_text import exponent_rows, exponents_text, sentence
from seqmem.tasks import load_task
from seqmem.tests.command import Command
from seqmem.tests.records import make_record

TASK = "hidden-markov/dwell=20"
K = (1, 2, 4, 8, 16, 32, 64)
GROUPS = 40
LAWS = {
    "power law": lambda k: 2 + k**-0.5,
    "exponential": lambda k: 2 + np.exp(-k / 9),
}


def record(law: str = "power law", seed: int = 0, noise: float = 0.02, **fields: object) -> Record:
    """Return a record whose losses at neighbouring k differ by a law and by noise of groups."""
    made = make_record(
        dict.fromkeys((*K, "full"), 2.0),
        task=TASK,
        seed=seed,
        chance=3.5,
        **fields,  # type: ignore[arg-type]
    )
    rng = np.random.default_rng(seed)
    each = np.zeros(GROUPS)
    curve = []
    for point in reversed(made.curve):
        k: Context = point.k
        if k == "full":
            continue
        each = each + noise / k**0.5 * rng.standard_normal(GROUPS)
        # Targets near the start of a sequence have fewer inputs in view.
        view = np.minimum(k, load_task(TASK).split("test").available.numpy())
        sums = 10 * (LAWS[law](view.astype(float)).mean() + each)
        mean = replace(point.loss, mean=float(sums.sum() / (10 * GROUPS)), interval=None)
        sums_of = tuple(sums.tolist())
        curve.append(replace(point, n=10 * GROUPS, loss=mean, group_sums=sums_of, excess=None))
    return replace(
        made,
        curve=tuple(reversed(curve)),
        group_counts=(10,) * GROUPS,
        gain=None,
        measurement={"targets": 10 * GROUPS},
    )


@pytest.mark.parametrize("law", list(LAWS))
def test_the_law_of_records_is_found(law: str) -> None:
    found = exponents(TASK, [record(law), record(law, 1)]).curve
    assert found.verdict == law
    assert found.contexts == K
    assert found.decades == pytest.approx(np.log10(64))
    fit, true = (found.power_law, 0.5) if law == "power law" else (found.exponential, 9)
    assert fit.interval is not None
    assert (fit.interval[0] or 0) <= true <= (fit.interval[1] or np.inf)
    assert len(found.seeds) == 2
    if law == "power law":
        assert found.seeds == pytest.approx((0.5, 0.5), abs=0.1)
        assert "γ of single seeds is" in sentence(found)


def test_more_seeds_are_their_mean() -> None:
    """Two seeds of the same losses have the law of one."""
    same = replace(record(), training={**record().training, "seed": 1})
    one, two = exponents(TASK, [record()]).curve, exponents(TASK, [record(), same]).curve
    assert two.power_law.value == pytest.approx(one.power_law.value)
    assert two.power_law.interval == pytest.approx(one.power_law.interval)


def test_context_lengths_at_which_nothing_was_scored_are_left_out() -> None:
    made = record()
    last = replace(made.curve[-1], k=128)  # the same losses: no longer window was scored
    assert exponents(TASK, [replace(made, curve=(*made.curve, last))]).curve.contexts == K


def test_optima_have_the_exponents_of_theory() -> None:
    for task, gamma in (
        ("long-memory/d=0.4", 1.0),
        ("associative-recall/keys=512,values=64,zipf=1.5", 1 / 3),
    ):
        found = exponents(task).curve
        assert found.verdict == "power law"
        assert found.power_law.value == pytest.approx(gamma, rel=0.02)
        assert found.power_law.interval is None
        assert found.known is not None
        assert "Theory has a power law" in sentence(found)
    found = exponents("state-tracking/group=S3,reset=0.05").curve
    assert found.verdict == "exponential"
    assert found.exponential.value == pytest.approx(-1 / np.log(0.95), rel=1e-4)
    assert exponents("adding-problem/T=50").curve.verdict == "neither"  # a straight line


def test_a_short_range_and_other_limits_are_said() -> None:
    found = exponents("long-memory/d=0.4", contexts=(4, 6, 8, 12, 16)).curve
    assert "The range is short" in sentence(found)
    made = replace(record(), training={**record().training, "k_train": 16})
    assert "trained with k_train = 16" in sentence(exponents(TASK, [made]).curve)
    found = exponents("long-memory/d=0.4", contexts=(1, 2, 4, 8, 16)).curve
    assert "from k = 4 to 512 alone" in sentence(found)


def test_what_cannot_be_fitted_is_said_in_one_line() -> None:
    made = record()
    with pytest.raises(InputError, match=r"at 3 context lengths .*at least 5"):
        exponents(TASK, [made], contexts=(1, 2, 4))
    rising = replace(
        made,
        curve=tuple(
            replace(point, group_sums=other.group_sums)
            for point, other in zip(made.curve, reversed(made.curve), strict=True)
        ),
    )
    with pytest.raises(InputError, match="does not fall from k = 1 to k = 64"):
        exponents(TASK, [rising])
    few = replace(
        made,
        curve=tuple(replace(point, group_sums=point.group_sums[:6]) for point in made.curve),
        group_counts=(10,) * 6,
    )
    with pytest.raises(InputError, match="6 groups of dependent targets"):
        exponents(TASK, [few])
    with pytest.raises(InputError, match="does not fall"):
        exponents("copy-memory/T=30", contexts=(1, 2, 4, 8, 16, 32))
    with pytest.raises(InputError, match="no records"):
        exponents("adding-problem/T=50", [made])


def test_text_has_correlations_with_and_without_a_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "mine.txt"
    path.write_text(" ".join(np.repeat(rng.integers(0, 9, 4000), 3).astype(str)))
    found = exponents(f"text:{path}")
    assert found.curves == ()
    assert found.corpus is not None
    assert found.corpus.last == 2
    assert "Corpus of text:" in exponents_text(found, "table")
    (row,) = exponent_rows(found)
    assert row["model"] is None
    assert row["correlated_up_to"] == 2
    with pytest.raises(InputError, match="no known optimum"):
        _ = found.curve


def test_the_command_prints_a_table_and_a_verdict(seqmem_: Command, tmp_path: Path) -> None:
    ran = seqmem_("exponent", "long-memory/d=0.4")
    assert ran.status == 0, ran.err
    assert "Power law: the optimum of long-memory/d=0.4 from k = 4 to 512" in ran.out
    (tmp_path / "record.json").write_text(to_json(record()))
    ran = seqmem_("exponent", TASK, str(tmp_path / "record.json"), "--format", "json")
    assert ran.status == 0, ran.err
    (row,) = json.loads(ran.out)
    assert row["verdict"] == "power law"
    assert row["gamma_low"] < 0.5 < row["gamma_high"]
    assert row["k"] == "1 2 4 8 16 32 64"
    assert row["known_law"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["long-memry/d=0.4"], "did you mean long-memory"),
        (["music/jsb"], "has no known optimum whose law could be fitted: name a MODEL"),
        ([TASK, "lstmm"], "did you mean lstm"),
        (["long-memory/d=0.3", "lstm"], "unknown task among the records"),
        (["long-memory/d=0.4", "--k", "1,2,full"], "at 2 context lengths"),
        ([TASK, "lstm", "--budget", "huge"], "unknown budget"),
    ],
)
def test_mistakes_are_one_line(seqmem_: Command, arguments: list[str], says: str) -> None:
    ran = seqmem_("exponent", *arguments)
    assert ran.status == 2
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1


def test_the_python_interface_has_the_same() -> None:
    found = seqmem.exponent(ModelCurve((record(),)))
    assert found.verdict == "power law"
    assert found.interval is not None
    assert (found.interval[0] or 0) < found.gamma < (found.interval[1] or np.inf)
    assert found.corpus is None
    assert list(found.frame["verdict"]) == ["power law"]
    assert "lstm: power law" in repr(found)
    assert "Power law: lstm on" in " ".join(str(found).split())
    assert seqmem.exponent("long-memory/d=0.4", k=[4, 8, 16, 32, 64]).verdict == "power law"
    with pytest.raises(InputError, match="a curve is of its own model"):
        seqmem.exponent(ModelCurve((record(),)), "lstm")


def test_the_calibration_holds_for_a_few_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """`benchmarks/exponent.py`, which has 500: its bounds would be missed by a broken interval."""
    path = Path(seqmem.__file__).parent / "benchmarks" / "exponent.py"
    monkeypatch.syspath_prepend(str(path.parent))  # it imports its neighbour
    spec = importlib.util.spec_from_file_location("exponent_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    sys.modules.pop("common", None)
    found = benchmark.calibrated("state-tracking/group=S3,reset=0.05", 30)
    assert found["theory"] == pytest.approx(-1 / np.log(0.95))
    assert found["median"] == pytest.approx(found["theory"], rel=0.02)
    assert found["covered, %"] >= 80
    assert found["verdict right, %"] >= 90
