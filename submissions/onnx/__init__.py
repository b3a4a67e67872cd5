"""ONNX files: check and run submitted ones, export trained baselines."""
