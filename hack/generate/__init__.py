"""Turns the types in `aimodel_operator.api`, and the table of permissions, into every file that repeats them.

`python -m hack.generate` writes the files, `python -m hack.generate --check` says which are not current. The
path is `schema → crd → files`. Output depends on the types alone: no clock, no environment, no network.
"""
