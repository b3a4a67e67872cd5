"""Words scored by models that read tokens, compared with windows read one by one by the library."""

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from seqmem.errors import CellError, InputError, NotApplicableError
from seqmem.measuring import estimate
from seqmem.measuring.curve import measure
from seqmem.submissions.hugging_face import word_scores
from seqmem.submissions.hugging_face.measure import WordCurve, encoding_cost, measure_words
from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.hugging_face.word_pieces import word_pieces
from seqmem.submissions.hugging_face.word_scores import WordScorer
from seqmem.submissions.hugging_face.word_text import Passages, text_of, word_text
from seqmem.tasks import load_task
from seqmem.tasks.data.vocabulary import Ids
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.model import FullOutputs, State
from seqmem.tasks.task import Context, Split
from seqmem.tasks.text import Text
from seqmem.tests import tiny_models as tiny
from seqmem.tests.word_losses import WordLosses, written

Make = Callable[..., Any]


def make_model(network: Make, tokenizer: Any, longest: int = 512) -> HuggingFaceModel:
    return HuggingFaceModel(network(len(tokenizer), longest), tokenizer, "hf:tiny")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Text:
    path = tmp_path_factory.mktemp("text") / "book.txt"
    path.write_text("\n".join(tiny.made_up(500)) + "\n", encoding="utf-8")
    found = load_task(f"text:{path}")
    assert isinstance(found, Text)
    return found


class Sentences(LanguageTask):
    """Sentences of different length, each read from <s> to </s>."""

    version = 1
    line_ends = ("<s>", "</s>")
    id = "sentences"
    loss = CrossEntropy(score="perplexity")
    longest_context = 16
    words = ("</s>", "<s>", "<unk>", "cat", "mat", "the")

    @cache  # noqa: B019 - as in seqmem's own tasks
    def split(self, name: Literal["valid", "test"]) -> Split:
        rng = np.random.default_rng(4)
        rows = [[1, *rng.integers(2, 6, n).tolist(), 0] for n in (3, 9, 1, 12, 6, 0, 14, 15)]
        inputs = torch.tensor([word for row in rows for word in row[:-1]], dtype=torch.int32)
        lengths = torch.tensor([len(row) - 1 for row in rows])
        return Split(
            inputs,
            torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]),
            torch.arange(len(inputs)),
            torch.tensor([word for row in rows for word in row[1:]], dtype=torch.int32),
            torch.repeat_interleave(torch.arange(len(rows)), lengths),
        )

    train = None  # type: ignore[assignment]

    def counted_ids(self) -> Ids:
        return self.split("test").targets.numpy()


def brute_force(
    model: HuggingFaceModel, task: LanguageTask, k: Context, encode: Callable[[str], list[int]]
) -> list[float]:
    """The losses of windows read one at a time by the library, words encoded one by one."""
    split, losses = task.split("test"), []
    words = WordLosses(task.words, task.line_ends, encode)
    for start, stop in pairwise(split.starts.tolist()):
        for at in range(start, stop):
            begin = start if k == "full" else max(start, at - k + 1)
            context = [task.words[w] for w in split.inputs[begin : at + 1].tolist()]
            target = task.words[int(split.targets[at])]
            losses.append(words.loss(scores_of(model), model.bos_tokens, context, target))
    return losses


