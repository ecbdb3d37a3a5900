"""Runs one side of one row, and prints what it took as a line of JSON."""

import importlib
import json
import sys
from pathlib import Path

from row import Place

if __name__ == "__main__":
    name, side, root = sys.argv[1:]
    row = importlib.import_module(f"rows.{name}").ROW
    function = row.prepare if side == "prepare" else row.sides[side]
    print(json.dumps(function(Place(Path(root), Path(root) / "rows" / name)) or {}))
