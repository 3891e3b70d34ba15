"""The root of what programs in hack/ raise when they cannot go on; each `main` catches it and prints the message.

HackError
├── CommandError    another program failed or is not installed (hack.commands)
├── MissingError    this machine lacks what the work needs (hack.preflight)
├── ClusterError    a local cluster cannot be started, used or removed (hack.cluster.paths)
├── ImageError      an image could not be made (hack.images.paths)
└── DemoError       a step of the demo failed (hack.demo.errors)
"""


class HackError(Exception):
    """Something cannot be done; the message says what, on which object, and what to do."""
