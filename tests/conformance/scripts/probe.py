"""A training script that tells all it can see of its container, and then ends as it is told to."""

import json
import os
import signal
import sys
import time
from pathlib import Path

BASE = Path(os.environ["SM_MODEL_DIR"]).parent
OUTPUT = Path(os.environ["SM_OUTPUT_DATA_DIR"])


def main(end: str) -> None:
    told = {
        "environment": dict(os.environ),
        "argv": sys.argv,
        "folder": str(Path.cwd()),
        "imports_from": sys.path[0],
        "umask": os.umask(0o022),
        "tree": tree(),
        "config": {
            path.stem: json.loads(path.read_text())
            for path in (BASE / "input" / "config").glob("*.json")
        },
    }
    (OUTPUT / "probe.json").write_text(json.dumps(told))
    Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("a model")
    {"well": lambda: None, "raise": throw, "exit": leave, "tell": tell, "wait": wait}[end]()


def tree() -> list[str]:
    """Every file, and every folder with nothing in it, less the SDK's own drivers."""
    paths = sorted(BASE.rglob("*"))
    parents = {path.parent for path in paths}
    return [
        path.relative_to(BASE).as_posix() + ("/" if path.is_dir() else "")
        for path in paths
        if path not in parents and "sm_drivers" not in path.parts
    ]


def throw() -> None:
    raise ValueError("no such optimizer")


def leave() -> None:
    sys.exit(3)


def tell() -> None:
    (BASE / "output" / "failure").write_text("the loss is not a number")
    sys.exit(3)


def wait() -> None:
    """Until SIGTERM, which it notes."""

    def heard(*_: object) -> None:
        (OUTPUT / "heard").write_text("SIGTERM")
        sys.exit(0)

    signal.signal(signal.SIGTERM, heard)
    (OUTPUT / "pid").write_text(str(os.getpid()))
    sys.stdout.write("waiting\n")
    sys.stdout.flush()
    time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--end") + 1])
