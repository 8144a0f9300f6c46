"""metrics.json as any training script may write it."""

import json

import pytest

from mc_assets.training_metrics import Epoch, History, TrainingMetrics, read_metrics

EPOCH = {"epoch": 1, "step": 9, "train_loss": 0.5, "test_loss": 0.4, "test_accuracy": 0.9}


def test_numbers_and_history_are_read() -> None:
    told = {"test_accuracy": 0.9, "steps": 9, "is_done": True, "losses": [[5, 1.5]]}
    found = read_metrics(json.dumps({**told, "epochs": [EPOCH]}).encode())
    assert found.numbers == {"test_accuracy": 0.9, "steps": 9.0}
    epoch = Epoch(step=9, train_loss=0.5, test_loss=0.4, test_accuracy=0.9)
    assert found.history == History(losses=((5, 1.5),), epochs=(epoch,))
    assert found.history.is_told
    assert found.problem == ""


def test_a_script_need_not_tell_a_history() -> None:
    found = read_metrics(b'{"test_accuracy": 0.9}')
    assert not found.history.is_told
    assert found.problem == ""


@pytest.mark.parametrize("text", [b"", b"no json", b"[0.9]", b"0.9", b"\xff"])
def test_what_is_no_object_tells_nothing(text: bytes) -> None:
    assert read_metrics(text) == TrainingMetrics()


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"epochs": [{"step": 9}]}, "train_loss"),
        ({"epochs": "3"}, "epochs"),
        ({"losses": [[1, float("nan")]]}, "finite"),
        ({"losses": [[1]]}, "losses"),
    ],
)
def test_a_history_of_another_form_is_a_problem_and_the_numbers_stay(told: dict, word: str) -> None:
    found = read_metrics(json.dumps({"test_accuracy": 0.9, **told}).encode())
    assert found.numbers == {"test_accuracy": 0.9}
    assert not found.history.is_told
    assert word in found.problem
