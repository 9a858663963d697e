"""Pipelines on ONNX Runtime and NumPy: they import neither TensorFlow, Keras nor librosa.

What only one family needs is in its module `runtime`.
"""
