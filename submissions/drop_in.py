"""A user's own layer or model that replaces a baseline's.

It is named ``package.module:Class`` or ``file.py:Class``. There are two kinds of class.

**A recurrent layer**, a `torch.nn.Module` constructed like torch's, replaces the layer of `rnn`,
`lstm` or `gru`:

    layer = Class(input_size, hidden_size, num_layers=1, batch_first=True)
    features, state = layer(inputs, state)

`inputs` is (B, L, input_size) and `features` (B, L, hidden_size). A state of None is the start of a
sequence; any other state is the one that the layer returned for the previous inputs, one tensor or
a tuple of tensors. Embedding, dropout and readout are the baseline's. torch's weights are named
`weight_ih_l0` and so on.

**A whole model**, a subclass of `seqmem.tasks.model.SequenceModel`, replaces any baseline that is
trained. It is called as the baseline is, ``Class(inputs, outputs, **options)``, with those of the
baseline's options that it names.

If all weights of a class have the names and shapes of the baseline's, they are initialised to the
baseline's values, and a correct class then reproduces the baseline's curve up to rounding.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqmem.baselines.own.recurrent import features_and_state
from seqmem.baselines.recurrent import GRU, LSTM, RNN, Recurrent
from seqmem.baselines.spec import ModelSpec, architecture_of, build_model
from seqmem.baselines.training.recipes import Recipe
from seqmem.errors import CellError, InputError
from seqmem.submissions.python_factory import Factory, load_callable, parse_factory
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import Task

__all__ = ["build_drop_in"]

LAYERED = (RNN, LSTM, GRU)  # baselines whose layer can be replaced


def build_drop_in(
    text: str, against: ModelSpec, task: Task, recipe: Recipe
) -> tuple[SequenceModel, bool]:
    """Return an untrained model in which the user's class replaces a baseline or its layer.

    Args:
        text: the class as the user wrote it.
        against: the baseline and its options.
        task: the task, which determines inputs and outputs.
        recipe: the training recipe, with further options of the baseline.

    Returns:
        the model, and whether its initial weights are the baseline's.

    Raises:
        InputError: the class cannot be loaded or constructed, or its outputs are invalid.
    """
    factory = parse_factory(text)
    constructor = load_callable(factory)
    reference, _ = build_model(against, task, recipe.k_train, recipe.options)
    if isinstance(constructor, type) and issubclass(constructor, SequenceModel):
        model = _whole_model(factory, constructor, against, task, recipe)
        return model, _copy_weights(model, reference)
    if not isinstance(reference, Recurrent) or type(reference) not in LAYERED:
        raise InputError(
            f"--model {text} --against {against}: a layer can replace that of rnn, lstm or gru; "
            "a subclass of seqmem.tasks.model.SequenceModel any baseline"
        )
    return reference, _replace_layer(factory, constructor, reference)


def _whole_model(
    factory: Factory,
    constructor: type[SequenceModel],
    against: ModelSpec,
    task: Task,
    recipe: Recipe,
) -> SequenceModel:
    """Return the user's model, constructed as the baseline is."""
    architecture = architecture_of(against, task, recipe.k_train, recipe.options)
    offered: dict[str, Any] = {
        **architecture.options,
        "context": architecture.context,
        "covers": architecture.covers,
    }
    parameters = inspect.signature(constructor).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        named = {p.name for p in parameters}
        offered = {key: value for key, value in offered.items() if key in named}
    called = ", ".join(["inputs", "outputs", *(f"{key}=" for key in offered)])
    with factory.one_line_errors(f"called with ({called}) it"):
        return constructor(architecture.inputs, architecture.outputs, **offered)


def _replace_layer(
    factory: Factory, constructor: Callable[..., object], reference: Recurrent
) -> bool:
    """Replace a baseline's layer by the user's, after a check of its outputs.

    Returns:
        whether its initial weights are those of the baseline's layer.
    """
    own = reference.layers
    width, hidden, layers = own.input_size, own.hidden_size, own.num_layers
    called = f"{width}, {hidden}, num_layers={layers}, batch_first=True"
    with factory.one_line_errors(f"called with ({called}) it"):
        layer = constructor(width, hidden, num_layers=layers, batch_first=True)
    if not isinstance(layer, nn.Module):
        raise factory.refusal(
            f"it returned {type(layer).__name__}; it must return a torch.nn.Module"
        )
    _check_layer(factory, layer, width, hidden)
    same = _copy_weights(layer, own)
    layer.register_forward_hook(_stored_by_step)
    setattr(reference, "layers", layer)  # noqa: B010 - it is declared as a layer of torch
    return same


def _stored_by_step(
    layer: nn.Module, given: object, returned: tuple[Tensor, object]
) -> tuple[Tensor, object]:
    """Return features stored in memory step after step, as those of torch's layers are.

    Dropout draws in the order of memory: with another order, a correct layer would get another
    mask than the baseline's.
    """
    features, state = returned
    return features.transpose(0, 1).contiguous().transpose(0, 1), state


def _copy_weights(module: nn.Module, own: nn.Module) -> bool:
    """Copy the weights of another module if names and shapes agree; return whether they do."""
    theirs = {name: value.shape for name, value in module.state_dict().items()}
    same = theirs == {name: value.shape for name, value in own.state_dict().items()}
    if same:
        module.load_state_dict(own.state_dict())
    return same


def _check_layer(factory: Factory, layer: nn.Module, width: int, hidden: int) -> None:
    """Check a layer on three inputs, and on three more from the state after them."""
    inputs = torch.zeros(2, 3, width)
    state: State = None
    for _ in range(2):
        with (
            torch.no_grad(),
            factory.one_line_errors(f"called with (inputs (2, 3, {width}), state) it"),
        ):
            returned = layer(inputs, state)
        try:
            _, state = features_and_state(returned, (2, 3, hidden), type(layer).__name__)
        except CellError as error:
            raise factory.refusal(str(error)) from None
