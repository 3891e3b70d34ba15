"""The laws of reconciling on the cluster in memory; tests/apiserver runs the same on a real API server."""

from reconcile_laws import *  # noqa: F403
