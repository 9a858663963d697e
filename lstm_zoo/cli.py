"""The command line, `lstm-zoo FAMILY VERB`: a thin layer over `train`, `load` and the pipelines.

Nothing here imports TensorFlow before a command runs, to keep --help fast.
"""

import functools
import itertools
import json
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.data import answers
from lstm_zoo.errors import BackendError, CallError, DataError, ExportError, TrainingError
from lstm_zoo.export import formats
from lstm_zoo.files import user_path, write_table
from lstm_zoo.printing import escape, logger, use_utf8, write_line
from lstm_zoo.runs import presets
from lstm_zoo.runs.completion import (
    complete_assignment,
    complete_file,
    complete_run,
    complete_value,
)
from lstm_zoo.runs.loading import find as find_run
from lstm_zoo.settings import MAX_BEAM_WIDTH, STRATEGIES, Setting, format_value

_INSTALL = "{0} is not installed, which evaluate needs: pip install {0}"
_NEEDED = "{0} is not installed, which this input needs: pip install {0}"
_RUN = (
    "{} is not installed; without it, only predict and evaluate of an ONNX export or a preset "
    "work, with onnxruntime."
)
# What an installation without TensorFlow may lack, by the module.
MISSING = {
    **{name: _RUN.format(name) for name in ("keras", "tensorflow", "tensorflow_text")},
    "sklearn": _INSTALL.format("scikit-learn"),
    **{name: _INSTALL.format(name) for name in ("jiwer", "matplotlib", "sacrebleu", "scipy")},
    **{name: _NEEDED.format(name) for name in ("sentencepiece", "soundfile", "soxr")},
}
STREAM_BATCH = 1_024  # the maximum number of inputs of one call of `predict`


