"""What the commands raise to end with a message instead of a traceback; printed by `main`, once.

    CliError             exit 1   the command line was right, what it asked about is not
    └── UsageError       exit 2   the command line or the file it names is not usable

The message says what is wrong and with which object; `next_step` says what to do about it.
"""


class CliError(Exception):
    """The command cannot do what was asked; `message` and `next_step` are whole sentences for a person."""

    exit_code = 1

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class UsageError(CliError):
    """An argument, or a file that an argument names, cannot be used."""

    exit_code = 2
