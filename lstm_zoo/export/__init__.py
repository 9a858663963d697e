"""Exports: SavedModel, ONNX and LiteRT files, checked before they appear."""
