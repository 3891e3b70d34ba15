"""The `aimodel` command, also `kubectl aimodel`: one module per verb, dispatched by `main`.

A verb module holds its arguments and its `run`; what takes long to import is imported inside `run`, so that
`aimodel --help` answers at once. Never imported by the operator, and it never writes to a cluster.
"""
