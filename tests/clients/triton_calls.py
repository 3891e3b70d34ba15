"""What Triton's own Python client says of a server: run by an e2e test in the environment of this folder.

    python triton_calls.py HOST:PORT MODEL INPUT.npy

Prints one JSON object: liveness, readiness, metadata, configuration and the first output of one inference.
"""

import json
import sys

import numpy as np
import tritonclient.grpc as triton


def main(target: str, model: str, input_file: str) -> None:
    """Ask everything the client can ask of one model."""
    client = triton.InferenceServerClient(target)
    metadata = client.get_model_metadata(model, as_json=True)
    config = client.get_model_config(model, as_json=True)
    rows = np.load(input_file)
    (described,) = metadata["inputs"]
    tensor = triton.InferInput(described["name"], list(rows.shape), described["datatype"])
    tensor.set_data_from_numpy(rows)
    wanted = triton.InferRequestedOutput(metadata["outputs"][0]["name"])
    answer = client.infer(model, [tensor], outputs=[wanted], request_id="e2e-1", client_timeout=10)
    report = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "modelReady": client.is_model_ready(model),
        "unknownReady": client.is_model_ready("no-such-model"),
        "server": client.get_server_metadata(as_json=True),
        "metadata": metadata,
        "config": config["config"],
        "id": answer.get_response().id,
        "output": answer.as_numpy(metadata["outputs"][0]["name"]).tolist(),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
