"""What the Dockerfiles promise to the pods that the operator renders and to the server inside."""

import re
import subprocess

import pytest

from aimodel_operator import api
from aimodel_operator.render import metadata
from hack.paths import ROOT
from hack.serving_program import binary

OPERATOR = (ROOT / "operator" / "Dockerfile").read_text()
SERVING = (ROOT / "serving" / "Dockerfile").read_text()


def environment(dockerfile: str) -> dict[str, str]:
    return dict(re.findall(r"^ENV (\w+)=(.*)$", dockerfile, re.MULTILINE))


def values(dockerfile: str, instruction: str) -> list[str]:
    return re.findall(rf"^{instruction} (.*)$", dockerfile, re.MULTILINE)


@pytest.mark.parametrize("dockerfile", [OPERATOR, SERVING], ids=["operator", "serving"])
def test_images_run_as_the_user_that_pods_ask_for(dockerfile: str):
    pod = metadata.restricted_pod()
    assert values(dockerfile, "USER") == [f"{pod['runAsUser']}:{pod['runAsGroup']}"]


@pytest.mark.parametrize("dockerfile", [OPERATOR, SERVING], ids=["operator", "serving"])
def test_images_need_no_shell(dockerfile: str):
    assert all(value.startswith("[") for name in ("RUN", "ENTRYPOINT", "CMD") for value in values(dockerfile, name))


def test_the_serving_image_opens_the_ports_that_pods_probe():
    wanted = {api.ports.GRPC, api.ports.ADMIN, api.ports.HEALTH}
    assert {int(port) for line in values(SERVING, "EXPOSE") for port in line.split()} == wanted


def test_the_serving_image_names_its_runtime_as_the_server_reads_it():
    helped = subprocess.run([binary(), "--help"], capture_output=True, text=True, check=True).stdout
    (name,) = environment(SERVING)
    assert f"({name})" in helped.split()


def test_the_operator_image_never_imports_from_the_working_directory():
    assert environment(OPERATOR)["PYTHONSAFEPATH"] == "1"
