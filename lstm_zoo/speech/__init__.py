"""Speech recognition with CTC. This file imports no TensorFlow."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from lstm_zoo.families import AnswerFormat
from lstm_zoo.settings import (
    CELLS,
    MAX_BEAM_WIDTH,
    MAX_VOCABULARY,
    TRAINING,
    Needs,
    Setting,
    boolean,
    choice,
    column_setting,
    group_setting,
    integer,
    integers,
    number,
    optional,
    path,
    sample_setting,
)

DATA_HELP = """\
  a LibriSpeech folder (*.trans.txt next to the audio, at any depth)
  an LJSpeech folder (metadata.csv, wavs/)
  a .tsv, .csv or .jsonl manifest with path and text (or sentence, as in Common Voice)"""
INPUT_HELP = "the path of a clip"
DECODES = True
CLASSIFIES = False
COLUMNS = ("path_column", "text_column")
ANSWER_FORMATS = {
    "srt": AnswerFormat("subtitles (SubRip), of one clip", is_of_one=True),
    "vtt": AnswerFormat("subtitles (WebVTT), of one clip", is_of_one=True),
    "ctm": AnswerFormat("NIST's: clip, channel, start, duration, word, confidence"),
}
TOKENIZER = ("tokens", "vocabulary_size", "vocabulary_sample")
SUBSAMPLING_KINDS = ("stack", "conv")
FEATURE_KINDS = ("log_mel", "mfcc")
MAX_MELS = 1_024
MAX_SAMPLE_RATE = 768_000  # Hz
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

# A default of None means the variant's value, for the settings in `VARIANTS`.
SETTINGS = {
    # the table's columns
    "path_column": column_setting(
        "the clips' column in a table: its name, or its position (from 1) without a header"
    ),
    "text_column": column_setting("the transcripts' column, likewise"),
    "group_column": group_setting("group", "speaker", "client_id"),
    # the network
    "variant": Setting(
        "base",
        choice(*VARIANTS),
        f"sizes of the network: {', '.join(VARIANTS)}",
        metavar="NAME",
    ),
    "units": Setting(None, optional(integers), "units of each recurrent layer, such as 128,128"),
    "cell": Setting(None, optional(choice(*CELLS)), ", ".join(CELLS)),
    "bidirectional": Setting(None, optional(boolean), "run every layer in both directions"),
    "subsampling": Setting(None, optional(integer(1, 64)), "frames merged into one; 1: none"),
    "subsampling_kind": Setting(
        None,
        optional(choice(*SUBSAMPLING_KINDS)),
        "stack (concatenate frames) or conv (strided convolution)",
        needs=Needs(("subsampling",), lambda factor: factor > 1, "set subsampling to 2 or more"),
    ),
    "dropout": Setting(
        None, optional(number(0, 1)), "dropout rate between layers and before the logits"
    ),
    # SpecAugment
    "time_masks": Setting(
        None,
        optional(integer(0, 100)),
        "time masks in training; 0: none",
        needs=Needs(
            ("time_mask_width",),
            lambda width: width > 0,
            "set time_mask_width to 1 or more",
        ),
    ),
    "time_mask_width": Setting(
        None,
        optional(integer(0, 1_000_000)),
        "maximum width of a time mask, in frames",
        needs=Needs(("time_masks",), lambda masks: masks > 0, "set time_masks to 1 or more"),
    ),
    "frequency_masks": Setting(
        None,
        optional(integer(0, 100)),
        "frequency masks in training; 0: none",
        needs=Needs(
            ("frequency_mask_width",),
            lambda width: width > 0,
            "set frequency_mask_width to 1 or more",
        ),
    ),
    "frequency_mask_width": Setting(
        None,
        optional(integer(0, MAX_MELS)),
        "maximum width of a frequency mask, in features",
        needs=Needs(
            ("frequency_masks",), lambda masks: masks > 0, "set frequency_masks to 1 or more"
        ),
    ),
    # the features
    "features": Setting(
        "log_mel", choice(*FEATURE_KINDS), "log_mel, or mfcc with first and second deltas"
    ),
    "sample_rate": Setting(
        None,
        optional(integer(1_000, MAX_SAMPLE_RATE)),
        "in Hz; none: the most frequent in the training data, at most 16000",
    ),
    "num_mels": Setting(40, integer(1, MAX_MELS), "filters of the mel filter bank"),
    "num_mfcc": Setting(
        13,
        integer(1, MAX_MELS),
        "cepstral coefficients (mfcc only)",
        needs=Needs(("features",), lambda kind: kind == "mfcc", "set features=mfcc"),
    ),
    "window": Setting(25.0, number(1, below=1_000), "window length in milliseconds"),
    "hop": Setting(10.0, number(1, below=1_000), "hop length in milliseconds"),
    "normalization": Setting(
        "utterance",
        choice(*NORMALIZATIONS),
        "mean and variance of each feature per utterance, global (training data) or none",
    ),
    "cache": Setting(
        None,
        optional(path),
        "folder of cached features; none: cache, next to the run",
        inherited=False,
    ),
    # augmentation
    "speed": Setting(0.0, number(0, 0.5), "maximum relative change of speed, such as 0.1; 0: none"),
    "noise": Setting(
        None,
        optional(number(-20, below=200)),
        "minimum signal-to-noise ratio of added noise, in dB; none: no noise",
    ),
    "copies": Setting(
        3,
        integer(1, 100),
        "augmented copies of each clip (with speed or noise)",
        needs=Needs(
            ("speed", "noise"),
            lambda speed, noise: speed > 0 or noise is not None,
            "set speed or noise",
        ),
    ),
    # the transcripts
    "lower_case": Setting(True, boolean, "lower-case the transcripts"),
    "punctuation": Setting(
        "drop", choice("drop", "keep"), "drop or keep punctuation in transcripts"
    ),
    "tokens": Setting(
        "characters", choice("characters", "pieces"), "characters, or pieces (SentencePiece)"
    ),
    "vocabulary_size": Setting(
        400,
        integer(5, MAX_VOCABULARY),
        "maximum number of SentencePiece ids, 256 byte pieces included",
        needs=Needs(("tokens",), lambda tokens: tokens == "pieces", "set tokens=pieces"),
    ),
    "vocabulary_sample": sample_setting(
        Needs(("tokens",), lambda tokens: tokens == "pieces", "set tokens=pieces")
    ),
    # decoding
    "beam_width": Setting(
        8, integer(1, MAX_BEAM_WIDTH), "hypotheses kept while decoding; 1: greedy (best alignment)"
    ),
    # training: in the first epochs CTC predicts only blanks, so patience is longer
    "epochs": TRAINING["epochs"]._replace(default=30),
    "patience": TRAINING["patience"]._replace(default=15),
}


def input_names(settings: Mapping[str, Any]) -> Sequence[str]:
    """Return the usual names of the column of `predict`'s inputs in a table's header.

    Args:
        settings: a run's settings.
    """
    return ("path",)


def check_data(
    data: str | os.PathLike, settings: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Check that a path holds data of this family; see `lstm_zoo.families.Description`.

    Raises:
        CallError: if the path does not exist or its format is unknown.
        DataError: if its first row is malformed, or has no such column.
    """
    from lstm_zoo.speech import corpus

    corpus.check(data, settings, given)
