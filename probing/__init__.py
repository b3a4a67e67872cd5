"""How far a network looks: causality, receptive field, influence by lag, without training or data.

`probe.py` puts it together: random inputs (`inputs.py`) go through a copy of the network
(`network.py`), and influence is read off by gradients or by replaced inputs (`influence.py`).
"""
