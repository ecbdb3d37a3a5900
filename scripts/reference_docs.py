#!/usr/bin/env python3
"""Writes docs/reference/*.md from what `thawline` says of itself: its schemas, models and help.

    scripts/reference_docs.py THAWLINE           writes the pages
    scripts/reference_docs.py THAWLINE --check   fails where a committed page is another one
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
MADE = "<!-- Made by scripts/reference_docs.py: `make reference` writes it anew. -->\n"
PARAMETER = "#/$defs/Parameter"
# How metrics read; names come from the schema.
METRICS = {
    "accuracy": ("more", "Part of the images whose most probable class is theirs."),
    "balanced_accuracy": ("more", "Mean over classes of the part of their images that is recognised; every class counts alike."),
    "macro_f1": ("more", "Mean over classes of F1, the harmonic mean of precision and recall."),
    "auroc": ("more", "Area under the ROC curve; of several classes the mean of each against the rest."),
    "ece": ("less", "Expected calibration error over `calibration_bins`: how far probabilities are from frequencies."),
    "log_loss": ("less", "Mean of -log(probability of the image's class)."),
}
# What every verb has; said once.
COMMON = "Every verb also takes `--project DIR`, `-v`, `-q` and `-h`.\n"


def main(program: str, check: bool) -> int:
    pipeline, experiment = (json.loads(ask(program, "schema", kind)) for kind in ("pipeline", "experiment"))
    stages = pipeline["properties"]["stages"]["additionalProperties"]["properties"]
    models = json.loads(ask(program, "models", "--format", "json"))
    pages = {
        "stages.md": Schema(pipeline).stages(stages),
        "transforms.md": Schema(pipeline).transforms(),
        "pipelines.md": Schema(pipeline).file("Pipeline files", skip=("stages",)),
        "experiments.md": Schema(experiment).file("Experiment files"),
        "backbones.md": backbones(models),
        "metrics.md": metrics(experiment),
        "commands.md": commands(program),
    }
    stale = []
    for name, text in pages.items():
        path, text = FOLDER / name, MADE + text
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"docs/reference is not current ({', '.join(stale)}): run `make reference`")
    return int(check and bool(stale))


def ask(program: str, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("THAWLINE_")}
    return subprocess.run([program, *arguments], env=environment, check=True, capture_output=True, text=True).stdout


class Schema:
    """One JSON Schema as pages. Definitions that a page mentions are added to it, once."""

    def __init__(self, schema: dict) -> None:
        self.schema, self.definitions = schema, schema["$defs"]
        self.wanted: list[str] = []
        self.done: set[str] = set()

    def stages(self, stages: dict) -> str:
        text = "# Stage kinds\n\nA stage is `name: { kind: { parameters } }`. **Bold** parameters are needed.\n"
        text += "A `${x}` may stand for any value but the name of a stage.\n\n"
        for kind, schema in stages.items():
            text += f"## {kind}\n\n{capital(schema['description'].partition(': ')[2])}.\n\n{self.table(schema['anyOf'][0])}\n"
        return text + self.mentioned()

    def transforms(self) -> str:
        text = "# Transforms, parameter by parameter\n\nWhat they do beside the libraries they follow: [Transforms](../transforms.md).\n"
        text += "Those marked * may be a bare name.\n\n"
        bare = self.definitions["Transform"]["anyOf"][0]["enum"]
        self.done.add("Transform")
        for variant in self.definitions["Transform"]["anyOf"][1:]:
            ((name, schema),) = variant["properties"].items()
            star = " *" if name in bare else ""
            text += f"## {name}{star}\n\n{sentence(schema['description'])}\n\n"
            for option in schema["anyOf"]:
                if option.get("$ref") != PARAMETER:
                    text += self.expanded(option)
        return text + self.mentioned()

    def expanded(self, schema: dict) -> str:
        """A transform's own parameters as a table, other ways of writing it as a line."""
        found = self.definitions[name_of(schema)] if "$ref" in schema else schema
        if "properties" in found:
            return self.table(found) + "\n" if found["properties"] else ""
        if "anyOf" in found and any("$ref" in option for option in found["anyOf"]):
            return "".join(self.expanded(option) for option in found["anyOf"] if option.get("$ref") != PARAMETER)
        return f"Or one value: {self.type_of(found)}.\n\n"

    def file(self, title: str, skip: tuple[str, ...] = ()) -> str:
        properties = {name: value for name, value in self.schema["properties"].items() if name not in skip}
        text = f"# {title}\n\n{self.schema['description']}\n\n{self.table({**self.schema, 'properties': properties})}\n"
        if skip:
            text += "`stages` is described kind by kind: [Stage kinds](stages.md).\n\n"
        return (text + self.mentioned()).rstrip("\n") + "\n"

    def mentioned(self) -> str:
        text = ""
        while self.wanted:
            name = self.wanted.pop(0)
            definition = self.definitions[name]
            text += f"## {name}\n\n{sentence(definition.get('description', ''))}\n\n" if definition.get("description") else f"## {name}\n\n"
            text += self.definition(definition) + "\n"
        return text.rstrip("\n") + "\n"

    def definition(self, schema: dict) -> str:
        if "properties" in schema:
            return self.table(schema)
        options = [o for o in schema.get("oneOf", schema.get("anyOf", [])) if o.get("$ref") != PARAMETER]
        text = ""
        for option in options or [schema]:
            says = f": {sentence(option['description'])}" if option.get("description") else ""
            properties = option.get("properties", {})
            if len(properties) == 1 and option.get("required") == list(properties):
                ((name, inner),) = properties.items()
                text += f"- `{name}`{says}\n"
                inner = next((o for o in inner.get("anyOf", [inner]) if o.get("$ref") != PARAMETER), inner)
                if "properties" in inner:
                    text += "\n" + indent(self.table(inner)) + "\n" if inner["properties"] else ""
                else:
                    text = text.rstrip("\n") + f" ({self.type_of(inner)})\n"
            elif "enum" in option and len(option["enum"]) > 40:
                text += "- a name: [Backbones](backbones.md)\n"
            else:
                text += f"- {self.type_of(option)}{says}\n"
        return text

    def table(self, schema: dict) -> str:
        required = schema.get("required", [])
        lines = ["| parameter | type | default | |", "|---|---|---|---|"]
        for name, value in schema["properties"].items():
            shown = f"**`{name}`**" if name in required else f"`{name}`"
            says = "" if "x-stage" in value else sentence(value.get("description", ""))
            default = value.get("default")
            default = f"`{json.dumps(default, ensure_ascii=False)}`" if default not in (None, "") else ""
            lines.append(f"| {shown} | {self.type_of(value)} | {cell(default)} | {cell(says)} |")
        return "\n".join(lines) + "\n"

    def type_of(self, schema: dict) -> str:
        """In words, with its range; definitions are linked."""
        if "$ref" in schema:
            return self.link(name_of(schema))
        if "x-stage" in schema:
            return "a stage that makes " + " or ".join(schema["x-stage"])
        if "const" in schema:
            return f"`{schema['const']}`"
        if "enum" in schema:
            return ", ".join(f"`{value}`" for value in schema["enum"])
        for key in ("anyOf", "oneOf"):
            if key in schema:
                options = [o for o in schema[key] if o.get("$ref") != PARAMETER and o.get("type") != "null"]
                return " or ".join(dict.fromkeys(self.type_of(option) for option in options))
        kinds = schema.get("type", "any value")
        kind = next((k for k in kinds if k != "null"), "null") if isinstance(kinds, list) else kinds
        if kind == "array":
            items = schema.get("items") or next(iter(schema.get("prefixItems", [])), None)
            length = schema.get("minItems") if schema.get("minItems") == schema.get("maxItems") else None
            inner = self.type_of(items) if isinstance(items, dict) else "any value"
            return f"list of {length} {inner}" if length else f"list of {inner}"
        if kind == "object":
            inner = schema.get("additionalProperties")
            if schema.get("properties"):
                return "map with " + ", ".join(f"`{name}`" for name in schema["properties"])
            return f"map to {self.type_of(inner)}" if isinstance(inner, dict) else "map"
        words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true`, `false`"}
        return words.get(kind, kind) + bounds(schema)

    def link(self, name: str) -> str:
        definition = self.definitions[name]
        if "enum" in definition and len(definition["enum"]) <= 8 or definition.get("type") in ("number", "integer"):
            return self.type_of(definition)
        if name == "Transform":
            return "[transform](transforms.md)"
        if name not in self.done:
            self.done.add(name)
            self.wanted.append(name)
        return f"[{name}](#{name.lower()})"


def backbones(models: list[dict]) -> str:
    text = "# Backbones, block by block\n\nNames for `backbone:`; blocks from the image to the head, for `block:` and `train:`.\n"
    text += "How near they are to their publishers' code: [Backbones](../backbones.md).\n\n"
    text += "| backbone | parameters | GFLOPs | features | pixels | pooling | blocks |\n|---|---:|---:|---:|---:|---|---|\n"
    for model in models:
        blocks = ", ".join(f"`{name}`" for name in runs([block["name"] for block in model["blocks"]]))
        text += f"| `{model['name']}` | {model['parameters']:,} | {model['gflops']:.2f} | {model['features']} "
        text += f"| {model['preprocessing']['crop']} | `{model['pooling']}` | {blocks} |\n"
    return text


def metrics(experiment: dict) -> str:
    text = "# Metrics\n\nWhat `evaluate` gives for a split: `val/<name>` for every trial, `test/<name>` for chosen configurations. "
    text += "Only those of `val` can be the `metric:` that chooses.\n\n| metric | better | |\n|---|---|---|\n"
    for name in experiment["$defs"]["MetricFile"]["properties"]["name"]["anyOf"][0]["enum"]:
        better, says = METRICS[name.removeprefix("val/")]  # a new metric needs its line there
        text += f"| `{name.removeprefix('val/')}` | {better} | {says} |\n"
    text += "| `top_<k>` | more | Part of the images whose class is among the k most probable; k of `evaluate: { top_k: [...] }`. |\n"
    return text


def runs(names: list[str]) -> list[str]:
    """`blocks.0`, `blocks.1`, `blocks.2` as `blocks.0 .. 2`."""
    shown: list[str] = []
    for name in names:
        stem, dot, number = name.rpartition(".")
        last = shown[-1] if shown else ""
        if dot and number.isdigit() and last.startswith(f"{stem}.") and last.rsplit(".", 1)[-1].strip() == str(int(number) - 1):
            shown[-1] = f"{last.split(' .. ')[0]} .. {number}"
        else:
            shown.append(name)
    return shown


def commands(program: str) -> str:
    listed = ask(program, "--help").partition("Commands:\n")[2].partition("\n\n")[0]
    verbs = [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "]
    text = f"# Commands\n\n{COMMON}\n"
    for verb in verbs:
        if verb != "help":
            text += f"## {verb}\n\n```text\n{ask(program, verb, '--help').strip()}\n```\n\n"
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"


def name_of(schema: dict) -> str:
    return schema["$ref"].rpartition("/")[2]


def bounds(schema: dict) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f", {low:g} to {high:g}"
    return f", from {low:g}" if low is not None else f", up to {high:g}" if high is not None else ""


def sentence(text: str) -> str:
    """Rustdoc's links to names are only names here."""
    text = " ".join(text.split())
    return "".join(part if i % 2 == 0 else "" for i, part in enumerate(split_links(text)))


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def split_links(text: str) -> list[str]:
    """Text and the targets of links in turn: "[`mixup`](super::mixup)" gives "`mixup`", "super::mixup"."""
    parts = []
    while "](super::" in text:
        before, _, rest = text.partition("](super::")
        target, _, text = rest.partition(")")
        head, _, label = before.rpartition("[")
        parts += [head + label, target]
    return [*parts, text]


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def indent(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], "--check" in sys.argv[2:]))
