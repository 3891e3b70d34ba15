"""CLUSTER=kind as far as a machine without a container engine goes: the real kind reads our configuration."""

import subprocess
from pathlib import Path

import pytest

from hack.cluster import targets, tools
from hack.cluster.paths import ClusterError


@pytest.fixture(scope="module")
def kind() -> Path:
    """The real kind, built from its pinned module."""
    return tools.ensure_kind() / "kind"


def _create(kind: Path, config: Path) -> str:
    """What `kind create cluster` says where no container engine can be found; it never gets to make anything."""
    command = [str(kind), "create", "cluster", f"--config={config}"]
    done = subprocess.run(command, env={"PATH": "/nonexistent"}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


def test_kind_accepts_our_configuration_and_asks_for_an_engine(kind: Path) -> None:
    said = _create(kind, targets.KIND_CONFIG)
    assert "failed to get docker info" in said
    assert "decode" not in said


def test_kind_would_refuse_a_configuration_with_a_typo(kind: Path, tmp_path: Path) -> None:
    broken = tmp_path / "kind.yaml"
    broken.write_text(targets.KIND_CONFIG.read_text().replace("nodes:", "nodess:"))
    assert "field nodess not found" in _create(kind, broken)


def test_a_missing_engine_is_said_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    tools.ensure_kind()
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ClusterError, match="docker"):
        targets.target_from_env({"CLUSTER": "kind"})


def test_a_context_that_the_kubeconfig_lacks_is_refused(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text('{"apiVersion": "v1", "kind": "Config", "contexts": [{"name": "mine", "context": {}}]}')
    asked = {
        "CLUSTER": "current",
        "CONTEXT": "production",
        "REGISTRY": "registry.example.com/x",
        "KUBECONFIG": str(kubeconfig),
    }
    with pytest.raises(ClusterError, match="no context 'production'; it has: mine"):
        targets.target_from_env(asked)
    target = targets.target_from_env({**asked, "CONTEXT": "mine"})
    assert (target.context, target.registry, target.registry_plain_http) == ("mine", "registry.example.com/x", False)
