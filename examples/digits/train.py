"""Trains a small classifier of handwritten digits and exports it as ONNX: the model of examples/digits.yaml.

    python examples/digits/train.py OUTPUT_FOLDER

Run it in an environment with the dependency group `training` (`make demo` does). It writes

    model.onnx        input `image` (N, 8, 8, 1) float32 in 0..1, output `probabilities` (N, 10), N at will
    holdout.npz       `images` and `labels` of every sample the training never saw
    holdout/NNNN.png  some of them as 8-bit pictures, pixel = 255 * value
    reference.json    Keras' own probabilities for those pictures, the accuracy, the digest of model.onnx

and fails when the accuracy or the equality of the export with Keras is not what it promises.
The data come with scikit-learn; everything is seeded, and one machine gives the same bytes each time.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

# Before TensorFlow is imported: the kernels of oneDNN round differently from one processor to the next.
os.environ.update(TF_ENABLE_ONEDNN_OPTS="0", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 7
EPOCHS = 30
BATCH = 64
LEARNING_RATE = 2e-3
PICTURES = 20
OPSET = 17
LEAST_ACCURACY = 0.95
LARGEST_DIFFERENCE = 1e-5


def load_data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images for training and held-out ones, then their labels; values in 0..1 as 8-bit pictures hold them."""
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    images = pixels.astype(np.float32) / np.float32(255)
    return train_test_split(images, digits.target, test_size=0.2, random_state=SEED, stratify=digits.target)


def train(images: np.ndarray, labels: np.ndarray) -> keras.Model:
    """A convolutional network of about 40,000 weights."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Dropout(0.25),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dropout(0.25),
            keras.layers.Dense(10, activation="softmax", name="probabilities"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(images, labels, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return model


def export(model: keras.Model) -> bytes:
    """The model as ONNX with named tensors and a free batch dimension."""

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image")])
    def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model(image, training=False)}

    proto, _ = tf2onnx.convert.from_function(predict, predict.input_signature, opset=OPSET)
    name_in_order(proto.graph)
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString(deterministic=True)


def name_in_order(graph: onnx.GraphProto) -> None:
    """Name inner tensors by the order of their use: the converter's names differ from run to run."""
    names = {"": ""} | {tensor.name: tensor.name for tensor in (*graph.input, *graph.output)}
    for position, node in enumerate(graph.node):
        for tensor in (*node.input, *node.output):
            names.setdefault(tensor, f"tensor_{len(names):03}")
        node.input[:] = [names[tensor] for tensor in node.input]
        node.output[:] = [names[tensor] for tensor in node.output]
        node.name = f"{node.op_type}_{position}"
    for constant in graph.initializer:
        constant.name = names[constant.name]
    graph.initializer.sort(key=lambda constant: constant.name)
    for tensor in (*graph.input, *graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    del graph.value_info[:]


def require_equal(exported: bytes, images: np.ndarray, expected: np.ndarray) -> None:
    """Compare the export, evaluated by onnx itself, with what Keras said."""
    (outputs,) = ReferenceEvaluator(onnx.load_from_string(exported)).run(["probabilities"], {"image": images})
    difference = float(np.abs(outputs - expected).max())
    if difference > LARGEST_DIFFERENCE:
        sys.exit(f"the export differs from Keras by {difference:.1e}, more than {LARGEST_DIFFERENCE:.0e}")


def write_pictures(folder: Path, images: np.ndarray) -> list[str]:
    """Each image as a PNG file; gives back their names."""
    (folder / "holdout").mkdir(parents=True, exist_ok=True)
    names = [f"holdout/{index:04}.png" for index in range(len(images))]
    for name, image in zip(names, images, strict=True):
        pixels = np.rint(image * 255).astype(np.uint8)
        (folder / name).write_bytes(tf.io.encode_png(pixels).numpy())
    return names


def main(folder: Path) -> None:
    """Train, export, check and write."""
    images, held_out, labels, held_out_labels = load_data()
    model = train(images, labels)
    probabilities = model.predict(held_out, verbose=0)
    accuracy = float((probabilities.argmax(axis=1) == held_out_labels).mean())
    if accuracy < LEAST_ACCURACY:
        sys.exit(f"accuracy {accuracy:.3f} on held-out digits is below {LEAST_ACCURACY}")
    exported = export(model)
    require_equal(exported, held_out, probabilities)
    names = write_pictures(folder, held_out[:PICTURES])
    samples = [
        {"file": name, "label": int(label), "probabilities": [float(p) for p in row]}
        for name, label, row in zip(names, held_out_labels, probabilities, strict=False)
    ]
    digest = f"sha256:{hashlib.sha256(exported).hexdigest()}"
    report = {"accuracy": accuracy, "digest": digest, "heldOut": len(held_out), "samples": samples}
    (folder / "model.onnx").write_bytes(exported)
    np.savez(folder / "holdout.npz", images=held_out, labels=held_out_labels)
    (folder / "reference.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"accuracy {accuracy:.4f} on {len(held_out)} held-out digits, model.onnx {len(exported)} bytes {digest}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
