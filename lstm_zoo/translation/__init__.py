"""Translation without attention: an encoder, a decoder, a beam. This file imports no TensorFlow."""

from itertools import pairwise

from lstm_zoo.settings import (
    TRAINING,
    Needs,
    Setting,
    boolean,
    choice,
    integer,
    integers,
    language,
    number,
    optional,
)

DATA_HELP = """\
  a prefix with a file per language (multi30k/train for train.de and train.en)
  .tsv or .txt, tab-separated: two columns or more, the codes in a header or the
  source first"""
INPUT_HELP = "a text"
DECODES = True
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


def _repeats(encoder_units: tuple, decoder_units: tuple) -> bool:
    """Tell whether a recurrent layer is as wide as the one below it."""
    return any(a == b for units in (encoder_units, decoder_units) for a, b in pairwise(units))


# Settings without a default are the variant's.
SETTINGS = {
    # the languages
    "source": Setting(
        None, optional(language), "code of the language to translate from: de", metavar="CODE"
    ),
    "target": Setting(
        None, optional(language), "code of the language to translate to: en", metavar="CODE"
    ),
    # the network
    "variant": Setting(
        "base",
        choice(*VARIANTS),
        f"{', '.join(VARIANTS)}: the sizes that the next ones replace",
        metavar="NAME",
    ),
    "embedding_size": Setting(None, optional(integer(1)), "width of a token's vector"),
    "encoder_units": Setting(None, optional(integers), "width of each encoder layer, a direction"),
    "decoder_units": Setting(None, optional(integers), "width of each decoder layer"),
    "cell": Setting(None, optional(choice("lstm", "gru", "simple_rnn")), "lstm, gru, simple_rnn"),
    "bidirectional": Setting(None, optional(boolean), "run the encoder in both directions"),
    "reverse_source": Setting(None, optional(boolean), "read the source from its end"),
    "pooling": Setting(
        None, optional(str), "the source's summary: last, mean, max, or several: last+max"
    ),
    "context": Setting(None, optional(boolean), "give the summary to every decoder step"),
    "residual": Setting(
        None,
        optional(boolean),
        "add a layer's input to its output, where both are as wide",
        needs=Needs(
            ("encoder_units", "decoder_units"),
            _repeats,
            "no layer is as wide as the one below it",
        ),
    ),
    "tied": Setting(None, optional(boolean), "one matrix embeds target tokens and predicts them"),
    "token_dropout": Setting(
        None, optional(number(0, 1)), "share of tokens, of both sides, made unknown"
    ),
    "dropout": Setting(
        None, optional(number(0, 1)), "share dropped of embeddings, between layers, before logits"
    ),
    # the tokenizers
    "vocabulary": Setting(
        "separate", choice(*VOCABULARIES), "separate pieces for each language, or joint ones"
    ),
    "vocabulary_size": Setting(4_000, integer(300), "the most ids of pieces, 256 bytes among them"),
    "max_length": Setting(
        100, integer(1), "pieces of a source past this one are cut; longer pairs are not learned"
    ),
    "max_ratio": Setting(
        4.0, number(1), "a pair with a side so many times the other's pieces is not learned"
    ),
    # the loss
    "label_smoothing": Setting(0.1, number(0, 1), "share of the target spread over all pieces"),
    # decoding
    "beam_width": Setting(5, integer(1), "translations kept while decoding; 1: greedy"),
    "length_penalty": Setting(
        1.0, number(0), "scores are divided by the length to this power; 0: not"
    ),
    # training
    "batch_tokens": TRAINING["batch_tokens"]._replace(
        default=3_000,
        help="pieces of both sides a step, padding included; none: batch_size pairs",
    ),
    "epochs": TRAINING["epochs"]._replace(default=20),
}
