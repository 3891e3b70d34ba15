"""Turns the types in `aimodel_operator.api` into every file that repeats them: CRD, chart template, docs.

`python -m hack.generate` writes the files, `python -m hack.generate --check` says which are not current. The
path is `schema → crd → files`. Output depends on the types alone: no clock, no environment, no network.
"""
