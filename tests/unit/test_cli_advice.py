"""What `aimodel predict` advises for a status of gRPC."""

import grpc
import pytest

from aimodel_operator.cli.oip_client import advice


@pytest.mark.parametrize(
    ("code", "details", "says"),
    [
        (
            grpc.StatusCode.UNAVAILABLE,
            "the model cannot answer: it is being loaded",
            "try again in a few seconds",
        ),
        (
            grpc.StatusCode.UNAVAILABLE,
            "Connection refused",
            "check that a server listens there; in a cluster: aimodel status digits",
        ),
        (
            grpc.StatusCode.INTERNAL,
            "it is being loaded",
            "read the log of the serving pod: kubectl logs -l aimodel.dev/model=digits",
        ),
    ],
    ids=["loading", "nobody listens", "another status"],
)
def test_the_next_step_fits_the_cause(code: grpc.StatusCode, details: str, says: str) -> None:
    assert advice(code, details, "digits") == says
