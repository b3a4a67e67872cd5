"""The half-width of a precision for each kind of score, and invalid precisions."""

import math

import pytest

from seqmem.errors import InputError
from seqmem.measuring.precision import parse_precision
from seqmem.tasks.adding_problem import AddingProblem
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.losses import CrossEntropy


def test_a_share_of_a_perplexity_is_a_difference_of_losses() -> None:
    task = HiddenMarkov(2)
    task.loss = CrossEntropy(score="perplexity")
    assert parse_precision("0.5%").half_width(task) == pytest.approx(math.log(1.005))


def test_other_losses_take_a_share_of_what_memory_can_gain() -> None:
    assert parse_precision("1%").half_width(AddingProblem(10)) == pytest.approx(0.01 / 6)
    markov = HiddenMarkov(2)
    assert parse_precision("10%").half_width(markov) == pytest.approx(
        0.1 * (markov.chance() - markov.optimum("full"))
    )


def test_a_plain_number_is_in_the_losss_unit() -> None:
    assert parse_precision(" 0.01 ").half_width(AddingProblem(10)) == 0.01


@pytest.mark.parametrize("text", ["0.5%", "100%", "0.01", "3"])
def test_it_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_precision(text)) == text


@pytest.mark.parametrize("text", ["0", "0%", "-1%", "101%", "nan", "inf", "", "%", "a", "1%%"])
def test_wrong_ones(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any: the command line says what is wrong
        parse_precision(text)


def test_a_precision_beyond_chance_is_refused() -> None:
    with pytest.raises(InputError, match=r"is more than chance on adding-problem/T=10, 0\.1667"):
        parse_precision("0.2").half_width(AddingProblem(10))


def test_a_precision_below_the_rounding_error_is_refused() -> None:
    with pytest.raises(InputError, match=r"less than the rounding error .*--exact"):
        parse_precision("0.00000001%").half_width(AddingProblem(10))
