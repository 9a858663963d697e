"""Sentiment, and any other classification of texts. This file imports no TensorFlow."""

from lstm_zoo.settings import (
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
  a folder with a folder of .txt files per class (aclImdb's; unsup is left out)
  .tsv or .csv with a header that has text and label; .jsonl with those keys"""
INPUT_HELP = "a text"
DECODES = False

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
    "base": {"embedding_size": 128, "units": (128,), **_COMMON},
    "large": {"embedding_size": 256, "units": (256, 256), **_COMMON},
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
    "embedding_size": Setting(
        None,
        optional(integer(1)),
        "width of a token's vector",
        needs=Needs(
            ("vectors",),
            lambda vectors: vectors is None,
            "vectors set embedding_size; give only one of the two",
        ),
    ),
    "units": Setting(None, optional(integers), "width of each recurrent layer, such as 128,128"),
    "cell": Setting(None, optional(choice("lstm", "gru", "simple_rnn")), "lstm, gru, simple_rnn"),
    "bidirectional": Setting(None, optional(boolean), "run every layer in both directions"),
    "pooling": Setting(None, optional(str), "last, mean, max, or several, such as mean+max"),
    "class_ratios": Setting(
        None,
        optional(boolean),
        "a table of each token's log-ratio of every class beside its vector",
    ),
    "ngrams": Setting(
        None,
        optional(integer(0)),
        "n-grams of up to so many tokens, averaged with the network; 0: none",
    ),
    "ngram_buckets": Setting(
        None,
        optional(integer(1)),
        "rows of the n-grams' table",
        needs=Needs(("ngrams",), lambda length: length > 0, "set ngrams to 1 or more"),
    ),
    "word_dropout": Setting(None, optional(number(0, 1)), "share of tokens made unknown"),
    "embedding_dropout": Setting(None, optional(number(0, 1)), "share of embeddings dropped"),
    "dropout": Setting(
        None, optional(number(0, 1)), "share dropped between layers, before the logits, of n-grams"
    ),
    "vectors": Setting(
        None,
        optional(path),
        "text file of word vectors (GloVe's format); sets embedding_size",
        needs=Needs(
            ("tokens",), lambda tokens: tokens == "words", "vectors go with tokens=words only"
        ),
    ),
    # the tokenizer
    "tokens": Setting("words", choice("words", "pieces"), "words, or pieces (SentencePiece)"),
    "vocabulary_size": Setting(30_000, integer(5), "the most token ids there may be"),
    "min_count": Setting(
        2,
        integer(1),
        "a rarer word is unknown (words only)",
        needs=Needs(("tokens",), lambda tokens: tokens == "words", "it counts words"),
    ),
    "fold_case": Setting(True, boolean, "fold case before tokens are looked up"),
    "max_length": Setting(512, integer(1), "tokens of a text past this one are cut"),
    # the loss
    "class_weights": Setting(False, boolean, "weigh classes by the inverse of their frequency"),
}
