"""Callbacks of training frameworks log the curve, and training ends with the same weights."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seqmem
from seqmem.baselines.training.loop import seeded
from seqmem.errors import InputError

TASK = "hidden-markov/dwell=10"
KEYS = [f"seqmem/{TASK}/{name}" for name in ("k=1", "k=8", "full")]
SEQUENCES = 16


def curve(**settings: Any) -> seqmem.TrainingCurve:
    return seqmem.TrainingCurve(TASK, k=[1, 8, "full"], targets=32, verbose=False, **settings)


def data() -> list[dict[str, Tensor]]:
    """A few training sequences, each with its targets."""
    split = seqmem.load_task(TASK).train(seed=0, epoch=0)
    length = int(split.starts[1])
    end = SEQUENCES * length
    inputs, targets = split.inputs[:end].long(), split.targets[:end].long()
    pairs = zip(inputs.view(-1, length)[:, :32], targets.view(-1, length)[:, :32], strict=True)
    return [{"input_ids": ids, "labels": wanted} for ids, wanted in pairs]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        task: Any = seqmem.load_task(TASK)
        self.embed = nn.Embedding(task.inputs.vocabulary, 8)
        self.layer = nn.GRU(8, 8, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.leave = nn.Linear(8, task.outputs)

    def forward(self, ids: Tensor) -> Tensor:
        return self.leave(self.dropout(self.layer(self.embed(ids))[0]))  # type: ignore[no-any-return]


def equal(one: nn.Module, other: nn.Module) -> bool:
    both = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(first, second) for first, second in both)


def test_lightning(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch", reason="needs seqmem[lightning]")

    class Module(lightning.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = Net()

        def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
            scores = self.net(batch["input_ids"])
            return F.cross_entropy(scores.flatten(0, 1), batch["labels"].flatten())

        def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
            self.log("valid", self.training_step(batch, index))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), 0.01)

    def trained(*callbacks: Any) -> tuple[Any, Any, Tensor]:
        with seeded(0), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of workers and folders
            module = Module()
            trainer = lightning.Trainer(
                max_epochs=2, accelerator="cpu", logger=False, callbacks=[*callbacks],
                enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
                default_root_dir=tmp_path,
            )  # fmt: skip
            load: Any = torch.utils.data.DataLoader
            trainer.fit(module, load(data(), batch_size=4, shuffle=True), load(data()[:4]))
            return module, trainer, torch.get_rng_state()

    callback = curve(model=lambda module: module.net).lightning()
    plain, _, without = trained()
    module, trainer, random = trained(callback)
    assert equal(module, plain)
    assert torch.equal(random, without)
    logged = {key: float(value) for key, value in trainer.callback_metrics.items()}
    expected = curve()(module.net)
    assert [*expected] == KEYS
    assert {key: logged[key] for key in KEYS} == pytest.approx(expected)
    with pytest.raises(InputError, match=r"NotImplementedError.*model=lambda"):
        trained(curve().lightning())


def test_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs seqmem[hf]")
    pytest.importorskip("accelerate", reason="the Trainer needs accelerate")
    task: Any = seqmem.load_task(TASK)

    def trained(with_curve: bool) -> tuple[Any, Tensor, dict[str, float]]:
        with seeded(0), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = transformers.GPT2Config(
                vocab_size=task.outputs,
                n_positions=256,
                n_embd=8,
                n_layer=1,
                n_head=1,
                bos_token_id=0,
                eos_token_id=0,
            )
            arguments = transformers.TrainingArguments(
                output_dir=str(tmp_path), max_steps=4, eval_strategy="steps", eval_steps=2,
                report_to=[], use_cpu=True, disable_tqdm=True, save_strategy="no",
                metric_for_best_model=KEYS[-1] if with_curve else None,
                per_device_train_batch_size=4,
            )  # fmt: skip
            trainer = transformers.Trainer(
                transformers.GPT2LMHeadModel(config), arguments,
                train_dataset=data(), eval_dataset={"a": data()[:2], "b": data()[2:4]},
            )  # fmt: skip
            if with_curve:
                trainer.add_callback(curve().transformers(trainer))
            trainer.train()
            return trainer, torch.get_rng_state(), trainer.evaluate(data()[:2])

    (plain, without, _), (trainer, random, evaluated) = trained(False), trained(True)
    assert equal(trainer.model, plain.model)
    assert torch.equal(random, without)
    names = [f"eval_{key}" for key in KEYS]
    logged = [entry for entry in trainer.state.log_history if names[0] in entry]
    assert [entry["step"] for entry in logged] == [2, 4]
    expected = curve()(trainer.model)
    assert {key: logged[-1][f"eval_{key}"] for key in KEYS} == pytest.approx(expected)
    assert logged[0][names[0]] != logged[1][names[0]]
    assert {key: evaluated[f"eval_{key}"] for key in KEYS} == pytest.approx(expected)
    with torch.no_grad():  # as where the best weights are loaded at the end of training
        trainer.model.transformer.wte.weight.mul_(3)
    with seeded(0):
        changed = trainer.evaluate(data()[:2])
    assert {key: changed[f"eval_{key}"] for key in KEYS} == pytest.approx(curve()(trainer.model))
    assert changed[names[0]] != evaluated[names[0]]