class _Command(click.Command):
    """A command with --quiet and --verbose, which refuses an empty argument.

    The inputs of `predict` may be empty.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        for short, name, level, text in (
            ("-q", "--quiet", logging.WARNING, "Log nothing but warnings and errors."),
            ("-v", "--verbose", logging.DEBUG, "Log each training step, and TensorFlow's log."),
        ):
            set_level = functools.partial(_set_level, level)
            self.params.append(
                click.Option(
                    [short, name], is_flag=True, expose_value=False, callback=set_level, help=text
                )
            )

    def invoke(self, context: click.Context) -> Any:
        for parameter in self.params:
            # An empty path would be the current directory; it is a script's unset variable.
            if context.params.get(parameter.name) == "":
                raise CallError(f"{parameter.get_error_hint(context)} is empty.")
        return super().invoke(context)


def _set_level(level: int, context: click.Context, parameter: click.Parameter, on: bool) -> None:
    """Set the level of the log, for the time of the command."""
    if not on:
        return
    if context.meta.setdefault(_set_level, parameter.name) != parameter.name:
        raise CallError("--quiet and --verbose exclude each other.")
    context.call_on_close(functools.partial(logger.setLevel, logger.level))
    logger.setLevel(level)


class _Group(click.Group):
    command_class = _Command


class ErrorHandlingCommand(click.Command):
    """A command that turns the library's errors into messages and exit statuses."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        use_utf8()
        return super().main(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except click.ClickException as error:
            error.message = escape(error.message)
            raise
        except (BackendError, CallError) as error:
            raise _failure(str(error), status=2) from error
        except (DataError, ExportError, TrainingError) as error:
            raise _failure(str(error)) from error
        except ModuleNotFoundError as error:
            if not (package := MISSING.get(error.name)):
                raise
            raise _failure(package, status=2) from error
        except MemoryError as error:
            raise _failure(f"not enough memory: {error}") from error
        except EOFError as error:  # which click would take for Ctrl-D at a prompt
            raise _failure(f"A file that is read ends too early ({error!r}).") from error
        except BrokenPipeError:
            raise  # the reader of the output, such as `head`, has closed it; click exits silently
        except OSError as error:
            prefix = f"{error.filename}: " if error.filename else ""
            raise _failure(f"{prefix}{error.strerror or error}") from error


def _failure(message: str, status: int = 1) -> click.ClickException:
    failure = click.ClickException(escape(message))
    failure.exit_code = status
    return failure


class _Root(ErrorHandlingCommand, _Group):
    """The top-level group: the commands of this module, and a group for each registered family."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted([*self.commands, *families.FAMILIES])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in families.FAMILIES:
            return _family_group(name)
        return super().get_command(context, name)


@click.group(cls=_Root)
@click.version_option(lstm_zoo.__version__, prog_name="lstm-zoo")
def cli() -> None:
    """Train, evaluate, use and export recurrent networks.

    \b
    lstm-zoo presets                                  list the pretrained models
    lstm-zoo sentiment train --run runs/demo          train on the demo corpus
    lstm-zoo sentiment predict runs/demo "not bad"    classify a text
    lstm-zoo sentiment export runs/demo exports/demo  write a SavedModel for TF Serving
    lstm-zoo speech train --data digits/train --run runs/digits
    lstm-zoo speech predict runs/digits call.wav
    """


def main() -> None:
    """Run the command line."""
    # Hides that matplotlib keeps its cache in a temporary folder where the home can't be written.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    cli(prog_name="lstm-zoo")


def _settings_help(table: dict[str, Setting]) -> str:
    """Format settings, one per line."""
    width = max(map(len, table))
    lines = []
    for name, setting in table.items():
        default = "" if setting.default is None else f" [{format_value(setting.default)}]"
        lines.append(f"  {name:{width}}  {setting.help}{default}")
    return "\n".join(lines)


def _variants_help(variants: Mapping[str, Mapping[str, Any]], table: Mapping[str, Setting]) -> str:
    """Format the sizes that a variant decides as a table, and what all have in common below it."""
    first, *others = variants.values()
    decided = [name for name in first if table[name].default is None]
    names = [name for name in decided if any(row[name] != first[name] for row in others)]
    cells = [["", *names]]
    cells += [[key, *(format_value(row[name]) for name in names)] for key, row in variants.items()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  "
        + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    common = [f"{name}={format_value(first[name])}" for name in decided if name not in names]
    if common:
        lines.append("  all:")
        lines += textwrap.wrap(
            ", ".join(common), 78, initial_indent="    ", subsequent_indent="    "
        )
    return "\n".join(lines)


def _decoding_options(*names: str, when: bool) -> Callable[[Callable], Callable]:
    """Return a decorator that adds options of predictions to a command, if `when` is true."""
    options = {
        "beam_width": click.option(
            "--beam-width",
            type=click.IntRange(1, MAX_BEAM_WIDTH),
            metavar="N",
            help="Hypotheses kept by beam search; 1: greedy decoding. [the run's setting]",
        ),
        "n_best": click.option(
            "--n-best",
            type=click.IntRange(1, MAX_BEAM_WIDTH),
            default=1,
            show_default=True,
            metavar="N",
            help="Predictions printed for each input, the best first. Needs --json.",
        ),
        "min_probability": click.option(
            "--min-probability",
            type=click.FloatRange(0, 1),
            metavar="P",
            help="Leave an input whose best label has a lower probability unanswered: its label "
            "is empty. [none]",
        ),
    }

    def decorate(command: Callable) -> Callable:
        for name in reversed(names if when else ()):
            command = options[name](command)
        return command

    return decorate


def _format_option(known: Mapping[str, families.AnswerFormat]) -> Callable[[Callable], Callable]:
    """Return a decorator that adds an option for a family's formats of answers, if it has some."""
    if not known:
        return lambda command: command
    names = "; ".join(f"{name}: {row.help}" for name, row in known.items())
    return click.option("--format", type=click.Choice([*known]), help=f"Format to print. {names}.")


def _setting_options(table: dict[str, Setting]) -> Callable[[Callable], Callable]:
    """Return a decorator that adds an option for each setting that has its own."""

    def decorate(command: Callable) -> Callable:
        for name, setting in reversed(table.items()):
            if setting.metavar is not None:
                command = click.option(
                    f"--{name.replace('_', '-')}",
                    metavar=setting.metavar,
                    help=f"{setting.help[0].upper()}{setting.help[1:]}.",
                    shell_complete=complete_value(setting),
                )(command)
        return command

    return decorate


def _family_group(family: str) -> click.Group:
    """Create the group `lstm-zoo FAMILY` with its commands."""
    package, table = families.module(family), families.settings(family)
    title = families.FAMILIES[family].title
    group = _Group(family, help=f"{title[0].upper()}{title[1:]}.")

    paragraphs = [  # \b: click does not rewrap the paragraph
        "Train a network and write a run directory.",
        f"\b\nDATA is one of these, detected automatically:\n{package.DATA_HELP}",
        "Without --data, the training data is a synthetic demo corpus.",
        "Ctrl-C stops after the last completed epoch; --resume continues from there.",
        "Sizes of the variants:",
        f"\b\n{_variants_help(package.VARIANTS, families.settings(family))}",
        "Settings for --set, with defaults in brackets; without brackets, the variant decides:",
        f"\b\n{_settings_help({**package.SETTINGS, **table})}",
    ]

    @group.command(help="\n\n".join(paragraphs))
    @click.option(
        "--data",
        metavar="DATA",
        shell_complete=complete_file,
        help="Training data. [a demo corpus]",
    )
    @click.option("--validation", metavar="DATA", shell_complete=complete_file,
                  help="Validation data, to choose the best epoch. [split off DATA]")  # fmt: skip
    @click.option("--validation-split", type=float, metavar="F",
                  help="Fraction of DATA to split off as validation data. [0.1]")  # fmt: skip
    @click.option(
        "--run",
        metavar="RUN",
        shell_complete=complete_run,
        help=f"Run directory to create. [runs/{family}-<time>]",
    )
    @click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE",
                  shell_complete=complete_assignment(table),
                  help="Change a setting listed above. Can be repeated.")  # fmt: skip
    @_setting_options(table)
    @click.option("--init-from", metavar="RUN", shell_complete=complete_run,
                  help="Fine-tune: start from the weights of another run, as far as they fit. "
                  "Settings not given here are its own, without columns and paths.")  # fmt: skip
    @click.option("--keep-vocabulary", is_flag=True,
                  help="Keep the tokenizer of --init-from. [learn one; rows of equal tokens, and "
                  "of equal classes in any case, are taken over]")  # fmt: skip
    @click.option("--resume", is_flag=True,
                  help="Continue the training of RUN from its last checkpoint.")  # fmt: skip
    @click.option("--overwrite", is_flag=True,
                  help="Replace the run at RUN, which is kept as RUN.old.")  # fmt: skip
    @click.option("--config", metavar="FILE", shell_complete=complete_file,
                  help="A run's config.json, to take settings from; given ones win.")  # fmt: skip
    @click.option("--strict", is_flag=True, help="Stop at rows that can't be used. [skip them]")
    @click.option("--threads", type=click.IntRange(1), help="CPU threads to use. [all]")
    @click.option("--strategy", type=click.Choice(STRATEGIES), default="auto",
                  help="Devices to train on: none (one), mirrored (all GPUs), multi-worker (as "
                       "TF_CONFIG or SLURM says), auto (what there is). [auto]")  # fmt: skip
    @click.option("--export", "export_to", metavar="DIR",
                  help="After the training, write a SavedModel for TF Serving to DIR.")  # fmt: skip
    def train(assignments: tuple[str, ...], export_to: str | None, **options: Any) -> None:
        settings = {}
        for name, value in map(_assignment, assignments):
            if name in settings:
                raise CallError(f"{name} is given twice.")
            settings[name] = value
        for name in [name for name in options if name in table]:
            value = options.pop(name)
            if value is not None and name in settings:
                raise CallError(f"{name} is given twice, by --set and by its own option.")
            if value is not None:
                settings[name] = value
        if export_to:  # checked before the training, which may take hours
            formats.check(export_to)
        pipeline = lstm_zoo.train(family, **options, **settings)
        write_line(pipeline.run)
        if export_to:
            from lstm_zoo.training.workers import is_first

            if options["strategy"] in ("none", "mirrored") or is_first():
                write_line(pipeline.export(export_to))

    decodes, classifies = package.DECODES, package.CLASSIFIES

    @group.command(help="Evaluate RUN on a test set.")
    @click.argument("run", shell_complete=complete_run)
    @click.option("--data", metavar="DATA", required=True, shell_complete=complete_file,
                  help="Test set, in a format of train's --data.")  # fmt: skip
    @_setting_options({name: table[name] for name in package.COLUMNS})
    @_decoding_options("beam_width", when=decodes)
    @_decoding_options("min_probability", when=classifies)
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    @click.option("--predictions", metavar="FILE", type=user_path, shell_complete=complete_file,
                  help="Write the prediction of every row to FILE, as TSV.")  # fmt: skip
    @click.option("--report", metavar="FILE", type=user_path,
                  help="Write scores, plots, the worst predictions to FILE, as HTML.")  # fmt: skip
    def evaluate(
        run: str,
        data: str,
        as_json: bool,
        predictions: Path | None,
        report: Path | None,
        **options: Any,
    ) -> None:
        for name, path in (("predictions", predictions), ("report", report)):
            if path and not path.resolve().parent.is_dir():
                raise CallError(f"{path}: the folder does not exist; can't write --{name} there.")
            if path and path.is_dir():
                raise CallError(f"{path}: a folder; --{name} takes the path of a file.")
            if path and _is_data(path, user_path(data)):
                raise CallError(f"{path}: a file of the test set; name another one for --{name}.")
        if predictions and report and predictions.resolve() == report.resolve():
            raise CallError(f"{report}: --predictions and --report need a file each.")
        _, config = find_run(run, family, allow_exports=True)
        package.check_data(data, config["settings"], options)
        pipeline = lstm_zoo.load(run, family=family, prefer_onnx=True)
        scores = pipeline.evaluate(data, **options)
        if report:
            columns = {name: options[name] for name in package.COLUMNS}
            pipeline.write_report(report, data, scores, **columns)
        rows = scores.pop("predictions")
        if predictions:
            write_table(predictions, rows[0], (row.values() for row in rows))
        write_line(json.dumps(scores) if as_json else pipeline.report(scores))

    @group.command(
        help=f"Print a prediction for each INPUT, {package.INPUT_HELP}, one per line.\n\n"
        "The INPUT '-' reads inputs from standard input, one per line. The exit status is 1 if an "
        "input can't be used.\n\n"
        "With --input and --output, a table is copied, and the predictions are added as columns; "
        "a row without one has its reason in the column error."
    )
    @click.argument("run", shell_complete=complete_run)
    @click.argument("inputs", nargs=-1, metavar="INPUT...", type=os.fsencode)
    @click.option("--input", "source", metavar="FILE", type=user_path,
                  shell_complete=complete_file,
                  help="Table of inputs: .csv, .tsv, .jsonl, or .txt with one a line.")  # fmt: skip
    @click.option("--output", "target", metavar="FILE", type=user_path,
                  shell_complete=complete_file,
                  help="Table to write: .csv, .tsv or .jsonl.")  # fmt: skip
    @_setting_options({name: table[name] for name in package.COLUMNS[:1]})
    @_decoding_options("beam_width", "n_best", when=decodes)
    @_decoding_options("min_probability", when=classifies)
    @_format_option(package.ANSWER_FORMATS)
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    def predict(
        run: str,
        inputs: tuple[bytes, ...],
        source: Path | None,
        target: Path | None,
        as_json: bool,
        **decoding: Any,
    ) -> None:
        columns = [decoding.pop(name) for name in package.COLUMNS[:1]]
        format = decoding.pop("format", None)
        if format and (as_json or source or target):
            raise CallError("--format has no effect with --json or --output.")
        if format and package.ANSWER_FORMATS[format].is_of_one and len(inputs) > 1:
            raise CallError(f"--format {format} takes one INPUT. Received: {len(inputs)}")
        if source or target:
            if inputs or as_json or not (source and target):
                raise CallError("--input needs --output, and neither INPUT... nor --json.")
            if decoding.pop("n_best", 1) > 1:
                raise CallError("--n-best has no effect on --output, which has the best answer.")
            _predict_file(family, run, source, target, *columns, **decoding)
            return
        if not inputs:
            raise CallError("Missing argument 'INPUT...'; or give --input and --output.")
        if any(columns):
            raise CallError(
                f"--{package.COLUMNS[0].replace('_', '-')} has no effect without --input."
            )
        if decoding.get("n_best", 1) > 1 and not as_json:
            raise CallError("--n-best has no effect without --json.")
        _predict(
            lstm_zoo.load(run, family=family, prefer_onnx=True), inputs, as_json, format, decoding
        )

    @group.command(
        help="Write RUN in a format for other programs, and check it.\n\n"
        "\b\n" + "\n".join(f"{name:14}  {row.help}" for name, row in formats.EXPORTERS.items())
    )
    @click.argument("run", shell_complete=complete_run)
    @click.argument("directory", metavar="DIR")
    @click.option(
        "--format",
        default="tf_saved_model",
        show_default=True,
        help="One of the formats above.",
        shell_complete=_complete_format,
    )
    @click.option("--version", type=int, help="tf_saved_model: version number. [the next free one]")
    @click.option("--int8", is_flag=True, help="onnx: store weights as 8-bit integers.")
    @click.option("--batch-size", type=int, help="litert: batch size, fixed in the file. [1]")
    @_decoding_options("beam_width", when=decodes)
    def export(run: str, directory: str, **options: Any) -> None:
        find_run(run, family)
        formats.check(directory, **options)
        write_line(lstm_zoo.load(run, family=family).export(directory, **options))

    return group


