"""From a model and a task to a curve of loss against context length, and to a record.

`curve.measure` returns the curve, `record.make_record` a record of it. `sampling` has the
regression estimator, `estimate` decides how many windows are scored at each context length.
"""
