"""Pictures depend on their chart alone."""

import re
import subprocess
import sys

import pytest

pytest.importorskip("vl_convert", reason="charts need the plot extra")

from seqmem.baselines import BASELINES
from seqmem.leaderboard.charts.curve import curve_chart
from seqmem.leaderboard.charts.picture import picture
from seqmem.tests.leaderboard.charts.drawn import everything


def test_a_picture_does_not_depend_on_those_before_it() -> None:
    chart = curve_chart([everything()], BASELINES)
    first = picture(chart, "svg")
    assert picture(chart, "svg") == first
    assert set(re.findall(rb"#(clip\d+)", first)) <= set(re.findall(rb'id="(clip\d+)"', first))


def test_drawing_needs_no_torch() -> None:
    code = (
        "import sys, seqmem.leaderboard.charts, seqmem.leaderboard.charts.plot, "
        "seqmem.docs.sentences, seqmem.docs.limitations; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
