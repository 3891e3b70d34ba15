"""Turns the types in `aimodel_operator.api`, the table of permissions and the protocol into the files that repeat them.

`python -m hack.generate` writes the files, `python -m hack.generate --check` says which are not current. The
paths are `schema → crd → files` and `stubs → files`. Output depends on the sources alone: no clock, no environment, no
network.
"""