def scores_of(model: HuggingFaceModel) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network alone, as the library runs it."""
    return lambda tokens: model.network(input_ids=tokens).logits


def measured(model: HuggingFaceModel, task: LanguageTask, *contexts: Context) -> WordCurve:
    return measure_words(model, task, contexts)


CASES: dict[str, tuple[Make, Make]] = {
    "gpt2": (tiny.gpt2, tiny.byte_level),
    "llama with a BOS": (tiny.llama, lambda: tiny.byte_level(bos=True)),
    "llama, spaces put before texts": (tiny.llama, tiny.metaspace),
}


@pytest.mark.parametrize("name", CASES)
def test_against_brute_force(name: str, task: Text) -> None:
    network, tokenizer = CASES[name]
    model = make_model(network, tokenizer())
    assert bool(model.bos_tokens) == ("BOS" in name)

    def encode(text: str) -> list[int]:
        if "put before" not in name:
            return model.encode([text])[0]
        # Without the space that this tokenizer puts before a text.
        parts = model.tokenizer.backend_tokenizer.model.tokenize(text.replace(" ", "▁"))
        return [part.id for part in parts]

    found = measured(model, task, 1, 2, 5, 17)
    assert not found.curve.failures
    for k in found.curve.finite:
        at = found.curve.at(k)
        expected = brute_force(model, task, k, encode)
        assert at.n == len(expected)
        np.testing.assert_allclose(at.losses, expected, rtol=2e-5, atol=2e-5)


def test_positions_that_are_scaled_by_length(task: Text) -> None:
    """Each window is read as if alone, on both sides of the length at which the scale changes."""
    tokenizer = tiny.byte_level()
    model = HuggingFaceModel(tiny.phi3(len(tokenizer), 40), tokenizer, "hf:tiny")
    assert model.regimes == (40,)
    scorer = make_scorer(model, task)
    end = np.arange(30, len(scorer.split))
    width = scorer.text.width(Passages(end - 29, end, scorer.text.targets[end]))
    assert width.min() <= 40 < width.max()  # at k = 30
    found = measured(model, task, 1, 30, "full")
    for k in (1, 30, "full"):
        expected = brute_force(model, task, k, lambda text: model.encode([text])[0])
        np.testing.assert_allclose(found.curve.at(k).losses, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("bos", [False, True])
def test_sentences_are_read_whole(bos: bool) -> None:
    task = Sentences()
    model = make_model(tiny.gpt2, tiny.byte_level(bos))
    found = measured(model, task, 1, 3, 13, 20, "full")
    assert not found.curve.failures
    for k in (1, 3, 13, 20, "full"):
        expected = brute_force(model, task, k, lambda text: model.encode([text])[0])
        np.testing.assert_allclose(found.curve.at(k).losses, expected, rtol=2e-5, atol=2e-5)
    assert found.curve.at(20).method == "no longer sequence"


def test_the_targets_last_token_is_read_only_where_longer_words_begin_with_it(task: Text) -> None:
    model = make_model(tiny.gpt2, tiny.byte_level(bos=True))
    text, split = make_scorer(model, task).text, task.split("test")
    for at in range(2, len(split)):
        end = np.array([at])
        (row,) = text.tokens(Passages(end - 2, end, text.targets[end])).tolist()
        words = [*split.inputs[at - 2 : at + 1].tolist(), int(split.targets[at])]
        texts = written([task.words[w] for w in words], task.line_ends)
        ids = [token for text_ in texts for token in model.encode([text_])[0]]
        longer = int(text.pieces.reads[text.targets[at]]) == int(
            text.pieces.sizes[text.targets[at]]
        )
        assert row == [*model.bos_tokens, *(ids if longer else ids[:-1])]


def test_positions_restart_in_every_window(task: Text) -> None:
    """Positions that continue from window to window would change the scores of GPT-2."""
    model = make_model(tiny.gpt2, tiny.byte_level())
    tokens = torch.randint(100, (1, 9), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        here = model(tokens)
        later = model.network(input_ids=tokens, position_ids=torch.arange(9)[None] + 40).logits
    assert float((here - later).abs().max()) > 0.1
    one, two = (measured(model, task, *ks).curve.at(3).losses for ks in ((3,), (1, 3, 8)))
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)


def test_a_window_that_is_too_long_is_not_cut(task: Text) -> None:
    tokenizer = tiny.byte_level(bos=True)
    unlimited = make_model(tiny.llama, tokenizer)
    text = measured(unlimited, task, 1).text
    longest = text.longest_window(7)
    model = make_model(tiny.llama, tokenizer, longest)
    found = measured(model, task, 1, 7, 8, 64, "full")
    assert set(found.curve.finite) == {1, 7}
    for k, tokens in ((8, text.longest_window(8)), (64, text.longest_window(64))):
        assert found.curve.failures[k] == (
            f"a window of {k} words has {tokens} tokens, and the model reads at most {longest} "
            "at once"
        )
    assert "a sequence has" in found.curve.failures["full"]
    assert found.curve.full is None
    for k in (1, 7):
        expected = measured(unlimited, task, k).curve.at(k).losses
        np.testing.assert_allclose(found.curve.at(k).losses, expected, rtol=2e-5, atol=2e-5)
    shorter = make_model(tiny.llama, tokenizer, text.longest_window(1) - 1)
    with pytest.raises(CellError, match="nothing can be measured: a window of 1 words"):
        measured(shorter, task, 1)


def make_scorer(model: HuggingFaceModel, task: LanguageTask) -> WordScorer:
    split = task.split("test")
    text = word_text(task, model)
    return WordScorer(model.eval(), task, split, "cpu", lambda k, steps: None, text)


@pytest.mark.parametrize("longest", [40, 61, 512])
def test_the_reference_reads_pieces(
    task: Text, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No piece exceeds the limit; if all of a target's context fits, it is read whole."""
    model = make_model(tiny.llama, tiny.byte_level(bos=True), longest)
    if longest == 512:  # limited by the number of outputs of one pass
        monkeypatch.setattr(word_scores, "NUMBERS", {"cpu": 30 * model.vocabulary})
    widths = []
    features_at = model.features_at

    def watched(tokens: torch.Tensor, *positions: torch.Tensor) -> tuple[torch.Tensor, State]:
        widths.append(tokens.shape[1])
        return features_at(tokens, *positions)

    monkeypatch.setattr(model, "features_at", watched)
    scorer = make_scorer(model, task)
    with torch.inference_mode():
        reference, most = scorer.reference(scorer.text.longest_window(2), full=True)
    assert most <= longest
    assert max(widths) <= most
    assert reference.is_full == (longest == 512)
    whole = make_model(tiny.llama, tiny.byte_level(bos=True), 4096)
    expected = np.array(brute_force(whole, task, "full", lambda text: model.encode([text])[0]))
    near = [i for i in range(len(expected)) if scorer.text.width_of(0, i) <= most]
    assert (len(near) == len(expected)) == reference.is_full
    losses = reference.scores.losses
    np.testing.assert_allclose(losses[near], expected[near], rtol=5e-5, atol=5e-5)
    assert losses.mean() == pytest.approx(expected.mean(), rel=0.1)


