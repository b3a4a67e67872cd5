"""Byte-pair encoding, by the package `tokenizers`."""

from collections.abc import Callable, Sequence

from seqmem.errors import InputError

__all__ = ["learn_pieces"]


def learn_pieces(texts: Sequence[str], size: int) -> Callable[[str], list[str]]:
    """Return what splits a text into pieces, learned from texts.

    Pieces are of bytes, so that every text can be encoded (Sennrich et al. 2016, arXiv 1508.07909;
    of bytes: Radford et al. 2019, section 2.2). Equal texts lead to equal pieces.

    Args:
        texts: the training texts.
        size: the number of pieces, the 256 bytes included.

    Raises:
        InputError: the package is missing.
    """
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError:
        raise InputError(
            "unit=bpe: the package tokenizers is not installed; pip install 'seqmem[hf]'"
        ) from None
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)

    def pieces(text: str) -> list[str]:
        found: list[str] = tokenizer.encode(text).tokens
        return found

    return pieces
