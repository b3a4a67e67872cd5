"""The baselines, declared once as data: name -> factory.

On the command line a baseline is ``name`` or ``name:option=value,…``; the options are the
keyword arguments of its class. Importing this module is cheap.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["BASELINES", "Baseline"]


@dataclass(frozen=True)
class Baseline:
    """A model that seqmem trains or computes itself.

    Attributes:
        factory: ``module:class``.
        summary: one line for listings.
    """

    factory: str
    summary: str


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "marginal": Baseline(
            "seqmem.baselines.marginal:Marginal",
            "the best constant output (unigram, mean): chance, no memory",
        ),
        "rnn": Baseline("seqmem.baselines.recurrent:RNN", "recurrent network with tanh"),
        "lstm": Baseline("seqmem.baselines.recurrent:LSTM", "long short-term memory"),
        "gru": Baseline("seqmem.baselines.recurrent:GRU", "gated recurrent unit (Cho et al.)"),
        "awd-lstm": Baseline(
            "seqmem.baselines.awd_lstm:AWDLSTM",
            "lstm with dropped weights, words and features (Merity et al.)",
        ),
        "rnn-stable": Baseline(
            "seqmem.baselines.stable:StableRNN",
            "rnn constrained to contract: it provably forgets (Miller & Hardt)",
        ),
        "lstm-stable": Baseline(
            "seqmem.baselines.stable:StableLSTM",
            "lstm constrained to contract: it provably forgets (Miller & Hardt)",
        ),
        "tcn": Baseline("seqmem.baselines.tcn:TCN", "temporal convolutional network (Bai et al.)"),
        "gcnn": Baseline(
            "seqmem.baselines.gcnn:GCNN", "gated convolutional network (Dauphin et al.)"
        ),
        "wavenet": Baseline(
            "seqmem.baselines.wavenet:WaveNet", "gated dilated convolutions with skip connections"
        ),
        "transformer": Baseline(
            "seqmem.baselines.transformer:Transformer",
            "causal Transformer with sliding-window attention",
        ),
        "lru": Baseline(
            "seqmem.baselines.lru:LRU",
            "linear recurrent unit: a diagonal state space model (Orvieto et al.)",
        ),
        "s4d": Baseline(
            "seqmem.baselines.s4d:S4D",
            "diagonal state space model in continuous time, one for each feature (Gu et al.)",
        ),
        "echo-state": Baseline(
            "seqmem.baselines.echo_state:EchoState",
            "reservoir: a fixed random recurrent network with a ridge readout (Jaeger)",
        ),
        "gla": Baseline(
            "seqmem.baselines.gla:GLA",
            "gated linear attention (Yang et al.); with constant gates, retention",
        ),
        "gated-deltanet": Baseline(
            "seqmem.baselines.gated_deltanet:GatedDeltaNet",
            "gated delta rule: it overwrites what a key stored (Yang et al.)",
        ),
        "mamba": Baseline(
            "seqmem.baselines.mamba:Mamba",
            "selective state space model in its structured form, SSD (Dao & Gu)",
        ),
        "min-gru": Baseline(
            "seqmem.baselines.min_recurrent:MinGRU",
            "gated recurrent unit whose gates see only the input (Feng et al.)",
        ),
        "min-lstm": Baseline(
            "seqmem.baselines.min_recurrent:MinLSTM",
            "long short-term memory whose gates see only the input (Feng et al.)",
        ),
        "mlstm": Baseline("seqmem.baselines.mlstm:MLSTM", "xLSTM's matrix memory (Beck et al.)"),
        "kneser-ney": Baseline(
            "seqmem.baselines.ngram:KneserNey",
            "n-gram model with modified Kneser-Ney smoothing; for next-token tasks",
        ),
        "seq2seq": Baseline(
            "seqmem.baselines.seq2seq:Seq2Seq",
            "LSTM encoder, attention, LSTM decoder, the shape of GNMT (Wu et al.); for translation",
        ),
        "conv-s2s": Baseline(
            "seqmem.baselines.conv_s2s:ConvS2S",
            "convolutional encoder and decoder with attention (Gehring et al.); for translation",
        ),
    }
)