def _predict(
    pipeline: families.Pipeline,
    inputs: tuple[bytes, ...],
    as_json: bool,
    format: str | None,
    options: dict[str, Any],
) -> None:
    """Print the predictions for some inputs."""
    predictions, failed = [], False
    for chunk in _inputs(inputs):
        for answer in pipeline.predict(chunk, **options):
            if error := pipeline.error_of(answer):
                failed = True
                write_line(error, err=True)
            if as_json or format:
                predictions.append(answer)
            else:
                write_line(str(answer))
    if format:
        write_line(pipeline.format_answers(predictions, format).removesuffix("\n"))
    if as_json:
        answered = [answer._asdict() for answer in predictions]
        write_line(json.dumps({"predictions": answered}, ensure_ascii=False))
    if failed:
        sys.exit(1)


def _predict_file(
    family: str, run: str, source: Path, target: Path, column: str | None = None, **options: Any
) -> None:
    """Copy a table, with the predictions for its rows."""
    answers.check_paths(source, target)
    _, config = find_run(run, family, allow_exports=True)
    # Its header, before what is slow; the names of classes are known later.
    table = answers.read(source, answers.input_column(config, column))
    answers.check_names(source, table.names, [answers.ERROR])
    pipeline = lstm_zoo.load(run, family=family, prefer_onnx=True)
    rows, failed = pipeline.predict_file(source, target, column=column, **options)
    write_line(target)
    if failed:
        write_line(
            f"{failed:,} of {rows:,} rows have no answer; the column {answers.ERROR} says why.",
            err=True,
        )
        sys.exit(1)


