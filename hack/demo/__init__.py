"""`make demo`: from nothing to a gRPC prediction; run as `python -m hack.demo`.

The steps, each a module, in the order in which `__main__` takes them:

    (hack.preflight) → (hack.cluster) → (hack.images) → model → installation → publication → prediction

Every step may be run again: it looks first, and does only what is missing. The cluster is the one that CLUSTER
names (`hack.cluster.targets`); nothing outside the namespaces `aimodel-system` and `models` is touched there.
"""
