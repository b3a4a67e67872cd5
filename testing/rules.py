"""How a check reports a broken rule."""

from torch import Tensor

__all__ = ["require"]


def require(holds: bool | Tensor, rule: str) -> None:
    """Raise an error unless a rule holds; unlike ``assert``, with ``python -O`` as well.

    Args:
        holds: whether it holds; a tensor with one truth value is accepted.
        rule: the rule in words.

    Raises:
        AssertionError: it does not hold.
    """
    if not holds:
        raise AssertionError(f"rule broken: {rule}")
