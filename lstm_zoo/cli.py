"""The command line, `lstm-zoo FAMILY VERB`: thin, over `train`, `load` and the pipelines.

Nothing here imports TensorFlow before a command runs, so that --help answers at once.
"""

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.errors import CallError, DataError, ExportError, TrainingError
from lstm_zoo.settings import Setting, format_value

STREAMED = 1_024  # inputs answered at once when they come from standard input


class Reporting(click.Command):
    """A command that turns the library's errors into messages and statuses."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except CallError as error:
            failure = click.ClickException(str(error))
            failure.exit_code = 2
            raise failure from error
        except (DataError, ExportError, TrainingError) as error:
            raise click.ClickException(str(error)) from error
        except BrokenPipeError:
            raise  # the reader of our output has seen enough; click ends quietly
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{place}{error.strerror or error}") from error


class _Root(Reporting, click.Group):
    """The group of all commands: those below, and one for each registered family."""

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
    lstm-zoo sentiment train --run runs/demo          on a demo corpus
    lstm-zoo sentiment predict runs/demo "not bad"
    lstm-zoo sentiment export runs/demo exports/demo  for TF Serving
    lstm-zoo speech train --data digits/train --run runs/digits
    lstm-zoo speech predict runs/digits call.wav
    """


def main() -> None:
    """Run the command line."""
    # TensorFlow's own log, not errors: those reach Python. A user's setting stands.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    cli(prog_name="lstm-zoo")


def _settings_help(table: dict[str, Setting]) -> str:
    """List settings, a line each."""
    width = max(map(len, table))
    lines = []
    for name, setting in table.items():
        default = "" if setting.default is None else f" [{format_value(setting.default)}]"
        lines.append(f"  {name:{width}}  {setting.help}{default}")
    return "\n".join(lines)


def _decoding_options(*names: str, when: bool) -> Callable[[Callable], Callable]:
    """Add options of decoding to a command, of a family that decodes."""
    options = {
        "beam_width": click.option(
            "--beam-width",
            type=click.IntRange(1),
            metavar="N",
            help="Answers kept while decoding; 1 decodes greedily.  [the run's setting]",
        ),
        "n_best": click.option(
            "--n-best",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            metavar="N",
            help="Answers given for each input, with --json.",
        ),
    }

    def decorate(command: Callable) -> Callable:
        for name in reversed(names if when else ()):
            command = options[name](command)
        return command

    return decorate


def _setting_options(table: dict[str, Setting]) -> Callable[[Callable], Callable]:
    """Add the options of the settings that have one of their own."""

    def decorate(command: Callable) -> Callable:
        for name, setting in reversed(table.items()):
            if setting.metavar is not None:
                option = f"--{name.replace('_', '-')}"
                text = f"{setting.help[0].upper()}{setting.help[1:]}."
                command = click.option(option, metavar=setting.metavar, help=text)(command)
        return command

    return decorate


