import hashlib

import pytest

from seqmem.errors import InputError
from seqmem.tasks.data.line_checks import LineCheck, LineFacts

LINES = [["=", "A", "="], [], ["b", "c"]]
TEXT = "= A =\n\nb c\n"


def check(lines: list[list[str]], expected: LineFacts) -> str:
    looked = LineCheck(expected)
    for line in lines:
        looked.add(line)
    looked.finish("HERE")
    return looked.sha256


def test_the_ordered_hash_is_that_of_the_text() -> None:
    right = hashlib.sha256(TEXT.encode()).hexdigest()
    assert check(LINES, LineFacts(3, 8, right)) == right


def test_the_unordered_hash_depends_on_everything_but_order() -> None:
    total = sum(
        int.from_bytes(hashlib.sha256(line.encode()).digest(), "big")
        for line in TEXT.splitlines(keepends=True)
    )
    right = f"{total % 2**256:064x}"
    expected = LineFacts(3, 8, right, ordered=False)
    assert check(LINES, expected) == check(LINES[::-1], expected) == right
    with pytest.raises(InputError, match="HERE: sha256 of the text is"):
        check([LINES[0], [], ["b", "d"]], expected)
    with pytest.raises(InputError, match="HERE: sha256 of the text is"):
        check([LINES[0], ["c"], ["b"]], expected)  # the same words in other lines


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        (LineFacts(4, 8, None), "HERE: 3 lines, expected 4"),
        (LineFacts(3, 9, None), "HERE: 8 tokens, expected 9"),
        (LineFacts(3, 8, "0" * 64), "HERE: sha256 of the text is"),
    ],
)
def test_another_text(expected: LineFacts, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        check(LINES, expected)
