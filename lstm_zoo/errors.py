"""The errors that a user can mend, told apart by where to mend them."""


class CallError(ValueError):
    """What was asked for can't be: an unknown setting, a run that exists, a path that is not one.

    The command line ends with status 2.
    """


class DataError(ValueError):
    """The data can't be used; the message names the file and the line.

    The command line ends with status 1.
    """


class TrainingError(RuntimeError):
    """A training can't go on, such as after a loss that is not a number.

    The command line ends with status 1.
    """


class ExportError(RuntimeError):
    """An export did not pass its checks; nothing of it is left.

    The command line ends with status 1.
    """
