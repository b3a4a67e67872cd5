"""Models built by Python code: ``file.py:build`` or ``package.module:build``.

`build` is a function. It is called once, with those of these keyword arguments that it names (all
of them if it accepts ``**options``), and returns a torch module:

    inputs   `seqmem.tasks.task.Tokens` (``.vocabulary``) or `Features` (``.dimension``)
    outputs  the number of outputs for each input
    seed     an integer, with which torch's generator is seeded as well

The module maps ids (B, L) or floats (B, L, D) to raw scores (B, L, outputs): logits, log-odds or
the predicted number, not probabilities. `build` may also be such a module itself. It is set to
evaluation mode and converted to float32. If it is a `seqmem.tasks.model.SequenceModel`, its readout
is computed at scored positions only. Its attribute `receptive_field`, if it has one, is the number
of the latest inputs that an output depends on.

A file's folder comes first in Python's import path, as with ``python file.py``, so that a file may
import its neighbours.
"""

import importlib
import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import seqmem
from seqmem.errors import InputError, SubmissionError
from seqmem.files import expand_user
from seqmem.submissions.own_files import read_inside

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from seqmem.tasks.task import InputSpec

    Array = npt.NDArray[Any]
    Positions = npt.NDArray[np.int64]

__all__ = ["Factory", "build_module", "load_callable", "open_factory", "parse_factory"]

OFFERED = ("inputs", "outputs", "seed")


