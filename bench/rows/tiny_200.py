"""200 tiny head nodes (10 features, 1 epoch) with as many scores, cold and unpacked, beside 200 `echo` stages of DVC."""

import shutil

import dvc_project
from row import Place, Row, run


def ours(place: Place) -> dict:
    return run(place, "tiny_200")


def peer(place: Place) -> dict:
    folder = place.own / "dvc"
    shutil.rmtree(folder, ignore_errors=True)
    return dvc_project.repro(dvc_project.pipeline(folder, stages=200))


ROW = Row(
    title="200 tiny head nodes and their scores, cold, unpacked",
    sides={"ours": ours, "peer": peer},
    goals={"peer": 30},
)
