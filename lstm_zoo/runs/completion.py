"""What a shell completes: runs, settings and their values, files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from lstm_zoo.runs import presets
from lstm_zoo.runs.directory import CONFIG
from lstm_zoo.runs.exports import PIPELINE
from lstm_zoo.settings import Setting, choices

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_run(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete a run: runs, those in the folder `runs`, exports, folders to look into, presets.

    Example:

    >>> [item.value for item in complete_run(None, None, "runs/im")]
    ['runs/imdb']
    """
    patterns = [f"{incomplete}*", *([] if "/" in incomplete else [f"runs/{incomplete}*"])]
    found = {}
    for pattern in patterns:
        root = Path("/" if pattern.startswith("/") else ".")
        for path in sorted(root.glob(pattern.lstrip("/"))):
            if (path / CONFIG).is_file():
                found[str(path)] = "a run"
            elif (path / PIPELINE).is_file():
                found[str(path)] = "an ONNX export"
            elif path.is_dir() and not path.name.startswith("."):
                found[f"{path}/"] = "a folder"
    for name in presets.names():
        if name.startswith(incomplete):
            found.setdefault(name, "a preset")
    return [CompletionItem(value, help=text) for value, text in found.items()]


def complete_file(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Have the shell complete the path of a file."""
    return [CompletionItem(incomplete, type="file")]


def complete_assignment(table: Mapping[str, Setting]) -> Complete:
    """Return a function that completes `NAME=`, and `NAME=VALUE` where the values are known.

    Args:
        table: the settings.

    Example:

    >>> from lstm_zoo import families
    >>> complete = complete_assignment(families.settings("sentiment"))
    >>> [item.value for item in complete(None, None, "cell=")]
    ['cell=lstm', 'cell=gru', 'cell=simple_rnn']
    """

    def complete(context: Any, parameter: Any, incomplete: str) -> list[CompletionItem]:
        name, equals, start = incomplete.partition("=")
        if not equals:
            names = [known for known in table if known.startswith(name)]
            return [CompletionItem(f"{known}=", help=table[known].help) for known in names]
        values = choices(table[name].read) if name in table else ()
        return [CompletionItem(f"{name}={value}") for value in values if value.startswith(start)]

    return complete


def complete_value(setting: Setting) -> Complete:
    """Return a function that completes the value of a setting's own option."""

    def complete(context: Any, parameter: Any, incomplete: str) -> list[CompletionItem]:
        values = choices(setting.read)
        return [CompletionItem(value) for value in values if value.startswith(incomplete)]

    return complete


class _Bash(BashComplete):
    """Bash's completion of `NAME=VALUE`, and `--option=VALUE`, which are three words to bash."""

    def get_completion_args(self) -> tuple[list[str], str]:
        words, incomplete = super().get_completion_args()
        self.cut = 0  # characters before the word that bash replaces
        if incomplete == "=" and words:
            words, incomplete = [*words, "="], ""
        if len(words) > 1 and words[-1] == "=":
            name, words = words[-2], words[:-2]
            if name.startswith("-"):  # of an option, the value alone is completed
                return [*words, name], incomplete
            self.cut = len(name) + 1
            incomplete = f"{name}={incomplete}"
        return words, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        return f"{item.type},{item.value[self.cut :]}"


add_completion_class(_Bash, "bash")
