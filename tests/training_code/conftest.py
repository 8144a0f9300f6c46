"""Puts training_code on the path, as the folder of a script that runs there would be."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "training_code"))
