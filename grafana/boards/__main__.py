"""Generates grafana/dashboards/*.json from the boards in this folder: python3 grafana/boards (--check only compares)."""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import dependencies
import gateway
import overview
import payments
import settlement
import stock

FOLDER = Path(__file__).parent.parent / "dashboards"


def main():
    boards = [module.BOARD for module in (overview, gateway, settlement, stock, dependencies, payments)]
    wanted = {FOLDER / f"{board['uid']}.json": json.dumps(board, indent=2) + "\n" for board in boards}
    if "--check" not in sys.argv[1:]:
        for path in FOLDER.glob("*.json"):
            path.unlink()
        for path, text in wanted.items():
            path.write_text(text)
        return
    found = {path: path.read_text() for path in FOLDER.glob("*.json")}
    others = sorted(path.name for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))
    if others:
        sys.exit(f"differs from grafana/boards (run python3 grafana/boards to regenerate): {', '.join(others)}")


main()
