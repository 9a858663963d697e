"""Errors that a user can fix, by where to fix them."""


class CallError(ValueError):
    """A bad argument, such as an unknown setting, a run that exists or a missing path.

    The command line exits with status 2.
    """


class DataError(ValueError):
    """Malformed or unusable data; the message names the file and the line.

    The command line exits with status 1.
    """


class FileReadError(DataError):
    """A file that could not be read, such as after an error of the disk: it may pass."""


class TrainingError(RuntimeError):
    """Training can't continue, such as after a loss that is NaN.

    The command line exits with status 1.
    """


class ExportError(RuntimeError):
    """An export failed its checks; its files are removed.

    The command line exits with status 1.
    """


class BackendError(ImportError):
    """What a model runs on is not installed, or set up in a way that it can't run on.

    The command line exits with status 2.
    """
