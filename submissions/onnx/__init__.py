"""ONNX files: check and run submitted ones, export trained baselines."""

import os

# onnxruntime looks up a host for its usage statistics, and writes a device id into the home folder,
# as soon as it loads a model. Only this variable stops both; it must be set before the import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
