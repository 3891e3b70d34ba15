"""What the demo's steps raise when they cannot go on."""


class DemoError(Exception):
    """A step of the demo failed; the message says what, on which object, and what to do."""
