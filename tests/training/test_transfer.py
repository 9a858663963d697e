"""Trainings that start from another run: what they take from it, and what they refuse."""

import json
import logging
import shutil

import numpy as np
import pytest

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.export.inspection import describe
from lstm_zoo.files import file_digest
from lstm_zoo.runs.directory import read_config
from lstm_zoo.sentiment import VARIANTS
from lstm_zoo.speech import demo as spoken
from lstm_zoo.speech.audio import read_audio
from lstm_zoo.training import checks, initialization, transfer
from lstm_zoo.translation import demo as phrases
from tests.training.helpers import RUNS, Interrupt, files_of, train

# Words that the runs' training data have and lack, and other classes.
NOUNS = ("film", "plot", "cast", "ending", "story", "music", "acting", "dialogue", "script", "hero")
TEXTS = [
    f"The {noun} is {end}." for noun in NOUNS for end in ("dull", "fine", "zebra odd", "odd zebra")
]
LABELS = ["neg", "pos", "neutral", "neutral"] * 10
# "sentiment" has n-grams and class ratios, "interrupted" has neither.
PLAIN, RICH = RUNS / "interrupted", RUNS / "sentiment"


def start_from(run, tmp_path, data=(TEXTS, LABELS), keep=False, family=None, **settings):
    """Return the start of a training from a run, the weights before and after, and the entry."""
    family = family or json.loads((run / "config.json").read_text())["family"]
    start = initialization.fresh(
        family, tmp_path / "run", data, None, None, False, settings, run, keep
    )
    examples = start.task.encode(start.corpora.training, training=True, cache=start.cache)
    model, _ = start.task.build(examples, 0)
    before = weights_of(model)
    data = start.corpora.description
    entry = transfer.take_weights(model, start.task, start.source, data)
    return start, before, weights_of(model), entry


