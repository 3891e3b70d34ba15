"""What the demo's steps raise when they cannot go on."""

from hack.errors import HackError


class DemoError(HackError):
    """A step of the demo failed; the message says what, on which object, and what to do."""
