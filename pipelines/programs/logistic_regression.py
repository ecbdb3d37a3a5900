"""Logistic regression of scikit-learn on the features of a frozen backbone, as a `command` stage of thawline.

Needs scikit-learn, numpy and safetensors. Run by thawline with the path of a JSON manifest as its last argument:
`fit` learns from the training features and writes a file into `out`; `predict` reads it back and writes the
probabilities of every class, a row an image, into `out/predictions.npy`.
"""

import csv
import json
import pickle
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

manifest = json.loads(Path(sys.argv[-1]).read_text())
features = manifest["inputs"]["features"]
out = Path(manifest["out"])


def read(described):
    return load_file(described["features"])["features"]


if manifest["task"] == "fit":
    with open(manifest["rows"]["train"]) as file:
        labels = [int(row["label"]) for row in csv.DictReader(file)]
    # Every view of the training images counts.
    x = np.concatenate([read(view) for view in features["train"]])
    y = np.tile(labels, len(features["train"]))
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=manifest["params"]["C"], max_iter=2000, random_state=manifest["seed"])
    )
    model.fit(x, y)
    print(f"accuracy on the training images: {model.score(x, y):.3f}")
    (out / "model.pickle").write_bytes(pickle.dumps(model))
else:
    model = pickle.loads((Path(manifest["program"]) / "model.pickle").read_bytes())
    probabilities = np.zeros((features[manifest["split"]]["shape"][0], len(manifest["classes"])))
    # Classes without a training image have no column of their own.
    probabilities[:, model.classes_] = model.predict_proba(read(features[manifest["split"]]))
    np.save(out / "predictions.npy", probabilities)