def weights_of(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def source_weights(run):
    return weights_of(lstm_zoo.load(run).model)


def test_a_run_of_the_same_network_gives_all_weights_and_settings(tmp_path):
    start, _, after, entry = start_from(PLAIN, tmp_path, keep=True, data=(TEXTS, LABELS[:2] * 20))
    old = source_weights(PLAIN)
    assert after.keys() == old.keys() == {*entry["taken"]}
    for path, values in old.items():
        np.testing.assert_array_equal(after[path], values)
    assert (entry["partly"], entry["fresh"], entry["unused"]) == ({}, {}, [])
    assert entry["run"] == str(PLAIN) and entry["keep_vocabulary"]
    assert entry["weights_sha256"] == file_digest(PLAIN / "model.weights.h5")
    # The family's settings are the run's; those of training are not.
    assert (start.settings["units"], start.settings["embedding_size"]) == ((8,), 8)
    assert (start.settings["variant"], start.settings["cell"]) == ("tiny", "lstm")
    assert (start.settings["learning_rate"], start.settings["epochs"]) == (0.002, 10)


def test_rows_are_matched_by_token_and_by_class(tmp_path):
    start, before, after, entry = start_from(PLAIN, tmp_path)
    old, source = source_weights(PLAIN), start.source.task
    tokens, classes = start.task.tokenizer.vocabulary, start.task.classes
    old_tokens = source.tokenizer.vocabulary
    known = [token for token in tokens if token in old_tokens]
    assert "zebra" in tokens and "zebra" not in known and {"film", "<unk>", "<pad>"} <= {*known}
    for row, token in enumerate(tokens):
        expected = before["embedding/embeddings"][row]
        if token in old_tokens:
            expected = old["embedding/embeddings"][old_tokens.index(token)]
        np.testing.assert_array_equal(after["embedding/embeddings"][row], expected, token)
    assert (source.classes, classes) == (["neg", "pos"], ["neg", "neutral", "pos"])
    for path in ("logits/kernel", "logits/bias"):
        np.testing.assert_array_equal(after[path][..., [0, 2]], old[path])
        np.testing.assert_array_equal(after[path][..., 1], before[path][..., 1])
        assert entry["partly"][path] == "2 of 3 classes"
    assert entry["partly"]["embedding/embeddings"] == f"{len(known)} of {len(tokens)} tokens"
    assert all(path.startswith("lstm_1/") for path in entry["taken"]) and entry["taken"]


def test_what_follows_from_all_tokens_is_new_with_other_tokens(tmp_path):
    start, before, after, entry = start_from(RICH, tmp_path)
    old = source_weights(RICH)
    assert entry["fresh"]["ngrams/table"] == (
        "it depends on all tokens and settings of n-grams and their order, which differ"
    )
    # An axis of tokens and one of classes.
    film, old_film = (
        task.tokenizer.vocabulary.index("film") for task in (start.task, start.source.task)
    )
    path = "class_ratios/embeddings"
    np.testing.assert_array_equal(after[path][film, [0, 2]], old[path][old_film])
    np.testing.assert_array_equal(after[path][film, 1], before[path][film, 1])
    # A ratio for each class is an input of the first recurrent layer.
    kernels = [path for path in entry["fresh"] if path.startswith("lstm_1/")]
    assert len(kernels) == 2
    assert {entry["fresh"][path] for path in kernels} == {
        "its shape is [11, 32], the run's [10, 32]"
    }


def test_ngrams_are_taken_with_the_vocabulary(tmp_path):
    _, before, after, entry = start_from(RICH, tmp_path, keep=True)
    np.testing.assert_array_equal(
        after["ngrams/table"][:, [0, 2]], source_weights(RICH)["ngrams/table"]
    )
    assert entry["partly"]["ngrams/table"] == "2 of 3 classes"


def test_ngrams_of_another_length_are_new(tmp_path):
    _, before, after, entry = start_from(RICH, tmp_path, keep=True, ngrams=1)
    np.testing.assert_array_equal(after["ngrams/table"], before["ngrams/table"])
    assert entry["fresh"]["ngrams/table"].startswith("it depends on all tokens and settings of n-g")


@pytest.mark.slow
def test_ngrams_that_were_fitted_on_the_validation_data_are_new(tmp_path):
    """At its end a run fits them on its validation data too: random labels would be known."""
    random = np.random.default_rng(0)
    texts = [f"text {number}" for number in range(200)]
    data = texts, random.choice(["neg", "pos"], 200).tolist()
    options = {"variant": "tiny", "epochs": 1, "units": 8}
    source = lstm_zoo.train("sentiment", data, run=tmp_path / "source", **options)
    same = lstm_zoo.train(
        "sentiment", data, run=tmp_path / "same", init_from=source.run, keep_vocabulary=True,
        epochs=1,
    )  # fmt: skip
    assert same.config["init_from"]["fresh"].keys() == {"ngrams/table", "ngrams/bias"}
    metrics = json.loads((same.run / "metrics.json").read_text())
    assert metrics["validation"]["accuracy"] < 0.9
    other = lstm_zoo.train(
        "sentiment", data, run=tmp_path / "other", init_from=source.run, keep_vocabulary=True,
        epochs=1, validation=(["text 3", "text x"], ["neg", "pos"]),
    )  # fmt: skip
    assert "ngrams/table" in other.config["init_from"]["taken"]


@pytest.mark.slow
def test_a_source_of_the_same_file_with_another_split_is_warned_of(tmp_path, caplog):
    path = tmp_path / "films.tsv"
    rows = zip(TEXTS * 3, LABELS * 3, strict=True)
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    options = {"variant": "tiny", "epochs": 1, "units": 8}
    source = lstm_zoo.train("sentiment", path, run=tmp_path / "source", seed=0, **options)
    logger = logging.getLogger("lstm_zoo")
    logger.addHandler(caplog.handler)
    try:
        for seed in (0, 1):
            start_from(source.run, tmp_path / str(seed), data=path, family="sentiment", seed=seed)
    finally:
        logger.removeHandler(caplog.handler)
    warned = [line for line in caplog.messages if "was trained on" in line]
    assert len(warned) == 1 and f"{path} too, with another split" in warned[0]


def test_a_variant_that_is_the_runs_own_changes_nothing_and_another_has_its_sizes():
    config = read_config(RICH)
    sizes = VARIANTS["base"].keys()

    def network(**given):
        taken = checks.inherited("sentiment", RICH, config, given, False)
        return {name: taken[name] for name in sizes & taken.keys()}

    assert network(variant=config["settings"]["variant"]) == network()
    assert network() == {name: config["network"][name] for name in sizes}
    assert config["settings"]["variant"] != "base" and network(variant="base") == {}


def test_inherited_settings_that_lose_their_effect_are_left_out():
    config = read_config(RICH)
    assert config["network"]["ngrams"]
    changed = {**config, "network": {**config["network"], "ngram_buckets": 999}}
    taken = checks.inherited("sentiment", RICH, changed, {"ngrams": 0}, False)
    assert "ngram_buckets" not in taken and taken["ngrams"] == 0
    assert checks.inherited("sentiment", RICH, changed, {}, False)["ngram_buckets"] == 999


def test_another_variant_takes_what_fits_and_says_what_does_not(tmp_path):
    _, _, _, entry = start_from(PLAIN, tmp_path, variant="small", embedding_size=8, keep=True)
    assert entry["partly"].keys() == {"logits/bias"}  # 64 units now: only the embedding fits
    assert entry["taken"] == ["embedding/embeddings"]
    assert entry["fresh"]["logits/kernel"] == "its shape is [256, 3], the run's [32, 2]"
    _, _, _, entry = start_from(PLAIN, tmp_path, cell="gru", units=(8, 8))
    assert entry["fresh"]["gru_1/forward_gru_1/gru_cell/kernel"] == "the run has no such weight"
    assert "lstm_1/forward_lstm_1/lstm_cell/kernel" in entry["unused"]


@pytest.mark.parametrize(
    "run, family, settings, message",
    [
        ("none", "sentiment", {}, "no such run directory"),
        ("speech", "sentiment", {}, "a run of speech, not of sentiment"),
        (
            "interrupted",
            "sentiment",
            {"keep": True, "min_count": 5},
            "min_count=5 has no effect with keep_vocabulary: .* has min_count=2",
        ),
        (
            "sentiment",
            "sentiment",
            {"keep": True, "vectors": "v.txt"},
            "v.txt has no effect with keep_vocabulary: the tokenizer of .* has vectors=none",
        ),
    ],
)
def test_runs_that_do_not_fit_are_refused(tmp_path, run, family, settings, message):
    with pytest.raises(CallError, match=message):
        start_from(RUNS / run, tmp_path, family=family, **settings)


def test_a_network_that_no_weight_fits_is_refused(tmp_path):
    texts = [f"{a} {b}" for a in "αβγδ" for b in "ζηθικ"] * 2
    with pytest.raises(
        CallError, match=r"no weight of .* fits this network: .*its shape is \[\d+, 9"
    ):
        start_from(
            PLAIN, tmp_path, (texts, ["x", "y"] * 20), embedding_size=9, units=(9,), cell="gru"
        )


def test_wrong_calls(tmp_path):
    with pytest.raises(CallError, match="keep_vocabulary has no effect without init_from"):
        train(tmp_path / "run", keep_vocabulary=True)
    for options in ({"init_from": PLAIN}, {"keep_vocabulary": True}):
        with pytest.raises(CallError, match="A resumed run keeps its init_from"):
            train(tmp_path / "run", resume=True, **options)


def test_a_damaged_run_is_refused(tmp_path):
    run = shutil.copytree(PLAIN, tmp_path / "damaged")
    (run / "model.weights.h5").write_bytes(b"not HDF5")
    with pytest.raises(DataError, match=r"model\.weights\.h5"):
        start_from(run, tmp_path)
    (run / "secret").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="leads out of its directory"):
        start_from(run, tmp_path)