def _family_group(family: str) -> click.Group:
    """Make `lstm-zoo FAMILY` and its verbs."""
    package, table = families.module(family), families.settings(family)
    title = families.FAMILIES[family].title
    group = click.Group(family, help=f"{title[0].upper()}{title[1:]}.")

    paragraphs = [  # \b: click leaves the lines of the paragraph as they are
        "Train a network and leave a run directory.",
        f"\b\nDATA is recognised by what it is:\n{package.DATA_HELP}",
        "Without --data, the network learns a synthetic demo corpus that the package makes.",
        "Ctrl-C ends a training after whole epochs; --resume goes on.",
        "Settings for --set, with their defaults in brackets (without one, the variant's):",
        f"\b\n{_settings_help({**package.SETTINGS, **table})}",
    ]

    @group.command(help="\n\n".join(paragraphs))
    @click.option("--data", help="What to train on.")
    @click.option("--validation", help="What chooses the best epoch. [cut off DATA]")
    @click.option("--validation-split", type=float, metavar="F",
                  help="The share of DATA cut off for it, by seed. [0.1]")  # fmt: skip
    @click.option("--run", help=f"The directory to leave. [runs/{family}-<time>]")
    @click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE",
                  help="Any setting below; may be given several times.")  # fmt: skip
    @_setting_options(table)
    @click.option("--resume", is_flag=True, help="Go on with RUN after its last whole epoch.")
    @click.option("--strict", is_flag=True, help="Rows that can't be used are errors.")
    @click.option("--threads", type=click.IntRange(1), help="Processor threads.  [all]")
    @click.option(
        "--export", "export_to", metavar="DIR", help="Write a SavedModel there at the end."
    )
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
        if export_to:  # said now rather than after the training
            from lstm_zoo.export.staging import check_writable

            check_writable(export_to)
        pipeline = lstm_zoo.train(family, **options, **settings)
        click.echo(pipeline.run)
        if export_to:
            click.echo(pipeline.export(export_to))

    decodes = package.DECODES

    @group.command(help="Evaluate RUN on data that has references.")
    @click.argument("run")
    @click.option("--data", required=True, help="As train takes it.")
    @_decoding_options("beam_width", when=decodes)
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
    @click.option("--predictions", metavar="FILE", help="Write every prediction there, as TSV.")
    def evaluate(
        run: str, data: str, as_json: bool, predictions: str | None, **decoding: int | None
    ) -> None:

        from lstm_zoo.files import write_table

        if predictions and not Path(predictions).resolve().parent.is_dir():
            raise CallError(f"{predictions}: no such folder to write predictions to.")
        pipeline = lstm_zoo.load(run)
        scores = pipeline.evaluate(data, **decoding)
        rows = scores.pop("predictions")
        if predictions:
            write_table(Path(predictions), pipeline.prediction_columns, rows)
        click.echo(json.dumps(scores) if as_json else pipeline.report(scores))

    @group.command(
        help=f"Answer each INPUT, {package.INPUT_HELP}, a line each.\n\n"
        "'-' reads them from standard input. Status 1: one of them could not be used."
    )
    @click.argument("run")
    @click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=os.fsencode)
    @_decoding_options("beam_width", "n_best", when=decodes)
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
    def predict(run: str, inputs: tuple[bytes, ...], as_json: bool, **decoding: Any) -> None:
        if decoding.get("n_best", 1) > 1 and not as_json:
            raise CallError("--n-best has no effect without --json.")
        pipeline = lstm_zoo.load(run)
        answers, failed = [], False
        for chunk in _inputs(inputs):
            for answer in pipeline.predict(chunk, **decoding):
                if error := pipeline.error_of(answer):
                    failed = True
                    click.echo(error, err=True)
                if as_json:
                    answers.append(answer._asdict())
                else:
                    _echo(str(answer))
        if as_json:
            _echo(json.dumps({"predictions": answers}, ensure_ascii=False))
        if failed:
            sys.exit(1)

    @group.command(
        help="Write RUN for other programs, checked.\n\n"
        "\b\n"
        "tf_saved_model  DIR/<version>, raw inputs to answers, for TF Serving\n"
        "onnx            DIR/model.onnx, the network alone, for ONNX Runtime\n"
        "litert          DIR/model.tflite, the network alone, for phones and small boards"
    )
    @click.argument("run")
    @click.argument("directory", metavar="DIR")
    @click.option("--format", default="tf_saved_model", show_default=True, help="One of these.")
    @click.option("--version", type=int, help="Of a SavedModel.  [the next free one]")
    @click.option("--int8", is_flag=True, help="Of ONNX: keep weights in 8 bits.")
    @click.option("--batch-size", type=int, help="Of LiteRT: the rows of a batch.  [1]")
    @_decoding_options("beam_width", when=decodes)
    def export(run: str, directory: str, **options: Any) -> None:
        click.echo(lstm_zoo.load(run).export(directory, **options))

    return group


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise CallError(f"--set takes NAME=VALUE. Received: {text!r}")
    return name, value


def _echo(text: str) -> None:
    """Print a line in UTF-8, as inputs are read; what it can't hold stands as JSON's own escape.

    Such is a file's name that is not UTF-8, of which Python makes halves of surrogate pairs.
    """
    click.echo(text.encode("utf-8", "backslashreplace"))


def _inputs(arguments: tuple[bytes, ...]) -> Iterator[list[bytes]]:
    """Give the inputs in order, so many at once; of standard input what is there to be read."""
    for is_stream, group in itertools.groupby(arguments, lambda argument: argument == b"-"):
        for inputs in _lines() if is_stream else [[*group]]:
            for start in range(0, len(inputs), STREAMED):
                yield inputs[start : start + STREAMED]


def _lines() -> Iterator[list[bytes]]:
    """Read whole lines from standard input as they come: another program may wait for answers."""
    rest = b""
    while read := sys.stdin.buffer.read1(2**20):
        *lines, rest = (rest + read).split(b"\n")
        yield [line.removesuffix(b"\r") for line in lines]
    yield [rest] if rest else []


@cli.command()
@click.argument("path", metavar="RUN|EXPORT")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def inspect(path: str, as_json: bool) -> None:
    """Describe a run or an export: its card, parameters, signatures, ops, and recurrent layers.

    For every recurrent layer, the path it takes on this machine and the condition that decided.
    """
    from lstm_zoo.export.inspection import describe, to_text

    card = describe(path)
    click.echo(json.dumps(card, default=list) if as_json else to_text(card))
