"""From `kubectl apply` to the first prediction on a warm cluster, split into the steps that make it up.

Needs the cluster as `make demo` leaves it. Each round applies the digits model under a new name (the name is an
input of the image, so nothing is found again), watches what happens and asks for a prediction until one comes.
"""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from kubernetes import client, config

from hack import oip, record
from hack.cluster.targets import ClusterTarget, target_from_env

NAMESPACE = "models"
ROUNDS = 5
LIMIT_S = 60.0
GOAL_S = 4.0
STEPS = ("observe", "start build", "fetch", "scan", "push", "end build", "deploy", "schedule", "pull", "load", "route")


@dataclass
class Timeline:
    """When each thing was first seen, in seconds since `apply` was sent."""

    started: float
    seen: dict[str, float] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)

    def mark(self, what: str) -> None:
        """Keep the first time of something."""
        self.seen.setdefault(what, time.monotonic() - self.started)


def measure() -> dict[str, Any]:
    """Run all rounds; returns the figures."""
    target = target_from_env()
    rounds = [_round(target) for _ in range(ROUNDS)]
    totals = [timeline.seen["predicted"] for timeline in rounds]
    steps = [_steps(timeline) for timeline in rounds]
    figures: dict[str, Any] = {
        "applyToFirstPredictionSeconds": record.spread(totals),
        "goalSeconds": GOAL_S,
        "stepSeconds": {step: record.spread([found[step] for found in steps]) for step in STEPS},
    }
    rows = [(step, f"{figures['stepSeconds'][step]['median']:.2f} s", "") for step in STEPS]
    total = figures["applyToFirstPredictionSeconds"]
    rows.append(("in all", f"{total['median']:.2f} s ({total['min']:.2f}-{total['max']:.2f})", f"goal ≤ {GOAL_S} s"))
    print(record.table(f"kubectl apply → first prediction, median of {ROUNDS}", rows))
    return figures


def _round(target: ClusterTarget) -> Timeline:
    name = f"bench-{uuid.uuid4().hex[:8]}"
    digits = json.loads(target.kubectl("-n", NAMESPACE, "get", "aimodel", "digits", "-o", "json"))
    model = {
        "apiVersion": digits["apiVersion"],
        "kind": "AIModel",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"source": digits["spec"]["source"], "serving": digits["spec"].get("serving", {})},
    }
    api = config.new_client_from_config(str(target.kubeconfig), target.context)
    timeline = Timeline(time.monotonic())
    stop = threading.Event()
    watches = [
        threading.Thread(target=_watch, args=(api, path, name, timeline, stop), daemon=True)
        for path in (
            "/apis/batch/v1/namespaces/models/jobs",
            "/api/v1/namespaces/models/pods",
            "/apis/apps/v1/namespaces/models/deployments",
        )
    ]
    for watch in watches:
        watch.start()
    time.sleep(0.5)  # the watches are to be there before anything happens
    timeline.started = time.monotonic()
    target.kubectl("apply", "--filename", "-", given=json.dumps(model))
    timeline.mark("applied")
    try:
        _predict(target, name, timeline)
    finally:
        stop.set()
        target.kubectl("-n", NAMESPACE, "delete", "aimodel", name)
        for watch in watches:
            watch.join(timeout=10)
    return timeline


def _watch(api: client.ApiClient, path: str, name: str, timeline: Timeline, stop: threading.Event) -> None:
    query = f"{path}?watch=true&timeoutSeconds=60&labelSelector=aimodel.dev/model={name}"
    request = api.param_serialize("GET", query, auth_settings=["BearerToken"])
    response = api.call_api(*request)
    for event in _events(response):
        if stop.is_set():
            return
        _note(event["object"], timeline)


def _events(response: Any) -> Iterator[dict[str, Any]]:
    for line in response.response:
        if line.strip():
            yield json.loads(line)


def _note(obj: dict[str, Any], timeline: Timeline) -> None:
    kind = obj["kind"]
    if kind == "Job":
        timeline.mark("job made")
    elif kind == "Deployment":
        timeline.mark("deployment made")
    elif kind == "Pod":
        _note_pod(obj, timeline)


def _note_pod(pod: dict[str, Any], timeline: Timeline) -> None:
    part = pod["metadata"]["labels"]["app.kubernetes.io/component"]
    status = pod.get("status", {})
    if pod["spec"].get("nodeName"):
        timeline.mark(f"{part} scheduled")
    for container in status.get("containerStatuses", ()):
        state = container.get("state", {})
        if "running" in state or "terminated" in state:
            timeline.mark(f"{part} running")
        if "terminated" in state:
            timeline.mark(f"{part} ended")
            timeline.report = json.loads(state["terminated"].get("message") or "{}")
        if container.get("ready"):
            timeline.mark(f"{part} ready")


def _predict(target: ClusterTarget, name: str, timeline: Timeline) -> None:
    deadline = time.monotonic() + LIMIT_S
    while "deployment made" not in timeline.seen and time.monotonic() < deadline:
        time.sleep(0.005)
    service = json.loads(target.kubectl("-n", NAMESPACE, "get", "service", name, "-o", "json"))
    request = oip.request({"image": np.zeros((1, 8, 8, 1), np.float32)}, name)
    address = f"{service['spec']['clusterIP']}:8001"
    while time.monotonic() < deadline:
        with oip.stub(address) as stub:
            try:
                stub.ModelInfer(request, timeout=1)
            except grpc.RpcError:
                time.sleep(0.02)
                continue
            timeline.mark("predicted")
            return
    raise SystemExit(f"no prediction from {name} within {LIMIT_S:.0f} s: {timeline.seen}")


def _steps(timeline: Timeline) -> dict[str, float]:
    seen, parts = timeline.seen, timeline.report.get("seconds", {})
    working = sum(parts.get(part, 0.0) for part in ("fetch", "scan", "push"))
    # A container that lives for half a second may be seen running only when it has ended.
    ended = seen["build ended"]
    started = min(seen["build running"], ended - working)
    return {
        "observe": seen["job made"],
        "start build": started - seen["job made"],
        **{part: parts.get(part, 0.0) for part in ("fetch", "scan", "push")},
        "end build": max(0.0, ended - started - working),
        "deploy": seen["deployment made"] - ended,
        "schedule": seen["serving scheduled"] - seen["deployment made"],
        "pull": seen["serving running"] - seen["serving scheduled"],
        "load": seen["serving ready"] - seen["serving running"],
        "route": max(0.0, seen["predicted"] - seen["serving ready"]),
    }