def _complete_format(context: click.Context, parameter: click.Parameter, start: str) -> list[str]:
    """Complete the name of an export's format."""
    return [name for name in formats.EXPORTERS if name.startswith(start)]


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise CallError(f"--set takes NAME=VALUE. Received: {text!r}")
    return name, value


def _is_data(path: Path, data: Path) -> bool:
    """Return whether a file that is there is DATA, or one of the files that DATA is a prefix of."""
    is_of_prefix = not data.exists() and path.name.startswith(f"{data.name}.")
    place = data.parent / path.name if is_of_prefix else data
    return path.exists() and place.exists() and path.samefile(place)


def _inputs(arguments: tuple[bytes, ...]) -> Iterator[list[bytes]]:
    """Yield the inputs in order, in batches; of standard input, what has arrived."""
    for is_stream, group in itertools.groupby(arguments, lambda argument: argument == b"-"):
        for inputs in _lines() if is_stream else [[*group]]:
            for start in range(0, len(inputs), STREAM_BATCH):
                yield inputs[start : start + STREAM_BATCH]


def _lines() -> Iterator[list[bytes]]:
    """Yield lines from standard input as they arrive: the sender may wait for the predictions."""
    if sys.stdin is None:
        raise CallError("The input - needs standard input, which is closed.")
    rest = b""
    while read := sys.stdin.buffer.read1(2**20):
        *lines, rest = (rest + read).split(b"\n")
        yield [line.removesuffix(b"\r") for line in lines]
    yield [rest] if rest else []


