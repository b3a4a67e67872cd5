"""Measure a causal language model of Hugging Face on a text of yours.

    python examples/hugging_face_model.py gpt2 my-novel.txt

The first argument is an id on the hub, which is downloaded, or a folder that `save_pretrained`
wrote. The model reads its own tokens; the curve is of whole words, so that models with different
tokenizers can be compared. Needs pip install 'seqmem[hf]'.
"""

import sys

import seqmem


def main(model: str, text: str) -> None:
    """Print the perplexity of each word after 1, 8 and 64 words."""
    curve = seqmem.measure(f"hf:{model}", f"text:{text}", k=[1, 8, 64], precision="2%")
    print(curve)
    print(curve.frame[["k", "perplexity", "loss_low", "loss_high"]].to_string(index=False))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python hugging_face_model.py MODEL TEXT.txt")
    main(*sys.argv[1:])