def test_paths_and_columns_are_not_inherited():
    for family in families.FAMILIES:
        table = families.settings(family)
        not_inherited = {
            name for name in families.module(family).SETTINGS if not table[name].inherited
        }
        assert {*families.module(family).COLUMNS, "group_column"} <= not_inherited
    assert not families.settings("sentiment")["vectors"].inherited
    assert not families.settings("speech")["cache"].inherited


def spoken_data(count=12):
    clips, texts, _ = spoken.generate(count, seed=1)
    return [(read_audio(clip, 8_000), 8_000) for clip in clips], texts


def test_labels_of_speech_are_matched_by_character(tmp_path):
    clips, texts = spoken_data()
    texts = [f"{text} q" for text in texts]
    start, before, after, entry = start_from(RUNS / "speech", tmp_path, (clips, texts))
    old, labels = source_weights(RUNS / "speech"), start.task.tokenizer.vocabulary
    old_labels = start.source.task.tokenizer.vocabulary
    assert labels[0] == old_labels[0] == "<blank>"
    for path in ("logits/kernel", "logits/bias"):
        for index, label in enumerate(labels):
            expected = before[path][..., index]
            if label in old_labels:
                expected = old[path][..., old_labels.index(label)]
            np.testing.assert_array_equal(after[path][..., index], expected)
    assert {path.split("/")[0] for path in entry["taken"]} >= {"gru_1"}
    assert start.settings["sample_rate"] == 8_000


def test_features_of_speech_must_fit(tmp_path):
    for settings, name in (
        ({"sample_rate": 16_000}, "sample_rate=8000"),
        ({"hop": 12}, "hop=10.0"),
    ):
        with pytest.raises(CallError, match=f"need inputs with {name}. Received: .*. Set {name} "):
            start_from(RUNS / "speech", tmp_path, spoken_data(), **settings)


