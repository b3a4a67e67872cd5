"""Charts of context curves, of k_train against k, and of context needs.

Altair is an optional extra: import this room only where a chart is drawn.
"""

from seqmem.leaderboard.charts.curve import curve_chart
from seqmem.leaderboard.charts.matrix import matrix_chart
from seqmem.leaderboard.charts.need import need_chart

__all__ = ["curve_chart", "matrix_chart", "need_chart"]
