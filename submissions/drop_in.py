"""A user's own layer or model in a baseline's place: ``package.module:Class`` or ``file.py:Class``.

Two kinds of class may stand in.

**A recurrent layer**, a `torch.nn.Module` made as torch's are, in the place of that of `rnn`,
`lstm` or `gru`:

    layer = Class(input_size, hidden_size, num_layers=1, batch_first=True)
    features, state = layer(inputs, state)

`inputs` is (B, L, input_size) and `features` (B, L, hidden_size). A state of None is the start of a
sequence; any other is what the layer itself gave for the inputs before, one tensor or a tuple of
them. Embedding, dropout and readout are the baseline's. The names of torch's weights are
`weight_ih_l0` and so on.

**A whole model**, a subclass of `seqmem.tasks.model.SequenceModel`, in the place of any baseline
that is trained: called as that one is, ``Class(inputs, outputs, **options)``, with those of the
baseline's options that it names.

Where all weights of a class have the names and shapes of the baseline's, they start from what the
baseline starts from, and then a right one gives its curve to rounding.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seqmem.baselines.recurrent import GRU, LSTM, RNN, Recurrent
from seqmem.baselines.spec import ModelSpec, architecture_of, build_model
from seqmem.baselines.training.recipes import Recipe
from seqmem.errors import InputError, SubmissionError
from seqmem.submissions.python_factory import load_callable, parse_factory
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Task

__all__ = ["build_drop_in"]

LAYERED = (RNN, LSTM, GRU)  # whose layer can be another


def build_drop_in(
    text: str, against: ModelSpec, task: Task, recipe: Recipe
) -> tuple[SequenceModel, bool]:
    """Make an untrained model in which the user's class has a baseline's place.

    Args:
        text: names the class.
        against: the baseline and its options.
        task: says what comes in and goes out.
        recipe: its options are the baseline's.

    Returns:
        the model, and whether it starts from the baseline's own weights.

    Raises:
        InputError: the class cannot be loaded, made, or does not do what is asked of it.
    """
    made = load_callable(parse_factory(text))
    reference, _ = build_model(against, task, recipe.k_train, recipe.options)
    if isinstance(made, type) and issubclass(made, SequenceModel):
        model = _whole(text, made, against, task, recipe)
        return model, _taken_over(model, reference)
    if not isinstance(reference, Recurrent) or type(reference) not in LAYERED:
        raise InputError(
            f"--model {text} --against {against}: a layer can stand in for that of rnn, lstm or "
            "gru; a subclass of seqmem.tasks.model.SequenceModel for any baseline"
        )
    return reference, _put_in(text, made, reference)


def _whole(
    text: str, made: type[SequenceModel], against: ModelSpec, task: Task, recipe: Recipe
) -> SequenceModel:
    """Call a model's class as the baseline's is called."""
    architecture = architecture_of(against, task, recipe.k_train, recipe.options)
    offered: dict[str, Any] = {
        **architecture.options,
        "context": architecture.context,
        "covers": architecture.covers,
    }
    parameters = inspect.signature(made).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        named = {p.name for p in parameters}
        offered = {key: value for key, value in offered.items() if key in named}
    called = ", ".join(["inputs", "outputs", *(f"{key}=" for key in offered)])
    model: SequenceModel = _called(
        text, called, partial(made, architecture.inputs, architecture.outputs, **offered)
    )
    return model


def _put_in(text: str, made: Callable[..., object], reference: Recurrent) -> bool:
    """Put a layer in the place of a baseline's own, and hold it to what is asked of it.

    Returns:
        whether it starts from the weights of that one.
    """
    own = reference.layers
    width, hidden, layers = own.input_size, own.hidden_size, own.num_layers
    layer = _called(
        text,
        f"{width}, {hidden}, num_layers={layers}, batch_first=True",
        partial(made, width, hidden, num_layers=layers, batch_first=True),
    )
    if not isinstance(layer, nn.Module):
        raise SubmissionError(
            f"model '{text}': it gave {type(layer).__name__}, and must give a torch.nn.Module"
        )
    _try(text, layer, width, hidden)
    same = _taken_over(layer, own)
    layer.register_forward_hook(_as_torch_lays_out)
    setattr(reference, "layers", layer)  # noqa: B010 - declared as one of torch's
    return same


def _as_torch_lays_out(
    layer: nn.Module, given: object, returned: tuple[Tensor, object]
) -> tuple[Tensor, object]:
    """Lay features out in memory step after step, as torch's layers do.

    Dropout draws in the order of memory: laid out otherwise, a right layer would lose others.
    """
    features, state = returned
    return features.transpose(0, 1).contiguous().transpose(0, 1), state


def _taken_over(module: nn.Module, own: nn.Module) -> bool:
    """Give a module the weights of another, if they have the same names and shapes."""
    theirs = {name: value.shape for name, value in module.state_dict().items()}
    same = theirs == {name: value.shape for name, value in own.state_dict().items()}
    if same:
        module.load_state_dict(own.state_dict())
    return same


def _try(text: str, layer: nn.Module, width: int, hidden: int) -> None:
    """Let a layer read three inputs, and three more from the state behind them."""
    inputs = torch.zeros(2, 3, width)
    state: object = None
    for _ in range(2):
        with torch.no_grad():
            given = _called(text, f"inputs (2, 3, {width}), state", partial(layer, inputs, state))
        if not isinstance(given, tuple) or len(given) != 2:
            raise SubmissionError(
                f"model '{text}': called with inputs and a state, it gave "
                f"{type(given).__name__}, and must give two things: features and a state"
            )
        features, state = given
        shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        if shape != (2, 3, hidden):
            raise SubmissionError(
                f"model '{text}': for inputs of shape (2, 3, {width}) it gave features of shape "
                f"{shape}, and must give (2, 3, {hidden})"
            )
        if not _is_state(state):
            raise SubmissionError(
                f"model '{text}': its state is {type(state).__name__}, and must be None, a tensor "
                "or a tuple of states"
            )


def _is_state(state: object) -> bool:
    if isinstance(state, tuple):
        return all(map(_is_state, state))
    return state is None or isinstance(state, Tensor)


def _called(text: str, arguments: str, call: Callable[[], Any]) -> Any:
    """Run the user's code; turn what it raises into one line."""
    try:
        return call()
    except (InputError, MemoryError):
        raise
    except Exception as error:
        told = " ".join(str(error).split())
        raise SubmissionError(
            f"model '{text}': called with ({arguments}) it raised {type(error).__name__}: {told}"
        ) from None
