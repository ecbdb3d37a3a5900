#!/usr/bin/env python3
"""Asks the real yaml-language-server for completion, hover and errors in the examples, by the schemas that they name.

It needs node and npm, and installs a pinned version into the cache folder once. Where that cannot be had the test is
skipped with the reason: editors are no part of what must work offline.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

VERSION = "1.19.2"
ROOT = pathlib.Path(__file__).resolve().parent.parent
TIMEOUT = 60


def cache_folder():
    for name, below in (("THAWLINE_CACHE", ""), ("XDG_CACHE_HOME", "thawline")):
        if os.environ.get(name):
            return pathlib.Path(os.environ[name]) / below
    return pathlib.Path.home() / ".cache" / "thawline"


def skip(reason):
    print(f"language server: skipped, {reason}")
    sys.exit(0)


def server():
    """The server's program, installed if it is not there."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node:
        skip("there is no node")
    folder = cache_folder() / f"yaml-language-server-{VERSION}"
    program = folder / "node_modules/yaml-language-server/bin/yaml-language-server"
    if not program.is_file():
        if not npm:
            skip("there is no npm")
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        partial.mkdir(parents=True)
        install = [npm, "install", "--prefix", str(partial), "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            done = subprocess.run(
                [*install, f"yaml-language-server@{VERSION}"], capture_output=True, text=True, timeout=300
            )
            if done.returncode != 0:
                skip(f"npm could not install it: {done.stderr.strip()[-300:]}")
            if not folder.exists():
                partial.rename(folder)
        except subprocess.TimeoutExpired:
            skip("npm took more than 5 minutes")
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return [node, str(program), "--stdio"]


class Client:
    """Speaks the language server protocol with a process."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.sent = 0
        self.diagnostics = {}
        self.request("initialize", {"processId": os.getpid(), "rootUri": ROOT.as_uri(), "capabilities": {
            "workspace": {"configuration": True},
            "textDocument": {"completion": {"completionItem": {"snippetSupport": True}}, "hover": {"contentFormat": ["markdown"]}},
        }})
        self.notify("initialized", {})

    def write(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.process.stdin.flush()

    def read(self):
        length = 0
        while line := self.process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if not length:
            raise SystemExit("language server: it ended without an answer")
        return json.loads(self.process.stdout.read(length))

    def notify(self, method, params):
        self.write({"method": method, "params": params})

    def handle(self, message):
        """Answers what the server asks, keeps what it tells."""
        if message.get("method") == "workspace/configuration":
            settings = {"validate": True, "hover": True, "completion": True, "schemaStore": {"enable": False}}
            answer = [settings if item.get("section") == "yaml" else {} for item in message["params"]["items"]]
            self.write({"id": message["id"], "result": answer})
        elif message.get("method") == "textDocument/publishDiagnostics":
            self.diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            self.write({"id": message["id"], "result": None})

    def request(self, method, params):
        self.sent += 1
        self.write({"id": self.sent, "method": method, "params": params})
        while True:
            message = self.read()
            if message.get("id") == self.sent and "method" not in message:
                if "error" in message:
                    raise SystemExit(f"language server: {method}: {message['error']}")
                return message["result"]
            self.handle(message)

    def open(self, name, text):
        """Opens a text as if it lay in the project, and waits for what the server says of it."""
        uri = (ROOT / name).as_uri()
        self.diagnostics.pop(uri, None)
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})
        while uri not in self.diagnostics:
            self.handle(self.read())
        return uri

    def completions(self, uri, line, column):
        at = {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}
        found = self.request("textDocument/completion", at)
        items = found["items"] if isinstance(found, dict) else found or []
        return [item["label"] for item in items]

    def hover(self, uri, line, column):
        at = {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}
        found = self.request("textDocument/hover", at)
        contents = (found or {}).get("contents", "")
        return contents["value"] if isinstance(contents, dict) else str(contents)


def place(text, marker):
    """Line and column just behind the marker, both from 0."""
    before = text[: text.index(marker) + len(marker)]
    return before.count("\n"), len(before) - before.rfind("\n") - 1


def expect(what, wanted, found):
    missing = [item for item in wanted if item not in found]
    if missing:
        raise SystemExit(f"language server: {what}: no {missing} in {str(found)[:1000]}")
    print(f"language server: {what}: {', '.join(wanted)}")


PIPELINE = """# yaml-language-server: $schema=../schemas/pipeline.schema.json
stages:
  photos:
    dataset:
      image_folder: data/photos
      s
  views:
    augment:
      images: photos
      size: 224
      train:
        - h
  features:
    extract_features:
      images: views
      backbone: 
      weights: imagenet
  probe:
    train_head:
      features: features
      optimizer:
        s
  other:
    e
"""

EXPERIMENT = """# yaml-language-server: $schema=../schemas/experiment.schema.json
arms:
  a:
    pipeline: ../pipelines/elpv-fine-tuning.yaml
metric:
  name: 
  g
"""


def main():
    client = Client(server())
    for path in sorted([*ROOT.glob("pipelines/*.yaml"), *ROOT.glob("experiments/*.yaml")]):
        name = str(path.relative_to(ROOT))
        uri = client.open(name, path.read_text(encoding="utf-8"))
        if client.diagnostics[uri]:
            raise SystemExit(f"language server: {name}: {client.diagnostics[uri]}")
    print("language server: no example has an error")

    uri = client.open("pipelines/new.yaml", PIPELINE)
    at = lambda marker: client.completions(uri, *place(PIPELINE, marker))
    expect("keys of a dataset", ["split", "stratify", "seed", "sample"], at("data/photos\n      s"))
    expect("transforms", ["horizontal_flip"], at("        - h"))
    expect("backbones", ["resnet18", "efficientnet_lite0", "vit_b_16"], at("backbone: "))
    expect("optimizers", ["sgd", "adamw"], at("optimizer:\n        s"))
    expect("stage kinds", ["evaluate", "extract_features"], at("other:\n    e"))
    hover = lambda marker: client.hover(uri, *place(PIPELINE, marker))
    expect("hover over size", ["in pixels"], hover("      si"))
    expect("hover over image_folder", ["relative to the project"], hover("      image_fo"))
    expect("hover over a kind", ["trains a linear or MLP head"], hover("    train_he"))

    uri = client.open("experiments/new.yaml", EXPERIMENT)
    at = lambda marker: client.completions(uri, *place(EXPERIMENT, marker))
    expect("metrics", ["val/accuracy", "val/balanced_accuracy"], at("name: "))
    expect("keys of a metric", ["goal"], at("\n  g"))

    wrong = client.open("pipelines/wrong.yaml", PIPELINE.replace("size: 224", "size: big").replace("      s\n", ""))
    said = " ".join(item["message"] for item in client.diagnostics[wrong])
    expect("a wrong size is marked", ["integer"], said)
    client.request("shutdown", None)
    client.notify("exit", None)
    client.process.wait(timeout=TIMEOUT)


if __name__ == "__main__":
    main()
