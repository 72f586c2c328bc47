"""The teacher's ONNX file: accuracy and multiply-accumulates."""
