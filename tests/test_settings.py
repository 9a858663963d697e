"""Settings: names, values and defaults, and values that have no effect."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from lstm_zoo import families, sentiment
from lstm_zoo.errors import CallError
from lstm_zoo.runs.directory import read_config
from lstm_zoo.settings import (
    TRAINING,
    Needs,
    Setting,
    format_value,
    integer,
    integers,
    network_sizes,
    neutral_values,
    number,
    optional,
    refuse_ineffective,
    resolve,
    sized,
    with_sizes,
)

TABLE = {**TRAINING, **sentiment.SETTINGS}
RECIPES = Path(__file__).resolve().parents[1] / "recipes"
RUNS = Path(__file__).parent / "data/version_0_1"


@pytest.mark.parametrize(
    "family, names",
    [
        ("sentiment", set()),
        ("speech", {"epochs", "patience"}),
        ("translation", {"epochs", "batch_tokens"}),
    ],
)
def test_a_family_may_replace_the_default_and_the_help_of_a_training_setting(family, names):
    own = families.module(family).SETTINGS
    assert TRAINING.keys() & own.keys() == names
    for name in names:
        assert families.settings(family)[name] is own[name]
        assert own[name].default != TRAINING[name].default
        changed = ("default", "help", *(("read", "by_examples") if own[name].by_examples else ()))
        common = {field: getattr(TRAINING[name], field) for field in changed}
        assert own[name]._replace(**common) == TRAINING[name]


def test_settings_follow_the_number_of_examples_where_they_are_auto():
    table = families.settings("translation")
    values = {"batch_tokens": "auto", "group_column": "auto", "epochs": 20}
    for pairs, tokens in ((1, 600), (10_000, 1_000), (29_000, 2_900), (10**7, 3_000)):
        assert sized(table, values, pairs) == {**values, "batch_tokens": tokens}
    for given in (None, 450):
        assert sized(table, {**values, "batch_tokens": given}, 10)["batch_tokens"] == given
    assert table["batch_tokens"].read("auto") == "auto"
    with pytest.raises(ValueError):
        table["batch_tokens"].read("automatic")


def test_text_and_python_values_resolve_to_the_same():
    parsed = resolve(TABLE, {"units": "64,32", "epochs": "3", "bidirectional": "false"})
    given = resolve(TABLE, {"units": (64, 32), "epochs": 3, "bidirectional": False})
    assert parsed == given
    assert parsed["units"] == (64, 32)
    assert parsed["bidirectional"] is False


def test_every_default_can_be_read_back():
    for name, setting in TABLE.items():
        assert setting.read(setting.default) == setting.default, name


def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    with pytest.raises(CallError, match=r"'unit'. Did you mean units\? Known: .*epochs.*cell"):
        resolve(TABLE, {"unit": 3})


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("epochs", "0", "an integer of at least 1"),
        ("epochs", "2.5", "an integer of at least 1"),
        ("epochs", True, "an integer of at least 1"),
        ("epochs", None, "an integer of at least 1"),
        ("seed", 2**32, "an integer of at least 0"),
        ("dropout", "1", "at least 0 and below 1"),
        ("learning_rate", "nan", "a number of at least 0"),
        ("learning_rate", "fast", "a number of at least 0"),
        ("bidirectional", "maybe", "true or false"),
        ("cell", "transformer", "one of lstm, gru, simple_rnn"),
        ("pooling", "sum", "one or more of last, mean, max, each once"),
        ("units", "64,-1", "positive integers"),
        ("units", "1," * 64 + "1", "at most 64 positive integers"),
        ("units", 2**14 + 1, "at most 16384"),
        ("units", (), "at most 64 positive integers"),
        ("batch_size", 10**9, "an integer of at least 1 and at most 1000000"),
        ("vectors", "", "a path, not an empty text"),
        ("variant", "huge", "tiny, small, base, large"),
    ],
)
def test_the_error_of_a_bad_value_names_the_setting_the_value_and_what_is_expected(
    name, value, expected
):
    with pytest.raises(CallError) as error:
        resolve(TABLE, {name: value})
    assert name in str(error.value)
    assert expected in str(error.value)
    assert repr(value) in str(error.value)


def test_the_sizes_of_a_network_are_the_variants_where_none_are_given():
    table, variants = sentiment.SETTINGS, sentiment.VARIANTS
    found = network_sizes(table, variants, "tiny", units="none", cell=None, embedding_size=9)
    assert found == {**variants["tiny"], "embedding_size": 9}
    assert [*found] == [*variants["tiny"]]
    with pytest.raises(CallError, match="embedding_size takes an integer of at least 1"):
        network_sizes(table, variants, embedding_size=np.float32(2.5))


def test_none_is_read_only_where_it_is_optional():
    assert resolve({"a": Setting(1, integers, "")}, {"a": np.int64(8)}) == {"a": (8,)}
    assert resolve({"a": Setting(1, optional(integers), "")}, {"a": "none"}) == {"a": None}
    with pytest.raises(CallError):
        resolve({"a": Setting(1, integers, "")}, {"a": None})


def test_sizes_come_from_the_variant_where_a_setting_is_none():
    variants = {"tiny": {"units": (8,), "dropout": 0.1}, "base": {"units": (64,), "dropout": 0.5}}
    settings = {"dropout": None, "variant": "base", "units": (16,), "vectors": None}
    filled = with_sizes(settings, variants)
    # `vectors` has no value in the variant: None is its own value.
    assert filled == {"dropout": 0.5, "variant": "base", "units": (16,), "vectors": None}
    assert list(filled) == list(settings)
    assert settings["dropout"] is None
    assert with_sizes({**settings, "variant": "tiny"}, variants)["dropout"] == 0.1
    assert with_sizes({**settings, "dropout": 0.0}, variants)["dropout"] == 0.0


def test_a_setting_newer_than_a_run_has_its_neutral_value():
    table = {
        "speed": Setting(0.1, number(0), "", neutral=0.0),
        "tokens": Setting(500, optional(integer(1)), "", neutral=None),
        "seed": Setting(3, integer(0), ""),
    }
    assert neutral_values(table) == {"speed": 0.0, "tokens": None}
    for family in families.FAMILIES:
        values = neutral_values(families.settings(family))
        for name, value in values.items():
            assert families.settings(family)[name].read(value) == value, name
    assert families.settings("translation")["batch_tokens"].default is not None
    assert values["batch_tokens"] is None


@pytest.mark.parametrize(
    "value, text",
    [
        (True, "true"),
        (False, "false"),
        (None, "none"),
        (3, "3"),
        (0.1, "0.1"),
        (1e-7, "1e-07"),
        ((128, 64), "128,64"),
        ([8], "8"),
        ("mean+max", "mean+max"),
    ],
)
def test_a_value_is_formatted_as_set_reads_it(value, text):
    assert format_value(value) == text


@pytest.mark.parametrize("family", families.FAMILIES)
def test_formatted_defaults_and_sizes_are_read_back(family):
    table = families.settings(family)
    defaults = {name: setting.default for name, setting in table.items()}
    for name, variant in families.module(family).VARIANTS.items():
        values = {**defaults, "variant": name, **variant}
        assert resolve(table, {name: format_value(v) for name, v in values.items()}) == values


# family → setting → settings with which it has no effect, then settings with which it has one.
CONDITIONS = {
    "sentiment": {
        "batch_size": ({"batch_size": 64, "batch_tokens": 900}, {"batch_size": 64}),
        "accumulate": (
            {"accumulate": 16, "batch_size": 8},
            {"accumulate": 16, "batch_size": 16},
            {"accumulate": 16, "batch_tokens": 900},
        ),
        "embedding_size": ({"embedding_size": 50, "vectors": "v.txt"}, {"embedding_size": 50}),
        "ngram_buckets": ({"ngram_buckets": 99, "ngrams": 0}, {"ngram_buckets": 99}),
        "vectors": ({"vectors": "v.txt", "tokens": "pieces"}, {"vectors": "v.txt"}),
        "min_count": ({"min_count": 5, "tokens": "pieces"}, {"min_count": 5}),
        "vocabulary_sample": (
            {"vocabulary_sample": 9},
            {"vocabulary_sample": 9, "tokens": "pieces"},
        ),
        "class_weights": (
            {"class_weights": True, "multi_label": True},
            {"class_weights": True},
        ),
    },
    "speech": {
        "batch_size": ({"batch_size": 64, "batch_tokens": 900}, {"batch_size": 64}),
        "accumulate": (
            {"accumulate": 16, "batch_size": 8},
            {"accumulate": 16, "batch_size": 16},
            {"accumulate": 16, "batch_tokens": 900},
        ),
        "subsampling_kind": (
            {"subsampling_kind": "conv", "subsampling": 1},
            {"subsampling_kind": "conv"},
            {"subsampling_kind": "conv", "subsampling": 2},
        ),
        "time_masks": ({"time_masks": 4, "time_mask_width": 0}, {"time_masks": 4}),
        "frequency_masks": (
            {"frequency_masks": 4, "frequency_mask_width": 0},
            {"frequency_masks": 4},
        ),
        "time_mask_width": ({"time_mask_width": 9, "time_masks": 0}, {"time_mask_width": 9}),
        "frequency_mask_width": (
            {"frequency_mask_width": 9, "frequency_masks": 0},
            {"frequency_mask_width": 9},
        ),
        "num_mfcc": ({"num_mfcc": 20}, {"num_mfcc": 20, "features": "mfcc"}),
        "copies": ({"copies": 2}, {"copies": 2, "speed": 0.1}, {"copies": 2, "noise": 0}),
        "vocabulary_size": ({"vocabulary_size": 300}, {"vocabulary_size": 300, "tokens": "pieces"}),
        "vocabulary_sample": (
            {"vocabulary_sample": 9},
            {"vocabulary_sample": 9, "tokens": "pieces"},
        ),
    },
    "translation": {
        "batch_size": ({"batch_size": 64}, {"batch_size": 64, "batch_tokens": None}),
        "accumulate": (
            {"accumulate": 16, "batch_size": 8, "batch_tokens": None},
            {"accumulate": 16},
        ),
        "residual": (
            {"residual": True},
            {"residual": True, "encoder_units": (256, 256)},
            {"residual": True, "decoder_units": (512, 512)},
        ),
    },
}
CASES = [(family, name) for family, names in CONDITIONS.items() for name in names]


def refuse(family, given):
    """Check given settings as `train` does."""
    table = families.settings(family)
    refuse_ineffective(table, resolve(table, given), families.module(family).VARIANTS)


def test_every_setting_that_depends_on_others_is_tested():
    found = {
        family: {name for name, setting in families.settings(family).items() if setting.needs}
        for family in families.FAMILIES
    }
    assert found == {family: set(names) for family, names in CONDITIONS.items()}


@pytest.mark.parametrize("family, name", CASES)
def test_a_setting_is_refused_where_it_has_no_effect_and_accepted_where_it_has(family, name):
    needs = families.settings(family)[name].needs
    ineffective, *effective = CONDITIONS[family][name]
    with pytest.raises(CallError) as error:
        refuse(family, ineffective)
    assert re.match(rf"{name}=\S+ has no effect with ", str(error.value))
    for other in needs.names:
        assert re.search(rf"\b{other}=\S", str(error.value))
    assert needs.text in str(error.value)
    for given in effective:
        assert given[name] == ineffective[name]
        refuse(family, given)


@pytest.mark.parametrize("family, name", CASES)
@pytest.mark.parametrize("variant", ["tiny", "large"])
def test_the_default_or_the_variants_value_is_accepted_where_it_has_no_effect(
    family, name, variant
):
    row = families.module(family).VARIANTS[variant]
    default = row.get(name, families.settings(family)[name].default)
    refuse(family, {**CONDITIONS[family][name][0], "variant": variant, name: default})


def test_a_neutral_value_is_never_refused():
    """A run of a version without the setting has it, whatever its other settings are."""
    refuse("sentiment", {"vocabulary_sample": None})


def test_a_setting_of_the_variant_is_refused_if_it_is_changed_without_effect():
    # The large translator has residual connections, but these layers are all of other widths.
    units = {"encoder_units": (256, 128), "decoder_units": (512,), "variant": "large"}
    refuse("translation", {**units, "residual": True})
    with pytest.raises(CallError, match="residual=false has no effect with encoder_units=256,128"):
        refuse("translation", {**units, "residual": False})


def test_all_refused_settings_are_in_one_error():
    table = {
        "variant": Setting("base", str, ""),
        "a": Setting(1, integer(0), "", needs=Needs(("c",), bool, "set c")),
        "b": Setting(1, integer(0), "", needs=Needs(("c", "d"), lambda c, d: c or d, "set c or d")),
        "c": Setting(0, integer(0), ""),
        "d": Setting(None, optional(integer(0)), ""),
    }
    with pytest.raises(CallError) as error:
        refuse_ineffective(table, resolve(table, {"a": 2, "b": 3}), {"base": {}})
    assert str(error.value) == (
        "a=2 has no effect with c=0: set c. b=3 has no effect with c=0 and d=none: set c or d."
    )
    refuse_ineffective(table, resolve(table, {"b": 3, "d": 1}), {"base": {}})


TRAINED = [path.stem for path in RECIPES.glob("*.py") if "\n    settings=" in path.read_text()]


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_recipes_pass_every_setting_and_are_accepted(name):
    module = importlib.import_module(name)
    recipe = module.RECIPE
    changes = [{}, getattr(module, "PLAIN", {}), *getattr(module, "CHANGES", {}).values()]
    for others in changes:
        given = {**recipe.resolved_settings(), **others}
        assert given.keys() == families.settings(recipe.family).keys()
        refuse(recipe.family, given)


@pytest.mark.parametrize("run", ["sentiment", "speech", "translation", "interrupted"])
def test_the_settings_of_a_runs_configuration_are_accepted(run):
    config = read_config(RUNS / run)
    assert config["settings"].keys() == families.settings(config["family"]).keys()
    refuse(config["family"], config["settings"])


def test_the_cells_of_settings_are_those_of_the_layers():
    from lstm_zoo import recurrent, settings

    assert set(settings.CELLS) == set(recurrent.CELLS)
