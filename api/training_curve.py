"""The curve of a model under training: a few contexts on a fixed sample, as numbers to log."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from seqmem.api.model_curve import tracked
from seqmem.api.requests import Contexts, contexts_of, logger
from seqmem.api.undisturbed import UndisturbedModel, UndisturbedTokens, undisturbed
from seqmem.baselines.own.errors import one_line_errors
from seqmem.baselines.own.trial import try_out
from seqmem.errors import CellError, InputError, NotFiniteError
from seqmem.leaderboard.statistics.aggregate import score_of
from seqmem.measuring.arrays import Floats
from seqmem.measuring.full_context import reads_whole
from seqmem.measuring.reference import full_scores
from seqmem.measuring.settings import MeasurementSettings
from seqmem.measuring.small_sample import small_sample
from seqmem.measuring.window_scores import Scorer
from seqmem.submissions.extras import imported
from seqmem.submissions.hugging_face.measure import measure_words
from seqmem.submissions.hugging_face.word_text import WordText, language_task, word_text
from seqmem.tasks import load_task
from seqmem.tasks.task import Context, Task

__all__ = ["TrainingCurve"]

DEVICES = ("cpu", "cuda")


class TrainingCurve:
    """What a model under training loses with less context, cheap enough for every evaluation.

    Called with the model, it returns its scores as `ModelCurve.to_dict` names them, on a few
    targets of the task's validation split, always the same. Neither the model nor the random
    numbers of its training are changed: weights, modes and gradients are what they were. There is
    no validity gate, and nothing is stored; `seqmem.measure` is for the trained model.

    Where the model cannot read everything since the start of a corpus, k = full is left out, and so
    is a k beyond its longest input or where its outputs are not finite; one line says so, once.
    """

    def __init__(
        self,
        task: str | Task,
        *,
        k: Contexts = (1, 8, 64, "full"),
        targets: int = 512,
        model: Callable[[Any], nn.Module] | None = None,
        tokenizer: Any = None,
        verbose: bool = True,
    ) -> None:
        """Choose what is measured.

        Args:
            task: the task or its id.
            k: context lengths.
            targets: how many are scored; a target costs about k model steps at each k.
            model: returns the model, from inputs (B, L) or (B, L, D) to scores (B, L, outputs), of
                what is trained: ``lambda module: module.net``; None: it is what is trained.
            tokenizer: of a Hugging Face model that reads tokens of its own; then words of a text
                are scored, and k counts words.
            verbose: whether lines are written to stderr.

        Raises:
            InputError: there is no such task, or a value is none that it may have.
        """
        self.task = load_task(task) if isinstance(task, str) else task
        if targets < 1:
            raise InputError(f"targets={targets}: at least one target is scored")
        self._contexts = MeasurementSettings(contexts_of(k)).grid(self.task)
        self._valid = self.task.split("valid")
        longest = max((each for each in self._contexts if each != "full"), default=1)
        self._sample = small_sample(self._valid, targets, longest)
        self._model, self._tokenizer, self._log = model, tokenizer, logger(verbose)
        self._text: WordText | None = None
        self._said: set[str] = set()
        if tokenizer is not None:
            language_task(self.task)
            self._sample = self._valid.prefix(targets)  # of consecutive words, as texts are read

    def __call__(self, trained: Any) -> dict[str, float]:
        """Return the scores of a model at this moment of its training.

        Args:
            trained: the model, or what `model` returns it of.

        Raises:
            InputError: there is no such model.
        """
        module = self._module(trained)
        device = _device(module)
        with undisturbed(module), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            if self._tokenizer is not None:
                losses = self._of_words(module, device)
            else:
                losses = self._of_targets(UndisturbedModel(module, self.task.outputs), device)
        kind = self.task.loss.score
        return tracked(self.task.id, {k: score_of(kind, loss) for k, loss in losses.items()})

    def check(self, trained: Any) -> None:
        """Measure a model once, so that what is wrong is found before it is trained.

        Raises:
            InputError: it cannot be called with the task's inputs, or returns something else than
                scores.
        """
        module = self._module(trained)
        name = type(module).__name__
        with undisturbed(module):
            if self._tokenizer is None:
                try:
                    warning = try_out(UndisturbedModel(module, self.task.outputs), self.task, name)
                except InputError as error:
                    raise InputError(f"{error}; {self._way_out()}") from None
                if warning:
                    self._say(warning)
        with one_line_errors(name, f"measured on {self.task.id} it"):
            self(trained)

    def lightning(self) -> Any:
        """Return a callback of Lightning, which logs the curve after every validation.

        Raises:
            InputError: Lightning is not installed.
        """
        return imported("seqmem.api.hooks.lightning", "lightning").LightningCallback(self)

    def transformers(self, trainer: Any) -> Any:
        """Return a callback of Hugging Face's Trainer, which logs the curve at every evaluation.

        Args:
            trainer: the trainer that it is added to: ``trainer.add_callback(…)``.

        Raises:
            InputError: transformers is not installed.
        """
        return imported("seqmem.api.hooks.transformers", "hf").TransformersCallback(self, trainer)

    def _module(self, trained: Any) -> nn.Module:
        module = trained if self._model is None else self._model(trained)
        if not isinstance(module, nn.Module):
            raise InputError(
                f"{type(module).__name__} is no torch.nn.Module: model=lambda trained: … returns "
                "the one of what is trained"
            )
        return module

    def _way_out(self) -> str:
        """Return what a user may have left out."""
        part = "if a part of what is trained is the model, model=lambda trained: trained.… names it"
        return f"{part}; a model with a tokenizer needs tokenizer=…" * self.task.next_token or part

    def _of_targets(self, model: UndisturbedModel, device: str) -> dict[Context, float]:
        """Return the mean loss at each k at which a model can be measured."""
        scorer = Scorer(model.eval(), self.task, self._sample, device, lambda k, steps: None)
        found = {}
        for k in self._contexts:
            if reason := self._unreadable(model, k):
                self._leave_out(k, reason)
                continue
            try:
                losses = self._losses(scorer, k)
                if not np.isfinite(losses).all():
                    raise NotFiniteError("the model's outputs are not finite (NaN or infinity)")
            except CellError as error:
                self._leave_out(k, error)
                continue
            found[k] = float(losses.mean())
        return found

    def _unreadable(self, model: UndisturbedModel, k: Context) -> str | None:
        """Return why a model cannot read windows of k inputs; None if it can."""
        if k == "full":
            length = int(self._sample.starts.diff().max())
        else:
            length = min(k, int(self._sample.available.max()))
        if model.longest is not None and length > model.longest and not model.stateful:
            return f"the model reads at most {model.longest:,} inputs at once"
        if k == "full" and not reads_whole(model, self._valid):
            return "it needs a state or a declared receptive field"
        return None

    def _losses(self, scorer: Scorer, k: Context) -> Floats:
        """Return the loss of every target of the sample, windows of one length together."""
        if k == "full":
            model, split = scorer.model, self._sample
            return full_scores(model, self.task, split, device=scorer.device).losses
        lengths = np.minimum(self._sample.available.numpy(), k)
        parts = [
            scorer.windows(np.flatnonzero(lengths == length), length).scores().losses
            for length in np.unique(lengths).tolist()
        ]
        return np.concatenate(parts)

    def _of_words(self, network: nn.Module, device: str) -> dict[Context, float]:
        """Return the mean loss of a word at each k, of a model with a tokenizer."""
        model = UndisturbedTokens(network, self._tokenizer, type(network).__name__)
        task = language_task(self.task)
        self._text = self._text or word_text(task, model, self._sample)
        try:
            curve = measure_words(model, task, self._contexts, text=self._text, device=device).curve
        except CellError as error:
            self._say(f"{self.task.id} is not measured: {error}")
            return {}
        for k, reason in curve.failures.items():
            self._leave_out(k, reason)
        kept = [k for k in self._contexts if k not in curve.failures]
        return {k: float(curve.at(k).losses.mean()) for k in kept}

    def _leave_out(self, k: Context, reason: object) -> None:
        self._say(f"{self.task.id}: k = {k} is left out: {reason}")

    def _say(self, line: str) -> None:
        """Pass on a line, once."""
        if line not in self._said:
            self._said.add(line)
            self._log(line)


def _device(module: nn.Module) -> str:
    """Return where a module is.

    Raises:
        InputError: seqmem does not compute there.
    """
    device = next((weight.device for weight in module.parameters()), torch.device("cpu"))
    if device.type not in DEVICES:
        raise InputError(f"the model is on {device}; seqmem measures on {' and '.join(DEVICES)}")
    return str(device)
