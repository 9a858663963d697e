"""Text classification, such as sentiment analysis. This file imports no TensorFlow."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from lstm_zoo.settings import (
    CELLS,
    MAX_TOKENS,
    MAX_VOCABULARY,
    MAX_WIDTH,
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
    pooling,
    sample_setting,
)

DATA_HELP = """\
  a folder with one folder of .txt files per class (as aclImdb; unsup is ignored)
  .tsv or .csv with columns text and label in its header; .jsonl with those keys
  lines in fastText's format: __label__NAME text
  for several labels of a text, set multi_label=true: | between them, or several __label__NAME"""
INPUT_HELP = "a text"
DECODES = False
CLASSIFIES = True
COLUMNS = ("text_column", "label_column")
ANSWER_FORMATS = {}
TOKENIZER = (
    "tokens", "vocabulary_size", "vocabulary_sample", "min_count", "fold_case", "vectors",
)  # fmt: skip

_COMMON = {
    "cell": "lstm",
    "bidirectional": True,
    "pooling": "mean+max",
    "class_ratios": False,
    "ngrams": 0,
    "ngram_buckets": 2**18,
    "word_dropout": 0.0,
    "embedding_dropout": 0.3,
    "dropout": 0.5,
}
VARIANTS = {
    "tiny": {"embedding_size": 32, "units": (32,), **_COMMON},
    "small": {"embedding_size": 64, "units": (64,), **_COMMON},
    "base": {"embedding_size": 128, "units": (128, 128), **_COMMON},
    "large": {"embedding_size": 256, "units": (256, 256), **_COMMON},
}

# A default of None means the variant's value.
SETTINGS = {
    # the table's columns
    "text_column": column_setting(
        "the texts' column in a table: its name, or its position (from 1) without a header"
    ),
    "label_column": column_setting("the labels' column, likewise"),
    "group_column": group_setting("group"),
    # the labels
    "multi_label": Setting(
        False,
        boolean,
        "a text may have several labels, or none: a sigmoid for each class, and a threshold",
        neutral=False,
    ),
    # the network
    "variant": Setting(
        "base",
        choice(*VARIANTS),
        f"sizes of the network: {', '.join(VARIANTS)}",
        metavar="NAME",
    ),
    "embedding_size": Setting(
        None,
        optional(integer(1, MAX_WIDTH)),
        "size of the token embeddings",
        needs=Needs(
            ("vectors",),
            lambda vectors: vectors is None,
            "vectors set embedding_size; give only one of the two",
        ),
    ),
    "units": Setting(None, optional(integers), "units of each recurrent layer, such as 128,128"),
    "cell": Setting(None, optional(choice(*CELLS)), ", ".join(CELLS)),
    "bidirectional": Setting(None, optional(boolean), "run every layer in both directions"),
    "pooling": Setting(None, optional(pooling), "last, mean, max, or several, such as mean+max"),
    "class_ratios": Setting(
        None,
        optional(boolean),
        "append each token's log-count ratio for every class to its embedding",
    ),
    "ngrams": Setting(
        2,
        optional(integer(0, 16)),
        "maximum length of n-grams, whose logits are added to the network's; 0: none",
    ),
    "fitted_ngrams": Setting(
        True,
        boolean,
        "fit the n-grams by logistic regression before the training, rather than train them",
        neutral=False,
    ),
    "ngram_buckets": Setting(
        None,
        optional(integer(1, 2**30)),
        "hash buckets for the n-grams",
        needs=Needs(("ngrams",), lambda length: length > 0, "set ngrams to 1 or more"),
    ),
    "word_dropout": Setting(
        None, optional(number(0, 1)), "share of tokens replaced by the unknown token"
    ),
    "embedding_dropout": Setting(None, optional(number(0, 1)), "dropout rate of the embeddings"),
    "dropout": Setting(
        None, optional(number(0, 1)), "dropout rate between layers, before the logits, of n-grams"
    ),
    "vectors": Setting(
        None,
        optional(path),
        "file of pretrained word vectors (GloVe's or word2vec's); sets embedding_size, and adds "
        "words to the vocabulary",
        needs=Needs(
            ("tokens",), lambda tokens: tokens == "words", "vectors work with tokens=words only"
        ),
        inherited=False,
    ),
    # the tokenizer
    "tokens": Setting("words", choice("words", "pieces"), "words, or pieces (SentencePiece)"),
    "vocabulary_size": Setting(30_000, integer(5, MAX_VOCABULARY), "maximum number of token ids"),
    "min_count": Setting(
        1,
        integer(1),
        "minimum count of a word; rarer ones that vectors lack are unknown (words only)",
        needs=Needs(("tokens",), lambda tokens: tokens == "words", "set tokens=words"),
    ),
    "vocabulary_sample": sample_setting(
        Needs(("tokens",), lambda tokens: tokens == "pieces", "set tokens=pieces")
    ),
    "fold_case": Setting(True, boolean, "case-fold texts before tokenization"),
    "max_length": Setting(
        512, integer(1, MAX_TOKENS), "maximum number of tokens of a text; the rest is cut"
    ),
    # the loss
    "monitor": Setting(
        "calibrated_loss",
        choice("calibrated_loss", "accuracy"),
        "what chooses the best epoch: calibrated_loss, or accuracy (micro F1 of several labels)",
        neutral="accuracy",
    ),
    "class_weights": Setting(
        False,
        boolean,
        "weight the loss by inverse class frequency",
        needs=Needs(
            ("multi_label",),
            lambda multi_label: not multi_label,
            "a text of several labels has several frequencies; the threshold weighs errors",
        ),
    ),
}


def input_names(settings: Mapping[str, Any]) -> Sequence[str]:
    """Return the usual names of the column of `predict`'s inputs in a table's header.

    Args:
        settings: a run's settings.
    """
    return ("text",)


def check_data(
    data: str | os.PathLike, settings: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Check that a path holds data of this family; see `lstm_zoo.families.Description`.

    Raises:
        CallError: if the path does not exist or its format is unknown.
        DataError: if its first row is malformed, or has no such column.
    """
    from lstm_zoo.sentiment import corpus

    corpus.check(data, settings, given)
