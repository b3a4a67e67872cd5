"""ONNX files: checked, run, and exported from trained baselines."""