def test_pieces_of_both_languages_are_matched(tmp_path):
    pairs = phrases.generate(2_000, 5, "en", "fr")
    start, before, after, entry = start_from(RUNS / "translation", tmp_path, pairs)
    assert start.settings["target"] == "fr"
    old = source_weights(RUNS / "translation")
    for path, side in (
        ("source_embedding/embeddings", "source"),
        ("decoder/embedding/embeddings", "target"),
        ("decoder/bias", "target"),
    ):
        pieces, old_pieces = (
            getattr(task.tokenizer, side).vocabulary for task in (start.task, start.source.task)
        )
        assert 0 < len({*pieces} & {*old_pieces}) < len(pieces)
        for index, piece in enumerate(pieces):
            expected = before[path][index]
            if piece in old_pieces:
                expected = old[path][old_pieces.index(piece)]
            np.testing.assert_array_equal(after[path][index], expected, piece)
        assert entry["partly"][path].endswith(f" of {len(pieces)} {side} pieces")
    assert "decoder/readout/kernel" in entry["taken"]


def test_the_tokenizers_of_both_languages_are_kept(tmp_path):
    pairs = phrases.generate(60, 5, "en", "fr")  # too few for SentencePiece
    start, _, _, entry = start_from(RUNS / "translation", tmp_path, pairs, keep=True)
    assert (entry["partly"], entry["fresh"], entry["unused"]) == ({}, {}, [])
    assert start.task.tokenizer == start.source.task.tokenizer


@pytest.mark.parametrize("family", families.FAMILIES)
def test_the_named_axes_have_a_name_for_each_entry(family):
    task = families.task(family).load(RUNS / family, read_config(RUNS / family))
    shapes = {weight.path: weight.shape for weight in lstm_zoo.load(RUNS / family).model.weights}
    named = 0
    for path, axes in task.named_axes.items():
        for axis, names in axes.items():
            if path in shapes and axis is not None:
                assert len(names.names) == shapes[path][axis]
                named += 1
    assert named >= 2


def test_a_translator_with_another_layer_and_an_output_matrix_takes_the_rest(tmp_path):
    pairs = phrases.generate(60, 5, "en", "fr")
    _, _, after, entry = start_from(
        RUNS / "translation", tmp_path, pairs, keep=True, encoder_units=(16, 16), tied=False
    )
    old = source_weights(RUNS / "translation")
    for path in entry["taken"]:
        np.testing.assert_array_equal(after[path], old[path])
    assert {path.split("/")[0] for path in entry["taken"]} == {
        "source_embedding", "lstm_1", "decoder",
    }  # fmt: skip
    missing = {path for path in after if path.startswith("lstm_2/") or "/logits/" in path}
    assert missing and {*entry["fresh"]} >= missing
    assert {entry["fresh"][path] for path in missing} == {"the run has no such weight"}


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 3])
def test_a_fine_tuned_run_resumes_bit_for_bit_and_is_as_any_other(tmp_path, at):
    source = shutil.copytree(PLAIN, tmp_path / "source")
    options = {"freeze": 1, "layer_decay": 0.4, "batch_size": 8}
    whole = lstm_zoo.train(
        "sentiment", (TEXTS, LABELS), run=tmp_path / "whole", init_from=source, epochs=3, **options
    )
    interrupt = {"callbacks": [Interrupt(at)]}
    try:
        lstm_zoo.train(
            "sentiment", (TEXTS, LABELS), run=tmp_path / "parts", init_from=source, epochs=3,
            **options, **interrupt,
        )  # fmt: skip
    except KeyboardInterrupt:
        assert at == 1
    shutil.rmtree(source)  # it is no longer needed
    parts = lstm_zoo.train("sentiment", (TEXTS, LABELS), run=tmp_path / "parts", resume=True)
    ours, others = files_of(whole.run), files_of(parts.run)
    for name in ("model.weights.h5", "history.csv", "config.json", "vocabulary.txt"):
        assert ours[name] == others[name], name
    entry = read_config(whole.run)["init_from"]
    assert entry["run"] == str(source)
    card = describe(str(whole.run))
    assert card["checksums"] == "verified" and card["init_from"] == entry
    exported = describe(str(whole.export(tmp_path / "export")))
    assert exported["init_from"] == entry


@pytest.mark.slow
def test_a_fine_tuned_run_without_its_state_is_not_resumed(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        lstm_zoo.train(
            "sentiment", (TEXTS, LABELS), run=tmp_path / "run", init_from=PLAIN, batch_size=8,
            callbacks=[Interrupt(1)],
        )  # fmt: skip
    shutil.rmtree(tmp_path / "run/checkpoint")
    with pytest.raises(DataError, match="has no state: this training can't be resumed, since"):
        lstm_zoo.train("sentiment", (TEXTS, LABELS), run=tmp_path / "run", resume=True)
