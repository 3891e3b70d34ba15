"""What the API server stores, and that a new CRD with another default leaves every stored byte alone."""

import base64
import copy
import itertools
import json
import urllib.request
from pathlib import Path

from hack.waiting import wait_until

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "upgrade.aimodel.dev"
URI = "https://models.example.com/digits/3/model.onnx"


def in_another_group(crd):
    """The same CRD under a name of its own, so that changing it disturbs no other test."""
    definition = copy.deepcopy({key: crd[key] for key in ("apiVersion", "kind", "spec")})
    definition["metadata"] = {"name": f"upgrades.{GROUP}"}
    definition["spec"]["group"] = GROUP
    definition["spec"]["names"] = {"kind": "Upgrade", "plural": "upgrades"}
    return definition


def stored(control_plane, key):
    """The bytes of one key in etcd, and the revision that last wrote them."""
    body = json.dumps({"key": base64.b64encode(key.encode()).decode()}).encode()
    url = f"http://127.0.0.1:{control_plane._settings.etcd_port}/v3/kv/range"
    with urllib.request.urlopen(url, data=body, timeout=10) as answer:  # the test's own etcd
        [found] = json.load(answer)["kvs"]
    return base64.b64decode(found["value"]), found["mod_revision"]


def make(server, path, name):
    body = {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "Upgrade",
        "metadata": {"name": name},
        "spec": {"source": {"uri": URI}, "serving": {}},
    }
    answer = server.send("POST", path, body)
    assert answer.status == 201, answer.message
    return answer.body


def test_a_new_default_touches_no_stored_object(server, control_plane, crd, namespace):
    installed = server.install(in_another_group(crd)).body
    path = f"/apis/{GROUP}/v1alpha1/namespaces/{namespace}/upgrades"
    before = make(server, path, "old")
    key = f"/registry/{GROUP}/upgrades/{namespace}/old"
    bytes_before, revision_before = stored(control_plane, key)
    assert b'"replicas":1' in bytes_before

    fields = installed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    fields["replicas"]["default"] = 3
    assert server.send("PUT", f"{CRDS}/{installed['metadata']['name']}", installed).status == 200
    fresh = (make(server, path, f"new-{number}") for number in itertools.count())
    assert wait_until(lambda: next(fresh)["spec"]["replicas"] == 3, limit_s=30), "the old default is still used"

    after = server.send("GET", f"{path}/old").body
    assert after["spec"] == {"source": {"uri": URI}, "serving": {}, "replicas": 1}
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert stored(control_plane, key) == (bytes_before, revision_before)


def test_what_is_stored_is_what_was_written_and_replicas(server, control_plane, models, namespace):
    body = {
        "apiVersion": "aimodel.dev/v1alpha1",
        "kind": "AIModel",
        "metadata": {"name": "digits"},
        "spec": {"source": {"uri": URI}, "serving": {"batching": {}}},
    }
    assert server.send("POST", models, body).status == 201
    text, _ = stored(control_plane, f"/registry/aimodel.dev/aimodels/{namespace}/digits")
    assert json.loads(text)["spec"] == {"source": {"uri": URI}, "serving": {"batching": {}}, "replicas": 1}


def test_the_crd_is_applied_again_without_a_change(server, crd):
    text = (Path(__file__).parents[2] / "crds/aimodels.aimodel.dev.yaml").read_text(encoding="utf-8")
    done = server.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    assert done.returncode == 0, done.stdout
    again = server.send("GET", f"{CRDS}/{crd['metadata']['name']}").body
    assert again["metadata"]["generation"] == crd["metadata"]["generation"]
