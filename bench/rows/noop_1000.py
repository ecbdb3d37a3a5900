"""A repeat of a finished experiment of 1,000 nodes, beside `dvc repro` with nothing to do on 1,000 stages."""

import dvc_project
from row import Place, Row, thawline

RUN = ("run", "experiments/noop_1000.yaml", "--quiet")


def prepare(place: Place) -> None:
    thawline(place.project(), *RUN)
    dvc_project.finish(dvc_project.pipeline(place.own / "dvc", stages=1000), stages=1000)


def ours(place: Place) -> dict:
    return thawline(place.own / "project", *RUN)


def peer(place: Place) -> dict:
    return dvc_project.repro(place.own / "dvc")


ROW = Row(
    title="a repeat of a finished experiment of 1,000 nodes",
    sides={"ours": ours, "peer": peer},
    goals={"peer": 40},
    prepare=prepare,
)
