"""Speech recognition with CTC: from audio to text. This file imports no TensorFlow."""

from lstm_zoo.settings import (
    TRAINING,
    Needs,
    Setting,
    boolean,
    choice,
    integer,
    integers,
    number,
    optional,
    path,
)

DATA_HELP = """\
  a LibriSpeech folder (*.trans.txt beside the audio, at any depth)
  an LJSpeech folder (metadata.csv, wavs/)
  a manifest .tsv, .csv or .jsonl with path and text (or Common Voice's sentence)"""
INPUT_HELP = "the path of a clip"
DECODES = True
SUBSAMPLING_KINDS = ("stack", "conv")
FEATURE_KINDS = ("log_mel", "mfcc")
NORMALIZATIONS = ("utterance", "global", "none")

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
    "variant": Setting(
        "base",
        choice(*VARIANTS),
        f"{', '.join(VARIANTS)}: the sizes that the next ones replace",
        metavar="NAME",
    ),
    "units": Setting(None, optional(integers), "width of each recurrent layer, such as 128,128"),
    "cell": Setting(None, optional(choice("lstm", "gru", "simple_rnn")), "lstm, gru, simple_rnn"),
    "bidirectional": Setting(None, optional(boolean), "run every layer in both directions"),
    "subsampling": Setting(None, optional(integer(1)), "frames that become one; 1: all stay"),
    "subsampling_kind": Setting(
        None,
        optional(choice(*SUBSAMPLING_KINDS)),
        "stack (frames side by side) or conv (a strided convolution)",
        needs=Needs(("subsampling",), lambda factor: factor > 1, "set subsampling to 2 or more"),
    ),
    "dropout": Setting(
        None, optional(number(0, 1)), "share dropped between layers and before the logits"
    ),
    # SpecAugment
    "time_masks": Setting(None, optional(integer(0)), "masks of frames in training; 0: none"),
    "time_mask_width": Setting(
        None,
        optional(integer(0)),
        "the most frames of a mask",
        needs=Needs(("time_masks",), lambda masks: masks > 0, "there is no mask"),
    ),
    "frequency_masks": Setting(None, optional(integer(0)), "masks of features in training"),
    "frequency_mask_width": Setting(
        None,
        optional(integer(0)),
        "the most features of a mask",
        needs=Needs(("frequency_masks",), lambda masks: masks > 0, "there is no mask"),
    ),
    # the features
    "features": Setting("log_mel", choice(*FEATURE_KINDS), "log_mel, or mfcc with two deltas"),
    "sample_rate": Setting(
        None, optional(integer(1_000)), "in Hz; none: most training clips', 16000 at the most"
    ),
    "num_mels": Setting(40, integer(1), "filters of the mel filter bank"),
    "num_mfcc": Setting(
        13,
        integer(1),
        "cepstral coefficients (mfcc only)",
        needs=Needs(("features",), lambda kind: kind == "mfcc", "set features=mfcc"),
    ),
    "window": Setting(25.0, number(1), "milliseconds of a window"),
    "hop": Setting(10.0, number(1), "milliseconds from one window to the next"),
    "normalization": Setting(
        "utterance",
        choice(*NORMALIZATIONS),
        "utterance, global or none: over what a feature has mean 0 and variance 1",
    ),
    "cache": Setting(None, optional(path), "folder of computed features; none: beside the run"),
    # the training clips
    "speed": Setting(0.0, number(0, 0.5), "speed varies by up to this share; 0: not"),
    "noise": Setting(
        None, optional(number(-20)), "the least dB of signal over added noise; none: no noise"
    ),
    "copies": Setting(
        3,
        integer(1),
        "varied copies of each clip, where speed or noise varies",
        needs=Needs(
            ("speed", "noise"),
            lambda speed, noise: speed > 0 or noise is not None,
            "set speed or noise",
        ),
    ),
    # the transcripts
    "lower_case": Setting(True, boolean, "learn transcripts in lower case"),
    "punctuation": Setting("drop", choice("drop", "keep"), "of transcripts: drop or keep"),
    "tokens": Setting(
        "characters", choice("characters", "pieces"), "characters, or pieces (SentencePiece)"
    ),
    "vocabulary_size": Setting(
        400,
        integer(5),
        "the most ids of pieces, 256 bytes among them",
        needs=Needs(("tokens",), lambda tokens: tokens == "pieces", "set tokens=pieces"),
    ),
    # decoding
    "beam_width": Setting(
        8, integer(1), "transcripts kept while decoding; 1: the best alignment (greedy)"
    ),
    # training: at first CTC predicts nothing but blanks, for some epochs
    "epochs": TRAINING["epochs"]._replace(default=30),
    "patience": TRAINING["patience"]._replace(default=15),
}
