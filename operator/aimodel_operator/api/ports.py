"""The ports of a serving pod: part of the public contract, and of the agreement with the Rust server."""

GRPC = 8001
"""Open Inference Protocol, `grpc.health.v1`, reflection."""
ADMIN = 8002
"""HTTP: `/metrics`, `/livez`, `/readyz`, `/scale`."""
HEALTH = 8003
"""`grpc.health.v1` alone: what the kubelet probes."""
