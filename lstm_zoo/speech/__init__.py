"""Speech recognition with CTC: from audio to text. This file imports no TensorFlow."""

from lstm_zoo.settings import Setting, boolean, choice, integer, integers, number, optional

DATA_HELP = """\
  a LibriSpeech folder (*.trans.txt beside the audio, at any depth)
  an LJSpeech folder (metadata.csv, wavs/)
  a manifest .tsv, .csv or .jsonl with path and text (or Common Voice's sentence)"""
SUBSAMPLING_KINDS = ("stack", "conv")

_COMMON = {
    "cell": "lstm",
    "bidirectional": True,
    "subsampling": 3,
    "subsampling_kind": "stack",
    "dropout": 0.2,
    "time_masks": 2,
    "time_mask_width": 20,
    "frequency_masks": 2,
    "frequency_mask_width": 8,
}
VARIANTS = {
    "tiny": {"units": (64,), **_COMMON},
    "small": {"units": (96, 96), **_COMMON},
    "base": {"units": (128, 128), **_COMMON},
    "large": {"units": (256, 256, 256), **_COMMON},
}

# Settings without a default are the variant's.
SETTINGS = {
    # the network
    "variant": Setting("base", choice(*VARIANTS), "the row of sizes that the next ones replace"),
    "units": Setting(None, optional(integers), "width of each recurrent layer, such as 128,128"),
    "cell": Setting(None, optional(choice("lstm", "gru", "simple_rnn")), "lstm, gru, simple_rnn"),
    "bidirectional": Setting(None, optional(boolean), "run every layer in both directions"),
    "subsampling": Setting(None, optional(integer(1)), "frames that become one; 1: all stay"),
    "subsampling_kind": Setting(
        None,
        optional(choice(*SUBSAMPLING_KINDS)),
        "stack (frames side by side) or conv (a strided convolution)",
    ),
    "dropout": Setting(
        None, optional(number(0, 1)), "share dropped between layers and before the logits"
    ),
    # SpecAugment
    "time_masks": Setting(None, optional(integer(0)), "masks of frames in training; 0: none"),
    "time_mask_width": Setting(None, optional(integer(0)), "the most frames of a mask"),
    "frequency_masks": Setting(None, optional(integer(0)), "masks of features in training"),
    "frequency_mask_width": Setting(None, optional(integer(0)), "the most features of a mask"),
}
