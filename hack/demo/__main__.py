"""`python -m hack.demo`: takes the steps one after the other, measures them and says what to type next."""

import sys

from hack import preflight
from hack.cluster.targets import target_from_env
from hack.demo import installation, model, prediction, publication
from hack.demo.steps import Steps
from hack.errors import HackError
from hack.images.__main__ import build_all
from hack.images.registry import Registry
from hack.paths import ROOT

TIMES = ROOT / "build" / "demo-times.json"


def main() -> int:
    """Run the demo; the exit status."""
    steps = Steps(total=8)
    try:
        closing = _run(steps)
    except HackError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; run it again to go on where it stopped", file=sys.stderr)
        return 130
    finally:
        steps.write(TIMES)
    print(f"\n{steps.summary()}\n\n{closing}")
    return 0


def _run(steps: Steps) -> str:
    with steps.run("preflight", "Is everything here?"):
        preflight.check(preflight.DEMO)
    with steps.run("cluster", "A Kubernetes cluster"):
        target = target_from_env()
    with steps.run("images", "Images of the operator and the server"):
        images = build_all(Registry(target.registry, target.registry_plain_http))
    with steps.run("train", "A model, trained with Keras and exported as ONNX"):
        trained = model.ensure()
    with steps.run("install", "The operator, by its Helm chart"):
        installation.install(target, installation.values(target, images, [publication.HOST]))
    with steps.run("publish", "The model's file, where the cluster can fetch it"):
        publication.publish(target, trained, images["operator"])
    with steps.run("serve", "One YAML: fetched, packed into an image, rolled out"):
        publication.apply(target, trained)
        publication.await_ready(target)
    with steps.run("predict", "A prediction over gRPC"):
        prediction.predict(target, trained.clear_sample)
    return prediction.next_commands(target, trained)


if __name__ == "__main__":
    sys.exit(main())
