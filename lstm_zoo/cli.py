"""The command line, `lstm-zoo FAMILY VERB`: a thin layer over `train`, `load` and the pipelines.

Nothing here imports TensorFlow before a command runs, to keep --help fast.
"""

import itertools
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.errors import BackendError, CallError, DataError, ExportError, TrainingError
from lstm_zoo.export.formats import EXPORTERS
from lstm_zoo.files import user_path, write_table
from lstm_zoo.printing import escape, use_utf8, write_line
from lstm_zoo.settings import MAX_BEAM_WIDTH, STRATEGIES, Setting, format_value

STREAM_BATCH = 1_024  # the maximum number of inputs of one call of `predict`


class _Command(click.Command):
    """A command that refuses an empty argument, but for the inputs of `predict`."""

    def invoke(self, context: click.Context) -> Any:
        for parameter in self.params:
            # An empty path would be the current directory; it is a script's unset variable.
            if context.params[parameter.name] == "":
                raise CallError(f"{parameter.get_error_hint(context)} is empty.")
        return super().invoke(context)


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
    lstm-zoo sentiment train --run runs/demo          train on the demo corpus
    lstm-zoo sentiment predict runs/demo "not bad"    classify a text
    lstm-zoo sentiment export runs/demo exports/demo  write a SavedModel for TF Serving
    lstm-zoo speech train --data digits/train --run runs/digits
    lstm-zoo speech predict runs/digits call.wav
    """


def main() -> None:
    """Run the command line."""
    # Hides TensorFlow's C++ log; errors still raise exceptions. A value that the user set is kept.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
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


def _decoding_options(*names: str, when: bool) -> Callable[[Callable], Callable]:
    """Return a decorator that adds decoding options to a command, if `when` is true."""
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
    }

    def decorate(command: Callable) -> Callable:
        for name in reversed(names if when else ()):
            command = options[name](command)
        return command

    return decorate


def _setting_options(table: dict[str, Setting]) -> Callable[[Callable], Callable]:
    """Return a decorator that adds an option for each setting that has its own."""

    def decorate(command: Callable) -> Callable:
        for name, setting in reversed(table.items()):
            if setting.metavar is not None:
                option = f"--{name.replace('_', '-')}"
                text = f"{setting.help[0].upper()}{setting.help[1:]}."
                command = click.option(option, metavar=setting.metavar, help=text)(command)
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
        "Settings for --set, with defaults in brackets; without brackets, the variant decides:",
        f"\b\n{_settings_help({**package.SETTINGS, **table})}",
    ]

    @group.command(help="\n\n".join(paragraphs))
    @click.option("--data", metavar="DATA", help="Training data. [a demo corpus]")
    @click.option("--validation", metavar="DATA",
                  help="Validation data, to choose the best epoch. [split off DATA]")  # fmt: skip
    @click.option("--validation-split", type=float, metavar="F",
                  help="Fraction of DATA to split off as validation data. [0.1]")  # fmt: skip
    @click.option("--run", metavar="RUN", help=f"Run directory to create. [runs/{family}-<time>]")
    @click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE",
                  help="Change a setting listed above. Can be repeated.")  # fmt: skip
    @_setting_options(table)
    @click.option("--init-from", metavar="RUN",
                  help="Fine-tune: start from the weights of another run, as far as they fit. "
                  "Settings not given here are its own, without columns and paths.")  # fmt: skip
    @click.option("--keep-vocabulary", is_flag=True,
                  help="Keep the tokenizer of --init-from. [learn one; rows of equal tokens, and "
                  "of equal classes in any case, are taken over]")  # fmt: skip
    @click.option("--resume", is_flag=True,
                  help="Continue the training of RUN from its last checkpoint.")  # fmt: skip
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
            from lstm_zoo.export.staging import check_writable

            check_writable(export_to)
        pipeline = lstm_zoo.train(family, **options, **settings)
        write_line(pipeline.run)
        if export_to:
            from lstm_zoo.training.workers import is_first

            if options["strategy"] in ("none", "mirrored") or is_first():
                write_line(pipeline.export(export_to))

    decodes = package.DECODES

    @group.command(help="Evaluate RUN on a test set.")
    @click.argument("run")
    @click.option("--data", metavar="DATA", required=True,
                  help="Test set, in a format of train's --data.")  # fmt: skip
    @_setting_options({name: table[name] for name in package.COLUMNS})
    @_decoding_options("beam_width", when=decodes)
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    @click.option("--predictions", metavar="FILE", type=user_path,
                  help="Write the prediction of every row to FILE, as TSV.")  # fmt: skip
    def evaluate(
        run: str, data: str, as_json: bool, predictions: Path | None, **options: Any
    ) -> None:
        if predictions and not predictions.resolve().parent.is_dir():
            raise CallError(
                f"{predictions}: the folder does not exist; can't write predictions there."
            )
        if predictions and predictions.is_dir():
            raise CallError(f"{predictions}: a folder; --predictions takes the path of a file.")
        pipeline = lstm_zoo.load(run, family=family)
        scores = pipeline.evaluate(data, **options)
        rows = scores.pop("predictions")
        if predictions:
            write_table(predictions, rows[0], (row.values() for row in rows))
        write_line(json.dumps(scores) if as_json else pipeline.report(scores))

    @group.command(
        help=f"Print a prediction for each INPUT, {package.INPUT_HELP}, one per line.\n\n"
        "The INPUT '-' reads inputs from standard input, one per line. The exit status is 1 if an "
        "input can't be used."
    )
    @click.argument("run")
    @click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=os.fsencode)
    @_decoding_options("beam_width", "n_best", when=decodes)
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    def predict(run: str, inputs: tuple[bytes, ...], as_json: bool, **decoding: Any) -> None:
        if decoding.get("n_best", 1) > 1 and not as_json:
            raise CallError("--n-best has no effect without --json.")
        pipeline = lstm_zoo.load(run, family=family)
        answers, failed = [], False
        for chunk in _inputs(inputs):
            for answer in pipeline.predict(chunk, **decoding):
                if error := pipeline.error_of(answer):
                    failed = True
                    write_line(error, err=True)
                if as_json:
                    answers.append(answer._asdict())
                else:
                    write_line(str(answer))
        if as_json:
            write_line(json.dumps({"predictions": answers}, ensure_ascii=False))
        if failed:
            sys.exit(1)

    @group.command(
        help="Write RUN in a format for other programs, and check it.\n\n"
        "\b\n" + "\n".join(f"{name:14}  {row.help}" for name, row in EXPORTERS.items())
    )
    @click.argument("run")
    @click.argument("directory", metavar="DIR")
    @click.option(
        "--format", default="tf_saved_model", show_default=True, help="One of the formats above."
    )
    @click.option("--version", type=int, help="tf_saved_model: version number. [the next free one]")
    @click.option("--int8", is_flag=True, help="onnx: store weights as 8-bit integers.")
    @click.option("--batch-size", type=int, help="litert: batch size, fixed in the file. [1]")
    @_decoding_options("beam_width", when=decodes)
    def export(run: str, directory: str, **options: Any) -> None:
        write_line(lstm_zoo.load(run, family=family).export(directory, **options))

    return group


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise CallError(f"--set takes NAME=VALUE. Received: {text!r}")
    return name, value


def _inputs(arguments: tuple[bytes, ...]) -> Iterator[list[bytes]]:
    """Yield the inputs in order, in batches; of standard input, what has arrived."""
    for is_stream, group in itertools.groupby(arguments, lambda argument: argument == b"-"):
        for inputs in _lines() if is_stream else [[*group]]:
            for start in range(0, len(inputs), STREAM_BATCH):
                yield inputs[start : start + STREAM_BATCH]


def _lines() -> Iterator[list[bytes]]:
    """Yield lines from standard input as they arrive: the sender may wait for the predictions."""
    rest = b""
    while read := sys.stdin.buffer.read1(2**20):
        *lines, rest = (rest + read).split(b"\n")
        yield [line.removesuffix(b"\r") for line in lines]
    yield [rest] if rest else []


@cli.command()
@click.argument("path", metavar="RUN|EXPORT")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect(path: str, as_json: bool) -> None:
    """Describe a run or an export.

    Prints the model card, the number of parameters, signatures, ops and recurrent layers. For each
    recurrent layer: which implementation runs on this machine, and why.
    """
    lstm_zoo.prepare_tensorflow()
    from lstm_zoo.export.inspection import describe, to_text

    card = describe(path)
    write_line(json.dumps(card, default=list) if as_json else to_text(card))
