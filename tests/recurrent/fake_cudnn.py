"""A GPU with cuDNN, faked on a processor: undefined values are NaN."""

import pytest
import tensorflow as tf

from lstm_zoo.recurrent import fused


def fake_gpus(monkeypatch: pytest.MonkeyPatch, *, count: int) -> None:
    """Make TensorFlow list this number of GPUs, on any machine."""
    devices = [tf.config.PhysicalDevice("/physical_device:CPU:0", "CPU")]
    devices += [tf.config.PhysicalDevice(f"/physical_device:GPU:{n}", "GPU") for n in range(count)]
    for name in ("list_physical_devices", "list_logical_devices"):
        monkeypatch.setattr(
            tf.config, name, lambda kind=None: [d for d in devices if kind in (None, d.device_type)]
        )


def fake_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Keras see a GPU, and run cuDNN's op on a processor."""
    fake_gpus(monkeypatch, count=1)
    monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", run)


def run(
    *, input, input_h, input_c, params, is_training, rnn_mode, sequence_lengths, time_major
):  # the names of TensorFlow's op
    """Run `tf.raw_ops.CudnnRNNV3`, with NaN at padding: the outputs, and the inputs' gradient."""
    tf.debugging.assert_positive(tf.shape(input)[0], "cuDNN takes no empty batch")
    features, units = input.shape[-1], input_h.shape[-1]
    gates = {"lstm": 4, "gru": 3}[rnn_mode]
    sizes = [units * features] * gates + [units * units] * gates + [units] * 2 * gates
    parts = tf.split(params, sizes)
    kernels = [tf.transpose(tf.reshape(part, [units, -1])) for part in parts[: 2 * gates]]
    kernels, recurrent_kernels = kernels[:gates], kernels[gates:]
    input_biases, biases = parts[2 * gates : 3 * gates], parts[3 * gates :]
    if rnn_mode == "gru" and tf.sysconfig.get_build_info()["is_cuda_build"]:
        for gate in (kernels, recurrent_kernels, input_biases, biases):
            gate[0], gate[1] = gate[1], gate[0]  # Keras's z, r, n from cuDNN's r, z, n
    input_bias, bias = tf.concat(input_biases, 0), tf.concat(biases, 0)

    valid = tf.sequence_mask(sequence_lengths, tf.shape(input)[1])[..., tf.newaxis]

    @tf.custom_gradient
    def with_undefined_gradient(inputs):
        return inputs, lambda d: tf.where(valid, d, float("nan"))

    outputs, states = fused.run(
        rnn_mode,
        with_undefined_gradient(input),
        [input_h[:, 0], input_c[:, 0]] if rnn_mode == "lstm" else [input_h[:, 0]],
        tf.concat(kernels, 1),
        tf.concat(recurrent_kernels, 1),
        input_bias + bias if rnn_mode == "lstm" else tf.stack([input_bias, bias]),
        sequence_lengths,
    )
    hidden, cell = [state[:, tf.newaxis] for state in [*states, states[0]][:2]]
    return tf.where(valid, outputs, float("nan")), hidden, cell, None, None
