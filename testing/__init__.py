"""The contracts of tasks and models, as checks that tests of your own call like ours do.

    from seqmem.testing import check_chance, check_model, check_task

    def test_my_task():
        check_task(MyTask())
        check_chance(MyTask())

A check raises an AssertionError with a message that names the broken rule. Any test runner works.
"""

from seqmem.testing.models import check_model, check_saved, example_inputs
from seqmem.testing.tasks import check_chance, check_scores, check_task

__all__ = [
    "check_chance",
    "check_model",
    "check_saved",
    "check_scores",
    "check_task",
    "example_inputs",
]
