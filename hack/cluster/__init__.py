"""A real one-node Kubernetes on this machine without a container engine, and a bare control plane for tests.

Reading order: `__main__` (commands) → `local.LocalCluster` (up, down, status) → `components` (what runs) →
`process` (how it is started and ended). `controlplane.ControlPlane` serves the API-server tests, `targets` picks
the cluster that the demo and the end-to-end tests use. Everything here runs on the standard library alone.
"""
