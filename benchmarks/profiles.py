"""Where the time goes, as pictures: `python benchmarks/profiles.py` draws docs/images anew.

A training epoch by kinds of operators, and a classify call by its parts, of both sides. The picture
of `make run` is drawn with the results, by bench.py.
"""

import sys

from speed import plots, profile_classify
from speed.measuring import run_python
from speed.workshop import BENCHMARKS, ROOT, Workshop

IMAGES = ROOT / "docs" / "images"
TRAINING = BENCHMARKS / "speed" / "profile_training.py"


def main() -> int:
    workshop = Workshop()
    sides = {
        name: run_python([TRAINING, name, workshop.data]).said for name in ("walkthrough", "ours")
    }
    plots.draw_shares(sides, IMAGES / "performance-training.png")
    plots.draw_parts(profile_classify.parts(workshop), IMAGES / "performance-classify.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
