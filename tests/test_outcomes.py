"""The table of endings: every state of the API has its row, and only what may heal is retried."""

import botocore.session
import pytest

from mc_assets import outcomes

ENDED = {"Failed", "Stopped"}


def ending(status: str, **told: str) -> outcomes.Outcome:
    return outcomes.training_outcome({"TrainingJobStatus": status, **told})


@pytest.mark.parametrize(
    ("reason", "retryable"),
    [
        ("AlgorithmError: ValueError, exit code: 1", False),
        ("ClientError: No such image", False),
        ("InternalServerError: We encountered an internal error", True),
        ("CapacityError: Unable to provision requested ML compute capacity", True),
        ("SomethingNew: who knows", False),
        ("", False),
    ],
)
def test_a_failed_job_is_retried_only_where_the_fault_is_awss(reason: str, retryable: bool) -> None:
    assert ending("Failed", FailureReason=reason).is_retryable is retryable


def test_every_way_for_a_job_to_be_stopped_is_known_and_final() -> None:
    for word in ("Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"):
        outcome = ending("Stopped", SecondaryStatus=word)
        assert outcome is not outcomes.UNKNOWN
        assert not outcome.is_retryable


def test_an_unknown_status_is_final() -> None:
    assert ending("Deleting", SecondaryStatus="Deleting") is outcomes.UNKNOWN
    assert not outcomes.UNKNOWN.is_retryable


def test_the_words_of_the_table_are_those_of_the_api() -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    statuses = set(model.shape_for("TrainingJobStatus").metadata["enum"])
    secondary = set(model.shape_for("SecondaryStatus").metadata["enum"])
    assert {status for status, _ in outcomes.TRAINING} <= statuses
    assert {word for status, word in outcomes.TRAINING if status == "Stopped"} <= secondary


@pytest.mark.parametrize("code", ["ThrottlingException", "SlowDown", "InternalFailure", "503"])
def test_what_passes_by_itself_is_retried(code: str) -> None:
    assert outcomes.refusal_outcome(code).is_retryable


@pytest.mark.parametrize(
    "code",
    [
        "AccessDeniedException",
        "ResourceLimitExceeded",
        "ExpiredToken",
        "ValidationException",
        "New",
    ],
)
def test_what_does_not_is_not(code: str) -> None:
    assert not outcomes.refusal_outcome(code).is_retryable
