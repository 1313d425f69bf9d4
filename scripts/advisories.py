"""Checks the locked crates against a snapshot of what is known about them.

    python3 scripts/advisories.py check      what .ci/run does: needs no network
    python3 scripts/advisories.py refresh    takes a new snapshot: needs the registry, cargo-deny and, for advisories,
                                             the RustSec advisory database

The snapshot (scripts/advisories.json) lists every locked crate version, those that are yanked, and the advisories that
cargo-deny has found for them. The check fails if the snapshot is older than 60 days, if a locked version is not in it, or
if it has a yanked version or an advisory. A snapshot that was taken without the advisory database says so, and so does
the check: it then covers yanked versions only.
"""

import datetime
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
SNAPSHOT = ROOT / "scripts" / "advisories.json"
DAYS_MAX = 60


def locked():
    """Returns the locked crates that come from a registry, as sorted pairs of name and version."""
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    return sorted((package["name"], package["version"]) for package in packages if "source" in package)


def index_path(name):
    """Returns the path of a crate within a registry index."""
    folders = {1: "1", 2: "2", 3: f"3/{name[0]}"}
    return f"{folders.get(len(name), f'{name[:2]}/{name[2:4]}')}/{name}".lower()


def is_yanked(caches, name, version):
    """Returns whether a version is yanked, from the index entries that cargo has cached and just refreshed."""
    for cache in caches:
        entry = cache / index_path(name)
        if entry.exists():
            for part in entry.read_bytes().split(b"\0"):
                if part.startswith(b"{"):
                    release = json.loads(part)
                    if release["vers"].split("+")[0] == version.split("+")[0]:
                        return release["yanked"]
    raise SystemExit(f"{name} {version} is not in cargo's index cache")


def find_advisories():
    """Returns the advisories that cargo-deny finds, or None if the advisory database cannot be fetched."""
    subprocess.run(["cargo", "deny", "--version"], cwd=ROOT, capture_output=True, check=True)
    fetched = subprocess.run(["cargo", "deny", "fetch", "db"], cwd=ROOT, capture_output=True, timeout=120, check=False)
    if fetched.returncode != 0:
        return None
    deny = ["cargo", "deny", "--format", "json", "check", "--disable-fetch", "advisories"]
    output = subprocess.run(deny, cwd=ROOT, capture_output=True, text=True, check=False).stderr
    fields = [json.loads(line)["fields"] for line in output.splitlines() if '"diagnostic"' in line]
    found = [field["advisory"] for field in fields if field.get("advisory")]
    return sorted({f"{advisory['id']} {advisory['package']}: {advisory['title']}" for advisory in found})


def refresh():
    subprocess.run(["cargo", "update", "--dry-run", "--quiet"], cwd=ROOT, check=True)
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    caches = list((home / "registry" / "index").glob("*/.cache"))
    snapshot = {
        "taken": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "yanked": [f"{name} {version}" for name, version in locked() if is_yanked(caches, name, version)],
        "advisories": find_advisories(),
        "crates": [f"{name} {version}" for name, version in locked()],
    }
    SNAPSHOT.write_text(json.dumps(snapshot, indent=1) + "\n")
    return check()


def check():
    snapshot = json.loads(SNAPSHOT.read_text())
    crates = [f"{name} {version}" for name, version in locked()]
    age = (datetime.datetime.now(datetime.UTC).date() - datetime.date.fromisoformat(snapshot["taken"])).days
    advisories = snapshot["advisories"]
    errors = [f"{crate} is locked and not in the snapshot" for crate in sorted(set(crates) - set(snapshot["crates"]))]
    errors += [f"{crate} is yanked" for crate in snapshot["yanked"] if crate in crates]
    errors += advisories or []
    if age > DAYS_MAX:
        errors.append(f"the snapshot is {age} days old; {DAYS_MAX} are allowed")
    print(f"{len(crates)} crates, snapshot of {snapshot['taken']}, {len(snapshot['yanked'])} yanked versions")
    if advisories is None:
        print("NOT COVERED: advisories. The RustSec database was not reachable when the snapshot was taken.")
    for error in errors:
        print(f"error: {error}")
    if errors:
        print(
            "After an update of dependencies, run python3 scripts/advisories.py refresh where the registry is reachable."
        )
    return 1 if errors else 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["check"]:
            sys.exit(check())
        case ["refresh"]:
            sys.exit(refresh())
        case _:
            sys.exit(__doc__)
