"""Charts of context curves, of k_train against k, and of context needs.

One definition serves `seqmem plot`, docs/findings.md and the page: a Vega-Lite specification, as
plain data.
"""

from seqmem.leaderboard.charts.curve import curve_chart, interactive_curve_chart
from seqmem.leaderboard.charts.matrix import matrix_chart
from seqmem.leaderboard.charts.need import interactive_need_chart, need_chart

__all__ = [
    "curve_chart",
    "interactive_curve_chart",
    "interactive_need_chart",
    "matrix_chart",
    "need_chart",
]
