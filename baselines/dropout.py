"""Dropout whose masks are drawn quickly on a CPU."""

import torch
from torch import Tensor, nn

__all__ = ["Dropout"]

WORD, BITS = 64, 16  # of the generator's numbers, and of those that decide about an element
LEAST = -(1 << (BITS - 1))


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014, JMLR 15), with a share rounded to a multiple of 2⁻¹⁶.

    On a CPU torch draws a number of its generator for each element, which takes longer than the
    rest; here one serves four elements. Elsewhere this is torch's.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape; in training some are zero and the others scaled."""
        dropped = round(self.p * (1 << BITS))
        if not self.training or dropped == 0 or features.device.type != "cpu":
            return super().forward(features)
        words = torch.empty(-(-features.numel() * BITS // WORD), dtype=torch.int64)
        words.random_(torch.iinfo(torch.int64).min, None)
        bits = words.view(torch.int16)[: features.numel()].view(features.shape)
        kept = (bits >= LEAST + dropped).to(features.dtype)
        return features * kept.mul_(1 / (1 - dropped / (1 << BITS)) if dropped < 1 << BITS else 0)
