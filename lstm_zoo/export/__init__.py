"""Export to SavedModel, ONNX and LiteRT; every export is checked before it is published."""
