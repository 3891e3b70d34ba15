"""Python stubs of the Open Inference Protocol v2, generated from serving/proto by `hack.generate`."""
