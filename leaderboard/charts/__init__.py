"""Charts of context curves, of k_train against k, and of context needs.

One definition serves `seqmem plot`, docs/findings.md and the page: a Vega-Lite specification, as
plain data.
"""
