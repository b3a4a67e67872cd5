"""The regression check: do baselines, or your own layer, still learn what is expected?

A check trains models for a few steps and compares their curves with expectations. Expectations are
committed files, one for each baseline on each task, which are added to and never changed.

    recipes.py      how models are trained for a check
    cell.py         one model on one task: trained with several seeds, and measured
    calibration.py  the unit of time
    curves.py       what was measured
    expectation.py  what is expected, as files
    margin.py       the largest difference that is still green
    judge.py        the verdict on one cell
    report.py       all verdicts, as a table or JSON
    ci.py           all verdicts, as JUnit XML or GitHub annotations
    run.py          the whole check, and the renewal of expectations
"""
