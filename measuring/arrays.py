"""Types of arrays over the targets of a split."""

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "Indices"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
