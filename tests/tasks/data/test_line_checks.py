import hashlib

import pytest

from seqmem.errors import InputError
from seqmem.tasks.data.line_checks import checked_lines
from seqmem.tasks.data.sources import Facts

LINES = ["= A  =", "", " b c "]
TEXT = "= A =\n\nb c\n"


def check(lines: list[str], expected: Facts) -> list[list[str]]:
    return list(checked_lines(lines, expected, "HERE"))


def test_the_ordered_hash_is_that_of_the_text() -> None:
    right = hashlib.sha256(TEXT.encode()).hexdigest()
    words = [["=", "A", "="], [], ["b", "c"]]
    assert check(LINES, {"lines": 3, "tokens": 8, "sha256": right}) == words


def test_the_unordered_hash_depends_on_everything_but_order() -> None:
    total = sum(
        int.from_bytes(hashlib.sha256(line.encode()).digest(), "big")
        for line in TEXT.splitlines(keepends=True)
    )
    right = f"{total % 2**256:064x}"
    expected = {"lines": 3, "tokens": 8, "sha256_in_any_order": right}
    assert check(LINES, expected) == check(LINES[::-1], expected)[::-1]
    with pytest.raises(InputError, match="HERE: sha256 of the content is"):
        check([LINES[0], "", "b d"], expected)
    with pytest.raises(InputError, match="HERE: sha256 of the content is"):
        check([LINES[0], "c", "b"], expected)  # the same words in other lines


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ({"lines": 4, "tokens": 8}, "HERE: 3 lines, expected 4"),
        ({"lines": 3, "tokens": 9}, "HERE: 8 tokens, expected 9"),
        ({"lines": 3, "tokens": 8, "sha256": "0" * 64}, "HERE: sha256 of the content is"),
    ],
)
def test_another_text(expected: Facts, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        check(LINES, expected)
