"""`python -m aimodel_operator`: read the settings, run the operator until it is told to stop."""

import asyncio
import os
import sys

from aimodel_operator import process, settings
from aimodel_operator.telemetry import set_up_logging


def main() -> int:
    """Returns the exit code: 0 after SIGTERM, 1 when a part failed, 2 for wrong settings."""
    try:
        loaded = settings.load(os.environ)
        login = process.registry_login(loaded)
    except settings.SettingsError as exc:
        print(f"aimodel-operator: {exc}", file=sys.stderr)  # noqa: T201 - logging is not set up without settings
        return 2
    set_up_logging(loaded.log_format)
    return asyncio.run(process.run(loaded, login))


if __name__ == "__main__":
    sys.exit(main())
