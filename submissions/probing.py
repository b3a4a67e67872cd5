"""Open a model for `seqmem probe`: trained or not, with a task or without one.

The formats are those of `seqmem eval` and `seqmem measure`, and so are the loaders. Without a task
the inputs are random, of the kind that the file or the network's first layer shows.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from seqmem.baselines import BASELINES
from seqmem.baselines.own.load import is_code
from seqmem.baselines.own.spec import model_spec
from seqmem.baselines.spec import ModelSpec, build_model, parse_model
from seqmem.baselines.training.loop import ClosedForm, seeded
from seqmem.baselines.training.recipes import recipe_for
from seqmem.errors import InputError
from seqmem.probing.inputs import Source, source_of_module, source_of_spec
from seqmem.submissions.hugging_face.hub import find_model
from seqmem.submissions.hugging_face.loading import load_model
from seqmem.submissions.hugging_face.token_task import TokenTask
from seqmem.submissions.onnx.file import read_onnx
from seqmem.submissions.opening import check_format
from seqmem.submissions.process.remote import RemoteModel
from seqmem.submissions.python_factory import Factory, build_module, load_callable, parse_factory
from seqmem.submissions.safetensors_file import load_baseline
from seqmem.tasks import load_task
from seqmem.tasks.task import Features, InputSpec, Task, Tokens

__all__ = ["EXAMPLE", "open_network"]

# What is probed where neither a task nor the model says what it reads.
EXAMPLE = "hidden-markov/dwell=20"


@contextmanager
def open_network(text: str, task: Task | None) -> Iterator[tuple[nn.Module, Source]]:
    """Open a model and yield it with inputs for it; code of the user's runs in this process.

    Args:
        text: a baseline, model.onnx, weights.safetensors, hf:DIRECTORY-OR-ID, model.py:build,
            model.py:Class or package.module:Class.
        task: whose inputs are read; None: random ones.

    Raises:
        InputError: there is no such model, or what it reads is unknown.
        SubmissionError: it is refused.
    """
    suffix = Path(text).suffix.lower()
    if text.partition(":")[0] in BASELINES:
        yield _untrained(parse_model(text), task)
    elif text.startswith("hf:"):
        folder = find_model(text.removeprefix("hf:"))
        model = load_model(folder.path, folder.given)
        tokens = None if task is None else TokenTask(task, model, task.contexts)
        yield model, _source(Tokens(model.vocabulary), tokens)
    elif suffix == ".safetensors":
        trained, stored = load_baseline(Path(text))
        yield trained, _source(stored.architecture.inputs, task, text)
    elif suffix == ".onnx":
        yield from _onnx(Path(text), task)
    elif is_code(text):
        yield _code(text, task)
    else:
        check_format(text)
        yield _factory(parse_factory(text), task)


def _source(spec: InputSpec, task: Task | None, text: str = "") -> Source:
    """Return inputs of a task, or random ones of a type.

    Raises:
        InputError: the model does not read the task's inputs.
    """
    if task is None:
        return source_of_spec(spec)
    if task.inputs != spec:
        raise InputError(f"model '{text}' reads {spec}, and {task.id} has {task.inputs}")
    return source_of_spec(spec, task.split("test").inputs, f"inputs of {task.id}")


def _untrained(spec: ModelSpec, task: Task | None) -> tuple[nn.Module, Source]:
    """Return a baseline, or a class of the user's in the backbone of one, with random weights."""
    sized = task or load_task(EXAMPLE)
    recipe = recipe_for(sized.family, "small")
    with seeded(0):
        model, _ = build_model(spec, sized, recipe.k_train, recipe.options)
    if isinstance(model, ClosedForm):
        model.fit(sized, 0)
    return model, _source(sized.inputs, task)


def _code(text: str, task: Task | None) -> tuple[nn.Module, Source]:
    """Return what code makes: a function or a class that needs nothing, or a class to train."""
    if text.count(":") == 1:
        factory = parse_factory(text)
        made = load_callable(factory)
        if not inspect.isclass(made) or not _required(made):
            return _factory(factory, task)
    return _untrained(model_spec(text), task)


def _factory(factory: Factory, task: Task | None) -> tuple[nn.Module, Source]:
    """Return the module of a function, which is made for a task if it asks for inputs."""
    names = inspect.signature(load_callable(factory)).parameters
    sized = task or load_task(EXAMPLE)
    module = build_module(factory, sized.inputs, sized.outputs)
    if task is None and "inputs" not in names:
        return module, source_of_module(module)
    return module, _source(sized.inputs, task)


def _required(made: type) -> list[str]:
    """Return the names of what a class must be given."""
    parameters = inspect.signature(made).parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in kinds]


def _onnx(path: Path, task: Task | None) -> Iterator[tuple[nn.Module, Source]]:
    """Yield an ONNX file in a process of its own."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"model '{path}': cannot be read ({error.strerror})") from None
    model, signature = read_onnx(data)
    spec: InputSpec | None = None if task is None else task.inputs
    if spec is None and signature.kind == "float32":
        spec = Features(signature.features) if signature.features else None
    elif spec is None:
        spec = _vocabulary(model, signature.input)
    if spec is None:
        raise InputError(
            f"model '{path}': does not say how many ids or numbers it reads; --task ID"
        )
    sizes = [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]
    outputs = task.outputs if task is not None else sizes[-1] if sizes else 0
    if not outputs:
        raise InputError(f"model '{path}': does not say how many outputs it has; give --task ID")
    with RemoteModel(data, spec, outputs) as remote:
        yield remote, _source(spec, task)


def _vocabulary(model: object, name: str) -> Tokens | None:
    """Return the number of rows of the table that an ONNX graph's ids are looked up in."""
    graph = model.graph  # type: ignore[attr-defined]
    tables = {tensor.name: tensor.dims for tensor in graph.initializer}
    ids = {name}
    for node in graph.node:  # in the order in which they are computed
        if node.op_type in ("Cast", "Identity", "Reshape", "Flatten") and node.input[0] in ids:
            ids.update(node.output)
        if node.op_type == "Gather" and node.input[1] in ids and node.input[0] in tables:
            return Tokens(int(tables[node.input[0]][0]))
    return None