@dataclass(frozen=True)
class Factory:
    """A reference to a function that builds a model.

    Attributes:
        text: the reference as the user wrote it.
        module: the module's name, or the file's stem.
        name: the function's name.
        folder: the folder added to Python's import path: the file's, or the current one.
        file: the file; None for a module.
    """

    text: str
    module: str
    name: str
    folder: Path
    file: Path | None

    def to_json(self) -> dict[str, str | None]:
        """Return the fields as values of JSON."""
        return {name: value and str(value) for name, value in asdict(self).items()}

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> "Factory":
        """Return the factory with these fields."""
        file = fields["file"]
        return Factory(**{**fields, "folder": Path(fields["folder"]), "file": file and Path(file)})

    def refusal(self, reason: str) -> SubmissionError:
        """Return the error of a model that is refused for a reason."""
        return SubmissionError(f"model '{self.text}': {reason}")

    @contextmanager
    def one_line_errors(self, what: str) -> Iterator[None]:
        """Turn an error of the user's code into one line with its place."""
        try:
            yield
        except (InputError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            lines = [
                f", line {frame.lineno}"
                for frame in traceback.extract_tb(error.__traceback__)
                if self.file is not None and frame.filename == str(self.file)
            ]
            reason = " ".join(str(error).split())
            raise self.refusal(
                f"{what} raised {type(error).__name__}: {reason}{''.join(lines[-1:])}"
            ) from None

    def places(self) -> tuple[Path, ...]:
        """Return what must be readable for the code to load: the file's folder, or its package.

        Raises:
            InputError: there is no such file or module.
        """
        if self.file is not None:
            _check_file(self)
            return (self.folder,)
        top = self.module.partition(".")[0]
        if top == seqmem.__name__:  # the sandbox makes the needed parts readable
            return ()
        with _in_path(self):
            try:
                spec = importlib.util.find_spec(top)
            except (ImportError, ValueError):
                spec = None
        if spec is None:
            raise _no_module(self, top)
        inside = spec.submodule_search_locations
        places = list(inside) if inside else [spec.origin] if spec.has_location else []
        return tuple(Path(str(place)).resolve() for place in places)


def parse_factory(text: str, folder: Path | None = None) -> Factory:
    """Read ``file.py:build`` or ``package.module:build``.

    Args:
        text: the reference as the user wrote it.
        folder: the folder that relative paths start from; None: the current one.

    Raises:
        InputError: it has neither form.
    """
    folder = (folder or Path.cwd()).resolve()
    place, _, name = text.rpartition(":")
    if place.endswith(".py") and name.isidentifier():
        file = (folder / expand_user(place)).resolve()  # follows links, as Python does
        return Factory(text, file.stem, name, file.parent, file)
    if name.isidentifier() and all(part.isidentifier() for part in place.split(".")):
        return Factory(text, place, name, folder, None)
    raise InputError(
        f"model '{text}': a factory is named file.py:function or package.module:function"
    )


def build_module(factory: Factory, inputs: "InputSpec", outputs: int, seed: int = 0) -> "nn.Module":
    """Run a factory in this process; return its module in evaluation mode, in float32.

    Args:
        factory: the factory.
        inputs: what one input is.
        outputs: the number of outputs for each input.
        seed: seed of torch's generator during the call; its state is restored afterwards.

    Raises:
        InputError: there is no such file or module.
        SubmissionError: there is no such function, it raises, or it returns no module.
    """
    with _in_path(factory):
        return _run(factory, _function(factory), inputs, outputs, seed)


def load_callable(factory: Factory) -> Callable[..., object]:
    """Load a factory's code in this process, and return the callable without calling it.

    Raises:
        InputError: there is no such file or module.
        SubmissionError: there is no such name, or it cannot be called.
    """
    with _in_path(factory):
        return _function(factory)


def open_factory(
    request: Mapping[str, Any], data: bytearray
) -> "tuple[Callable[[Array, Positions, Positions], Array], dict[str, Any], dict[str, Any]]":
    """Build the model that a request names; runs in the model's own process.

    Args:
        request: the factory, what it is called with, and the number of threads.
        data: nothing; other formats are files.

    Returns:
        a function from inputs (B, L, …), rows (m,) and columns (m,) to outputs (m, V); receptive
        field, number of parameters and hash of the weights of the module; and what else can be
        asked: "files", those of the code's own folders that it has read.

    Raises:
        SubmissionError: it cannot be built.
        CellError: (the function) the module returns something other than outputs for each input.
    """
    factory = Factory.from_json(request["factory"])
    with read_inside(factory.places()) as read, _in_path(factory):
        function = _function(factory)
        # After the untrusted code, whose errors need not wait for the import of torch.
        import numpy as np
        import torch

        from seqmem.tasks.model import as_sequence_model, weights_sha256
        from seqmem.tasks.task import Features, Tokens

        spec = request["inputs"]
        inputs = Tokens(**spec) if "vocabulary" in spec else Features(**spec)
        module = _run(factory, function, inputs, request["outputs"], request["seed"])
    torch.set_num_threads(request["threads"])
    with factory.one_line_errors("its receptive_field"):
        model = as_sequence_model(module)
        field = model.receptive_field

    def outputs_at(inputs: "Array", rows: "Positions", columns: "Positions") -> "Array":
        with torch.inference_mode():
            features, _ = model.features_at(*map(torch.from_numpy, (inputs, rows, columns)))
            outputs = model.readout(features)
        # Numpy lacks some floating-point types, such as bfloat16; float32 holds them.
        array: Array = (outputs.float() if outputs.is_floating_point() else outputs).numpy()
        return array

    weights = ""
    with suppress(Exception):  # numpy lacks some tensors, such as sparse ones: the files remain
        weights = weights_sha256(model)
    facts = {
        "receptive_field": field,
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "weights_sha256": weights,
    }
    names = json.dumps([str(path) for path in read]).encode()
    return outputs_at, facts, {"files": lambda data: np.frombuffer(names, np.uint8)}


def _run(
    factory: Factory,
    function: Callable[..., object],
    inputs: "InputSpec",
    outputs: int,
    seed: int,
) -> "nn.Module":
    """Return a module: what the function returns for the arguments it accepts, or itself if one."""
    from torch import nn

    from seqmem.baselines.training.loop import seeded

    module: object = function
    if not isinstance(function, nn.Module):  # else it is the trained model itself
        offered = dict(zip(OFFERED, (inputs, outputs, seed), strict=True))
        # What a module takes that has no __init__ of its own is not visible.
        bare = getattr(function, "__init__", None) is nn.Module.__init__
        names = [] if bare else _accepted(factory, function)
        with seeded(seed), factory.one_line_errors(f"{factory.name}()"):
            module = function(**{name: offered[name] for name in names})
    if not isinstance(module, nn.Module):
        kind = type(module).__name__
        raise factory.refusal(f"{factory.name}() returned {kind}; it must return a torch.nn.Module")
    # In float32, as every format: rounding to fewer bits would hide small violations of causality.
    return module.eval().float()


def _function(factory: Factory) -> Callable[..., object]:
    """Load the module and return the function."""
    module = _load(factory)
    if not hasattr(module, factory.name):
        own = [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]
        raise factory.refusal(
            f"there is no '{factory.name}' in {factory.module}; it has "
            f"{', '.join(own[:6]) or 'no functions'}"
        )
    function = getattr(module, factory.name)
    kind = type(function).__name__
    if not callable(function):
        raise factory.refusal(
            f"'{factory.name}' is {kind}; it must be a function that returns a torch.nn.Module"
        )
    found: Callable[..., object] = function
    return found


def _load(factory: Factory) -> ModuleType:
    if factory.file is None:
        with factory.one_line_errors(f"import {factory.module}"):
            try:
                return importlib.import_module(factory.module)
            except ModuleNotFoundError as error:
                parts = factory.module.split(".")
                if error.name in {".".join(parts[:n]) for n in range(1, len(parts) + 1)}:
                    raise _no_module(factory, error.name) from None
                raise
    _check_file(factory)
    # A unique name, under which dataclasses find their module.
    name = f"submitted_{factory.module}"
    spec = importlib.util.spec_from_file_location(name, factory.file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with factory.one_line_errors("its code"):
        spec.loader.exec_module(module)
    return module


def _accepted(factory: Factory, function: Callable[..., object]) -> list[str]:
    """Return the offered arguments that a function accepts.

    Raises:
        SubmissionError: it requires others.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C: it has no visible signature
        return []
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        named = list(OFFERED)
    else:
        named = [p.name for p in parameters if p.name in OFFERED and p.kind != p.POSITIONAL_ONLY]
    way = f"; `seqmem eval {factory.text}` trains a layer" if inspect.isclass(function) else ""
    for p in parameters:
        needed = p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        if needed and (p.name not in named or p.kind == p.POSITIONAL_ONLY):
            raise factory.refusal(
                f"{factory.name}() requires '{p.name}'; the only arguments, passed by name if it "
                f"names them, are {', '.join(OFFERED)}{way}"
            )
    return named


def _check_file(factory: Factory) -> None:
    if factory.file is None or not factory.file.is_file():
        raise InputError(f"model '{factory.text}': there is no file {factory.file}")


def _no_module(factory: Factory, missing: str) -> InputError:
    return InputError(
        f"model '{factory.text}': there is no module '{missing}' in Python's path, nor in "
        f"{factory.folder}; a file is named file.py:{factory.name}"
    )


@contextmanager
def _in_path(factory: Factory) -> Iterator[None]:
    """Add the factory's folder to the import path: a file's first, the current folder last."""
    place = str(factory.folder)
    sys.path.insert(len(sys.path) if factory.file is None else 0, place)
    try:
        yield
    finally:
        if place in sys.path:
            sys.path.remove(place)