@pytest.mark.parametrize("sentences", [False, True])
def test_pieces_cover_every_target_once(sentences: bool, task: Text) -> None:
    own = Sentences() if sentences else task
    scorer = make_scorer(make_model(tiny.gpt2, tiny.byte_level()), own)
    text, starts = scorer.text, scorer.split.starts.tolist()
    for most in range(text.longest_window(1), 90, 7):
        for overlap in (1, most // 2):
            for start, stop in pairwise(starts):
                expected = start
                for begin, first, end in scorer._pieces(start, stop, most, overlap):
                    assert first == expected
                    assert start <= begin <= first <= end < stop
                    assert text.width_of(begin, end) <= most
                    # No piece could be one word longer at either end.
                    assert begin == start or text.width_of(start, first) > most
                    assert end == stop - 1 or text.width_of(begin, end + 1) > most
                    expected = end + 1
                assert expected == stop


def test_computing_all_outputs_changes_nothing(task: Text) -> None:
    model = make_model(tiny.gpt2, tiny.byte_level())
    expected = measured(model, task, 1, 6)
    model.reads_out_last = False
    found = measured(model, task, 1, 6)
    for k in (1, 6):
        np.testing.assert_allclose(
            found.curve.at(k).losses, expected.curve.at(k).losses, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("network", [tiny.gpt2, tiny.llama])
def test_tokens_that_are_words_change_nothing(task: Text, network: Make) -> None:
    """With a tokenizer of the task's words, the network is an ordinary model of ids."""
    names = ["\n" if word == "<eos>" else word for word in task.words]
    model = make_model(network, tiny.word_level(names))

    class Plain(torch.nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = model.network(input_ids=inputs.long()).logits
            return scores

    split = task.split("test")
    plain = measure(FullOutputs(Plain()), task, split, [1, 2, 5, 30, "full"])
    found = measured(model, task, 1, 2, 5, 30, "full").curve
    for k in (1, 2, 5, 30, "full"):
        np.testing.assert_allclose(found.at(k).losses, plain.at(k).losses, rtol=1e-5, atol=1e-5)


def test_a_sample_estimates_the_mean_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "CHEAP", 0)  # a sample, though all windows would be cheap
    path = tmp_path / "long.txt"
    path.write_text("\n".join(tiny.made_up(2500)), encoding="utf-8")
    task = load_task(f"text:{path}")
    model = make_model(tiny.gpt2, tiny.byte_level(), 128)
    split = task.split("test")
    exact = measure_words(model, task, [1, 8]).curve
    sampled = measure_words(model, task, [1, 8], precision=0.2).curve
    assert sampled.at(8).n < len(split) == exact.at(8).n
    off = abs(sampled.at(8).losses.mean() - exact.at(8).losses.mean())
    assert off <= 2 * sampled.at(8).half_width <= 0.4


def test_words_with_the_same_tokens_share_their_probability() -> None:
    """With any tokenizer, the probabilities of all words sum to one."""
    task = Sentences()
    model = make_model(tiny.gpt2, tiny.word_level(["\n", "<unk>", "the"]))
    pieces = word_pieces(task.words, task.line_ends, model.encode)
    names = dict(zip(task.words, pieces.log_ambiguity, strict=False))
    assert names["<unk>"] == names["cat"] == names["mat"] == pytest.approx(math.log(3))
    assert names["the"] == names["</s>"] == 0  # <s> and </s> are one text
    losses = measured(model, task, 1).curve.at(1).losses
    split = task.split("test")
    targets = [task.words[i] for i in split.targets.tolist()]
    after = {
        target: math.exp(-loss)
        for target, loss, word in zip(targets, losses, split.inputs.tolist(), strict=True)
        if task.words[word] == "the"
    }
    assert len(after) == 5
    assert sum(after.values()) == pytest.approx(1, abs=1e-5)


def test_per_byte_and_per_word_add_up(task: Text) -> None:
    model = make_model(tiny.gpt2, tiny.byte_level())
    found = measured(model, task, 4)
    split = task.split("test")
    words = [int(split.inputs[0]), *split.targets.tolist()]
    names = [task.words[w] for w in words]
    texts = written(names, task.line_ends)
    assert found.bytes == len("".join(texts[1:]).encode())
    assert text_of(names, task.line_ends) == "".join(texts)


def test_the_cost_of_encoding_words_one_by_one(task: Text) -> None:
    def both(tokenizer: Any) -> tuple[float, float]:
        model = make_model(tiny.gpt2, tokenizer)
        text = measured(model, task, 1).text
        found = encoding_cost(model, task, text)
        assert found is not None
        return found

    names = ["\n" if word == "<eos>" else word for word in task.words]
    apart, joined = both(tiny.word_level(names))  # merges nothing
    assert apart == pytest.approx(joined, rel=1e-5)
    apart, joined = both(tiny.byte_level())  # merges the line feeds of empty lines
    assert apart != joined


def test_refusals(task: Text, tmp_path: Path) -> None:
    model = make_model(tiny.gpt2, tiny.byte_level())
    for other in (f"{task.id}?unit=char", "adding-problem/T=5"):
        with pytest.raises(NotApplicableError, match="a model with a tokenizer"):
            measure_words(model, load_task(other), [1])
    smaller = HuggingFaceModel(tiny.gpt2(200), tiny.byte_level(), "hf:tiny")
    with pytest.raises(InputError, match=r"hf:tiny: its tokenizer returns token .* has 200"):
        measured(smaller, task, 1)
    drops = tiny.word_level(["<unk>", "the"])
    drops.backend_tokenizer.pre_tokenizer = tiny.tokenizers.pre_tokenizers.WhitespaceSplit()
    with pytest.raises(InputError, match=r"no token for '\\n', a word of the text"):
        measured(make_model(tiny.gpt2, drops), task, 1)
