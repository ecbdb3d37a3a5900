"""100,000 trials: the plan, and a run with nothing to do, beside the same with 10,000 trials.

Linear means a ratio of 1: ten times the smaller one's time. Wanted besides: at most 10 s and 1 GB each, told on the lines
of the rounds."""

from row import Place, Row, thawline


def sides(verb: str, *arguments: str) -> dict:
    def side(trials: int):
        def measured(place: Place) -> dict:
            took = thawline(place.own / str(trials), verb, f"experiments/plan_{trials}.yaml", *arguments)
            memory = f"{took['memory'] / 2**30:.2f} GiB"
            return {"seconds": took["seconds"] * 100_000 / trials, "measured": took["seconds"], "memory": memory}

        return measured

    return {"large": side(100_000), "small": side(10_000)}


def prepare(place: Place) -> None:
    for trials in (10_000, 100_000):
        thawline(place.project(str(trials)), "run", f"experiments/plan_{trials}.yaml", "--quiet")


PLAN, RUN = sides("plan"), sides("run", "--quiet")
ROW = Row(
    title="100,000 trials: ours is a run with nothing to do, peer the same at 10,000 trials, ten times",
    sides={"ours": RUN["large"], "peer": RUN["small"]},
    goals={"peer": 0.8},
    prepare=prepare,
)