@cli.command()
@click.argument("path", metavar="RUN|EXPORT", shell_complete=complete_run)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect(path: str, as_json: bool) -> None:
    """Describe a run or an export.

    Prints the model card, the number of parameters, signatures, ops and recurrent layers. For each
    recurrent layer: which implementation runs on this machine, and why.
    """
    lstm_zoo.prepare_tensorflow()
    place = presets.locate(path)
    if not place.exists():
        raise CallError(f"{path}: no such run or export, nor a preset.")
    lstm_zoo.import_tensorflow()
    from lstm_zoo.export.inspection import describe, to_text

    card = describe(place)
    write_line(json.dumps(card, default=list) if as_json else to_text(card))


@cli.command("presets")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_presets(as_json: bool) -> None:
    """List the pretrained models, which ship with this package.

    \b
    A name stands for a run in every command:
      echo "a wonderful film" | lstm-zoo sentiment predict imdb-sentiment -
      lstm-zoo sentiment train --data reviews.csv --init-from imdb-sentiment
    A directory of that name comes first; preset:NAME is always the preset. Latency is of one input
    on two cores, raw input to answer. Not every licence allows every use: inspect NAME, or the
    preset's card.md, says more.
    """
    cards = presets.presets()
    if as_json:
        write_line(json.dumps(cards, ensure_ascii=False))
        return
    for name, card in cards.items():
        write_line(f"{name}: {card['preset']['title']}")
        for key, value in presets.summary(card).items():
            write_line(f"  {key}: {value}")
