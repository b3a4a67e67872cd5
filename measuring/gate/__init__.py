"""The validity gate: the checks that a model passes before its score enters the board.

`model_checks` runs a model on scored windows and on perturbed copies of them, as `plan` lays out:
causality, declared context, independence of the batch, determinism. `curve_checks` compares a
finished curve with the optimum and with the board. `report` names every check.
"""
