"""What the tests of the whole graph share."""

import shutil
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def linear_code(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of training code whose job takes a moment."""
    folder = tmp_path_factory.mktemp("linear-code")
    shutil.copy(TESTS / "linear_training.py", folder / "train.py")
    shutil.copy(TESTS / "tiny_onnx.py", folder)
    return str(folder)
