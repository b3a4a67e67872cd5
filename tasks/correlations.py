"""How the correlations of two tokens decay with their distance, from a corpus alone.

C(d)[a, b] = P(token a, and token b d places later) − P(a) P(b) is the covariance of one-hot
tokens. Its norm ‖C(d)‖ = (Σ_ab C(d)[a, b]²)^½ falls as d^−β in natural language, as the mutual
information of two symbols does (Lin & Tegmark 2017, Entropy 19(7) 299, section 1 and figure 1);
in a Markov process both fall exponentially (their abstract). Cagnetta, Raventós, Ganguli & Wyart
2026 (arXiv 2602.07488, abstract) relate β, and the exponent γ of the loss against context, to that
of the loss against the amount of training data, γ/(2β). The norm is the Frobenius norm here;
another norm need not have the same exponent.

Bias. Squares of estimated probabilities are too large by their noise, which at large d is all there
is. Subtracting what shuffled tokens show does not remove it: words come in bursts, so that the
noise of real text is larger than that of shuffled text. So products are taken of independent parts
of the corpus instead: with an estimate D_i of C from each of B blocks,

    ‖C‖² = mean over i ≠ j of Σ_ab D_i[a, b] D_j[a, b],    D_i = ½ Σ_r (P_r − p_r q_s),

without bias if blocks are independent. A block is two runs of tokens, half the corpus apart; P_r
are the pairs within one of them, p_r their first tokens, and q_s the second tokens of the other.
Where nothing is left, the estimate is around 0, as often below it. Intervals are of the jackknife
over blocks (Efron & Stein 1981, Annals of Statistics 9(3)).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix, csr_matrix
from scipy.special import stdtrit

__all__ = ["Correlations", "correlations"]

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.integer]

BLOCKS = 16
MOST_TOKENS = 1 << 21  # the first ones of a larger corpus
LARGEST = 1024
RUNS_LONG = 8  # a run is so many times as long as the largest distance
LEVEL = 0.95
PRECISE = 0.5  # half-widths, relative to ‖C‖², up to which a distance counts for the exponent
FEWEST = 4  # distances for an exponent


@dataclass(frozen=True, eq=False)
class Correlations:
    """The squared norm of the covariance of two tokens at some distances.

    Attributes:
        tokens: how many were read.
        distances: (D,) ascending.
        squares: (D,) ‖C(d)‖², of which noise may make one negative.
        without: (D, B) the same without each block.
    """

    tokens: int
    distances: tuple[int, ...]
    squares: Floats
    without: Floats

    @cached_property
    def half_widths(self) -> Floats:
        """(D,) half the 95 % interval of each ‖C(d)‖²."""
        return _half_width(self.without)

    @property
    def last(self) -> int | None:
        """The distance up to which all are distinguishable from noise; None if the first is not."""
        found = None
        for d, square, half in zip(self.distances, self.squares, self.half_widths, strict=True):
            if square <= half:
                break
            found = d
        return found

    @cached_property
    def fitted(self) -> tuple[int, ...]:
        """The distances from which β is computed: the first ones, as long as they are precise."""
        precise = self.half_widths <= PRECISE * self.squares
        precise &= (self.without > 0).all(axis=1)
        count = len(precise) if precise.all() else int(precise.argmin())
        return self.distances[:count] if count >= FEWEST else ()

    @property
    def exponent(self) -> tuple[float, float] | None:
        """β and half its 95 % interval: the slope of −ln‖C‖ against ln d.

        None where fewer than four distances are precise enough.
        """
        return self._slope(self.fitted)

    @property
    def bends(self) -> bool | None:
        """Whether β of the larger half of the distances differs from that of the smaller half.

        The interval of the difference then excludes 0: the decay is no power law. None where an
        exponent is not known.
        """
        if not self.fitted:
            return None
        middle = len(self.fitted) // 2
        parts = self.fitted[: middle + 1], self.fitted[middle:]
        slopes = [self._slopes(part) for part in parts]
        change = slopes[1][0] - slopes[0][0]
        return bool(abs(change) > _half_width((slopes[1][1] - slopes[0][1])[None])[0])

    def _slope(self, distances: Sequence[int]) -> tuple[float, float] | None:
        if not distances:
            return None
        whole, without = self._slopes(distances)
        return whole, float(_half_width(without[None])[0])

    def _slopes(self, distances: Sequence[int]) -> tuple[float, Floats]:
        """Return −½ the slope of ln‖C‖² over some distances, of all blocks and without each."""
        rows = [self.distances.index(d) for d in distances]
        x = np.log(np.array(distances, np.float64))
        weights = -0.5 * (x - x.mean()) / np.square(x - x.mean()).sum()
        return float(weights @ np.log(self.squares[rows])), weights @ np.log(self.without[rows])


def _half_width(without: Floats) -> Floats:
    """Return half the 95 % jackknife interval: of (n, B) estimates without each block, (n,)."""
    blocks = without.shape[1]
    spread = np.square(without - without.mean(axis=1, keepdims=True)).sum(axis=1)
    ratio = float(stdtrit(blocks - 1, (1 + LEVEL) / 2))
    return np.asarray(ratio * np.sqrt((blocks - 1) / blocks * spread))


def correlations(
    tokens: Ids, starts: npt.NDArray[np.int64] | None = None, largest: int = LARGEST
) -> Correlations:
    """Return the correlations of tokens at the distances 1, 2, 4, ….

    Args:
        tokens: (N,) ids; at most the first two million are read.
        starts: (S + 1,) where each sequence begins, and N: pairs are within one; None: all are one.
        largest: the largest distance; no more than an eighth of a run, of which there are 32.
    """
    tokens = tokens[:MOST_TOKENS]
    _, ids = np.unique(tokens, return_inverse=True)
    size = len(ids) // (2 * BLOCKS)
    sequence = np.zeros(len(ids), np.int64)
    if starts is not None:
        sequence = np.searchsorted(starts, np.arange(len(ids)), side="right")
        longest = int(np.diff(np.minimum(starts, len(ids))).max())
        largest = min(largest, longest - 1)
    largest = max(1, min(largest, size // RUNS_LONG))
    distances = tuple(1 << i for i in range(largest.bit_length()))
    found = [_products(ids, sequence, size, d) for d in distances]
    squares = np.array([_mean(each) for each in found])
    without = np.array([_without(each) for each in found])
    return Correlations(len(ids), distances, squares, without)


def _mean(products: Floats) -> float:
    """Return the mean of products of different blocks: of (B, B)."""
    blocks = len(products)
    return float((products.sum() - products.trace()) / (blocks * (blocks - 1)))


def _without(products: Floats) -> Floats:
    """Return the same without each block: (B,)."""
    blocks = len(products)
    each = products.sum(axis=1) - products.diagonal()
    return np.asarray((each.sum() - 2 * each) / ((blocks - 1) * (blocks - 2)))


def _products(ids: Ids, sequence: Ids, size: int, distance: int) -> Floats:
    """Return Σ_ab D_i[a, b] D_j[a, b] for all pairs of blocks: (B, B)."""
    runs, vocabulary = 2 * BLOCKS, int(ids.max()) + 1
    begin = np.arange(runs * size).reshape(runs, size)[:, : size - distance].ravel()
    begin = begin[sequence[begin] == sequence[begin + distance]]
    of, one, two = begin // size, ids[begin], ids[begin + distance]
    counts = np.maximum(np.bincount(of, minlength=runs), 1)
    # Sorted by pair and run: one sort of numbers is much faster than np.unique with its inverse.
    keys = np.sort((one.astype(np.int64) * vocabulary + two) * runs + of)
    places = np.flatnonzero(np.diff(keys, prepend=-1))
    often = np.diff(places, append=len(keys))
    pairs, run_of = np.divmod(keys[places], runs)
    column = np.flatnonzero(np.diff(pairs, prepend=-1))
    ends = np.append(column, len(pairs))
    joint = csc_matrix((often / counts[run_of], run_of, ends), (runs, len(column)))
    a, b = np.divmod(pairs[column], vocabulary)
    other = np.roll(np.arange(runs), BLOCKS)  # the run half the corpus away
    p, q = (
        np.bincount(each * runs + of, 1.0 / counts[of], vocabulary * runs).reshape(-1, runs)
        for each in (one, two)
    )
    q = q[:, other]
    inside = (joint @ joint.T).toarray()
    mixed = np.empty((runs, runs))
    rows = joint.tocsr()
    for run in range(runs):
        row = rows[run]
        given = csr_matrix((row.data, (b[row.indices], a[row.indices])), (vocabulary,) * 2) @ p
        mixed[run] = (given * q).sum(axis=0)
    outer = (p.T @ p) * (q.T @ q)
    each = inside - mixed - mixed.T + outer
    return np.asarray(each.reshape(2, BLOCKS, 2, BLOCKS).sum(axis=(0, 2)) / 4)
