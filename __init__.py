"""seqmem: how much memory a sequence task needs, and how much a model uses.

    import seqmem

    run = seqmem.train(MyLayer, "wikitext-2", budget="small", seeds=3)
    curve = seqmem.measure(run, "wikitext-2")  # or any torch module, "hf:gpt2", "net.onnx"
    curve.plot("lstm", "transformer")
    seqmem.compare(curve, "lstm", k=8)

What is needed is imported when it is used: `import seqmem` alone is fast.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqmem.api.ablation import ablate
    from seqmem.api.boards import compare, models, plot
    from seqmem.api.exponent import exponent
    from seqmem.api.measuring import measure
    from seqmem.api.probing import probe
    from seqmem.api.training import evaluate, train
    from seqmem.api.training_curve import TrainingCurve
    from seqmem.tasks import load_task

__all__ = [
    "TrainingCurve",
    "__version__",
    "ablate",
    "compare",
    "evaluate",
    "exponent",
    "leaderboard",
    "load_task",
    "measure",
    "models",
    "plot",
    "probe",
    "tasks",
    "train",
]

__version__ = "0.1.0"

_MODULES = {
    "TrainingCurve": "seqmem.api.training_curve",
    "ablate": "seqmem.api.ablation",
    "compare": "seqmem.api.boards",
    "evaluate": "seqmem.api.training",
    "exponent": "seqmem.api.exponent",
    "leaderboard": "seqmem.leaderboard",
    "load_task": "seqmem.tasks",
    "measure": "seqmem.api.measuring",
    "models": "seqmem.api.boards",
    "plot": "seqmem.api.boards",
    "probe": "seqmem.api.probing",
    "tasks": "seqmem.tasks",
    "train": "seqmem.api.training",
}


class CallableRoom(ModuleType):
    """A room that is a function, too: `seqmem.tasks()` lists what is in `seqmem.tasks`."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the function of the Python interface that has the room's name."""
        name = self.__name__.rpartition(".")[2]
        return getattr(import_module("seqmem.api.boards"), name)(*arguments, **options)


def __getattr__(name: str) -> Any:
    """Return a public name, imported when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module 'seqmem' has no attribute '{name}'")
    module = import_module(_MODULES[name])
    return module if module.__name__ == f"seqmem.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
