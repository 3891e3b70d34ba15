"""`aimodel version`: what is installed here."""

import argparse
import platform

import aimodel_operator
from aimodel_operator.cli.options import add_output, print_json
from aimodel_operator.cli.terminal import Terminal

HELP = "print the version of this command"
DESCRIPTION = "Print the version of this command and the API version it knows."

API_VERSION = "aimodel.dev/v1alpha1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add_output(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Print the versions."""
    if arguments.output == "json":
        print_json({
            "version": aimodel_operator.__version__,
            "apiVersion": API_VERSION,
            "python": platform.python_version(),
        })  # fmt: skip
        return 0
    print(f"aimodel {aimodel_operator.__version__} ({API_VERSION}, Python {platform.python_version()})")
    return 0
