"""A training script as a user has one: it fits a slope to numbers, and tells how it goes."""

import argparse
import json
import os
import sys
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds after each epoch")
    arguments, _ = parser.parse_known_args()
    points = read_points(Path(os.environ["SM_CHANNEL_TRAINING"]))
    slope = 0.0
    for epoch in range(1, arguments.epochs + 1):
        gradient = sum(2 * x * (slope * x - y) for x, y in points) / len(points)
        slope -= arguments.learning_rate * gradient
        loss = sum((slope * x - y) ** 2 for x, y in points) / len(points)
        say(f"epoch={epoch} loss={loss:.6f};")
        time.sleep(arguments.pause)
    model = {"slope": slope, **vars(arguments), "channels": json.loads(os.environ["SM_CHANNELS"])}
    (Path(os.environ["SM_MODEL_DIR"]) / "model.json").write_text(json.dumps(model))
    (Path(os.environ["SM_OUTPUT_DATA_DIR"]) / "curve.txt").write_text("done")


def read_points(folder: Path) -> list[tuple[float, float]]:
    rows = [line.split(",") for line in (folder / "points.csv").read_text().splitlines()]
    return [(float(x), float(y)) for x, y in rows]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
