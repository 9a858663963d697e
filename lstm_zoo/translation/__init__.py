"""Encoder-decoder translation without attention: its settings. Imports no TensorFlow."""

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from lstm_zoo.settings import (
    AUTO,
    CELLS,
    MAX_BEAM_WIDTH,
    MAX_TOKENS,
    MAX_VOCABULARY,
    MAX_WIDTH,
    TRAINING,
    Needs,
    Setting,
    automatic,
    boolean,
    choice,
    column_setting,
    group_setting,
    integer,
    integers,
    language,
    number,
    optional,
    pooling,
    sample_setting,
)
from lstm_zoo.translation import languages

DATA_HELP = """\
  a prefix with a file per language (multi30k/train for train.de and train.en)
  .tsv or .txt, tab-separated: languages (en, English) in a header, or without one
  the source in column 1 and the target in column 2
  .csv with such a header; .jsonl with such keys"""
INPUT_HELP = "a text"
DECODES = True
CLASSIFIES = False
COLUMNS = ("source_column", "target_column")
ANSWER_FORMATS = {}
TOKENIZER = ("vocabulary", "vocabulary_size", "vocabulary_sample")
VOCABULARIES = ("separate", "joint")

_COMMON = {
    "cell": "lstm",
    "bidirectional": True,
    "reverse_source": False,
    "pooling": "last+mean+max",
    "context": True,
    "residual": False,
    "tied": True,
    "token_dropout": 0.1,
    "dropout": 0.3,
}
VARIANTS = {
    "tiny": {"embedding_size": 64, "encoder_units": (64,), "decoder_units": (64,), **_COMMON},
    "small": {"embedding_size": 128, "encoder_units": (128,), "decoder_units": (256,), **_COMMON},
    "base": {"embedding_size": 256, "encoder_units": (256,), "decoder_units": (512,), **_COMMON},
    "large": {
        "embedding_size": 512,
        "encoder_units": (512, 512),
        "decoder_units": (1024, 1024),
        **_COMMON,
        "residual": True,
    },
}


def _has_equal_widths(encoder_units: tuple, decoder_units: tuple) -> bool:
    """Return whether a recurrent layer is as wide as the layer below it."""
    return any(a == b for units in (encoder_units, decoder_units) for a, b in pairwise(units))


# Settings without a default are the variant's.
SETTINGS = {
    # the languages
    "source": Setting(
        None,
        optional(language),
        "code of the language to translate from, such as de",
        metavar="CODE",
    ),
    "target": Setting(
        None, optional(language), "code of the language to translate to, such as en", metavar="CODE"
    ),
    # the table's columns
    "source_column": column_setting(
        "the sources' column in a table: its name, or its position (from 1) without a header"
    ),
    "target_column": column_setting("the targets' column, likewise"),
    "group_column": group_setting("group"),
    # the network
    "variant": Setting(
        "base",
        choice(*VARIANTS),
        f"sizes of the network: {', '.join(VARIANTS)}",
        metavar="NAME",
    ),
    "embedding_size": Setting(
        None, optional(integer(1, MAX_WIDTH)), "width of the token embeddings"
    ),
    "encoder_units": Setting(
        None, optional(integers), "width of each encoder layer, per direction"
    ),
    "decoder_units": Setting(None, optional(integers), "width of each decoder layer"),
    "cell": Setting(None, optional(choice(*CELLS)), ", ".join(CELLS)),
    "bidirectional": Setting(None, optional(boolean), "run the encoder in both directions"),
    "reverse_source": Setting(
        None, optional(boolean), "encode the source from its last token to its first"
    ),
    "pooling": Setting(
        None,
        optional(pooling),
        "encoder outputs to context vector: last, mean, max, or several, such as last+max",
    ),
    "context": Setting(None, optional(boolean), "feed the context vector to every decoder step"),
    "residual": Setting(
        None,
        optional(boolean),
        "add a layer's input to its output where their widths are equal",
        needs=Needs(
            ("encoder_units", "decoder_units"),
            _has_equal_widths,
            "no layer is as wide as the one below it",
        ),
    ),
    "tied": Setting(
        None, optional(boolean), "share one matrix between target embedding and logits"
    ),
    "token_dropout": Setting(
        None, optional(number(0, 1)), "fraction of source and target tokens replaced by unknown"
    ),
    "dropout": Setting(
        None, optional(number(0, 1)), "dropout rate of embeddings, between layers, before logits"
    ),
    # the tokenizers
    "vocabulary": Setting(
        "separate",
        choice(*VOCABULARIES),
        "one SentencePiece model per language (separate), or one for both (joint)",
    ),
    "vocabulary_size": Setting(
        4_000, integer(300, MAX_VOCABULARY), "maximum number of ids, 256 byte pieces included"
    ),
    "vocabulary_sample": sample_setting(),
    "subword_alpha": Setting(
        None,
        optional(number(0)),
        "split words anew for each epoch, a segmentation drawn with its probability to this power "
        "(subword regularization), such as 0.3; none: always the most probable one",
        neutral=None,
    ),
    "max_length": Setting(
        100,
        integer(1, MAX_TOKENS),
        "sources are cut to this many pieces; longer training pairs are skipped",
    ),
    "max_ratio": Setting(
        4.0, number(1), "training pairs with a higher length ratio, in pieces, are skipped"
    ),
    # the loss
    "label_smoothing": Setting(0.1, number(0, 1), "probability spread over the whole vocabulary"),
    # decoding
    "beam_width": Setting(
        5, integer(1, MAX_BEAM_WIDTH), "hypotheses kept while decoding; 1: greedy"
    ),
    # It has an effect with a beam width of 1 too: on the scores, and where `predict` and `evaluate`
    # are given another width.
    "length_penalty": Setting(
        1.0, number(0, 100), "scores are divided by length to this power; 0: no normalization"
    ),
    # training
    "batch_tokens": TRAINING["batch_tokens"]._replace(
        default=AUTO,
        read=automatic(TRAINING["batch_tokens"].read),
        help="source and target pieces per batch, padding included; none: batch_size pairs; auto: "
        "a tenth of the number of pairs, from 600 to 3000",
        by_examples=lambda pairs: min(max(600, pairs // 10), 3_000),
    ),
    "epochs": TRAINING["epochs"]._replace(default=20),
}


def input_names(settings: Mapping[str, Any]) -> Sequence[str]:
    """Return the usual names of the column of `predict`'s inputs in a table's header.

    Args:
        settings: a run's settings.
    """
    return (*languages.names(settings["source"]), "source", "src")


def check_data(
    data: str | os.PathLike, settings: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Check that a path holds data of this family; see `lstm_zoo.families.Description`.

    Raises:
        CallError: if the path does not exist or its format is unknown.
        DataError: if its first row is malformed, or has no such column.
    """
    from lstm_zoo.translation import corpus

    corpus.check(data, settings, given)
