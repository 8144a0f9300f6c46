"""The table of endings: every state of the API has its row, and only what may heal is retried."""

import botocore.session
import pytest
from botocore.retries import standard

from mc_assets import outcomes

# What SecondaryStatus says of a job that still goes on: no end, so no row.
PHASES = {
    "Starting", "Pending", "LaunchingMLInstances", "PreparingTrainingStack", "Downloading",
    "DownloadingTrainingImage", "Training", "Interrupted", "Restarting", "Updating", "Uploading",
    "Stopping",
}  # fmt: skip


def ending(status: str, **told: str) -> outcomes.Outcome:
    return outcomes.training_outcome({"TrainingJobStatus": status, **told})


@pytest.mark.parametrize(
    ("reason", "retryable"),
    [
        ("AlgorithmError: ValueError, exit code: 1", False),
        ("ClientError: No such image", False),
        ("InternalServerError: We encountered an internal error", True),
        ("CapacityError: Unable to provision requested ML compute capacity", True),
        ("InternalServerError", True),
        ("SomethingNew: who knows", False),
        ("The job could not go on", False),
        ("", False),
    ],
)
def test_a_failed_job_is_retried_only_where_the_fault_is_awss(reason: str, retryable: bool) -> None:
    assert ending("Failed", FailureReason=reason).is_retryable is retryable


@pytest.mark.parametrize("reason", [{}, {"FailureReason": "The job could not go on"}])
def test_a_failure_without_a_kind_points_to_the_log(reason: dict[str, str]) -> None:
    assert "its log above may" in ending("Failed", **reason).advice


@pytest.mark.parametrize("reason", [{}, {"FailureReason": "ClientError: Stopped by somebody"}])
@pytest.mark.parametrize("word", ["Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"])
def test_every_way_for_a_job_to_be_stopped_is_known_and_final(
    word: str, reason: dict[str, str]
) -> None:
    outcome = ending("Stopped", SecondaryStatus=word, **reason)
    assert outcome is outcomes.TRAINING["Stopped", word]
    assert not outcome.is_retryable


def test_an_unknown_status_is_final() -> None:
    assert not outcomes.is_known("Paused")
    assert ending("Paused", SecondaryStatus="Paused") is outcomes.UNKNOWN
    assert not outcomes.UNKNOWN.is_retryable


def api_values(name: str) -> list[str]:
    model = botocore.session.get_session().get_service_model("sagemaker")
    return model.shape_for(name).metadata["enum"]


@pytest.mark.parametrize("status", api_values("TrainingJobStatus"))
def test_every_status_of_the_api_goes_on_or_is_an_end(status: str) -> None:
    ends = status in {outcomes.COMPLETED, *(ended for ended, _ in outcomes.TRAINING)}
    assert (status in outcomes.GOING_ON) is not ends
    assert outcomes.is_known(status)


@pytest.mark.parametrize("word", api_values("SecondaryStatus"))
def test_every_secondary_status_of_the_api_goes_on_or_is_an_end(word: str) -> None:
    ends = word in {outcomes.COMPLETED, *(word for _, word in outcomes.TRAINING)}
    assert (word in PHASES) is not ends


def test_the_words_of_the_table_are_those_of_the_api() -> None:
    secondary = set(api_values("SecondaryStatus"))
    assert {word for status, word in outcomes.TRAINING if status == "Stopped"} <= secondary
    assert set(outcomes.PHASES) <= secondary
    assert {*outcomes.GOING_ON, *(status for status, _ in outcomes.TRAINING)} <= set(
        api_values("TrainingJobStatus")
    )


def test_all_that_botocore_tries_again_may_be_tried_again_later() -> None:
    throttled = standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES
    transient = standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES
    statuses = standard.TransientRetryableChecker._TRANSIENT_STATUS_CODES
    for code in (*throttled, *transient, *map(str, statuses), "429"):
        assert outcomes.refusal_outcome(code).is_retryable, code


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AccessDeniedException", "permission"),
        ("403", "permission"),
        ("400", "renew the credentials"),
        ("ExpiredToken", "renew"),
        ("InvalidToken", "set others"),
        ("301", "AWS_DEFAULT_REGION"),
        ("PermanentRedirect", "AWS_DEFAULT_REGION"),
        ("AuthorizationHeaderMalformed", "AWS_DEFAULT_REGION"),
        ("AllAccessDisabled", "MC_BUCKET"),
        ("NoSuchBucket", "MC_BUCKET"),
        ("ResourceLimitExceeded", "Service Quotas"),
        ("RequestTimeTooSkewed", "clock"),
        ("ValidationException", "defs.yaml"),
        ("SomethingNew", "unknown here"),
    ],
)
def test_what_does_not_pass_by_itself_is_final_and_says_what_to_do(code: str, advice: str) -> None:
    outcome = outcomes.refusal_outcome(code)
    assert not outcome.is_retryable
    assert advice in outcome.advice


@pytest.mark.parametrize(
    ("status", "words", "retryable"),
    [
        (None, "", True),
        (408, "", True),
        (429, "Too many requests.", True),
        (500, "", True),
        (503, "The service is unavailable.", True),
        (400, "AnotherOperationInProgress", True),
        (409, "Cannot modify this site because another operation is in progress.", True),
        (409, "There is an auto swap deployment currently ongoing.", True),
        (400, "The allocation of instances has changed. Please retry the swap operation.", True),
        (401, "Authentication failed: HTTP Error: 503", True),
        (401, "Failed to resolve 'login.microsoftonline.com'", True),
        (400, "The location is not available for this resource type.", False),
        (401, "AADSTS7000215: Invalid client secret provided.", False),
        (401, "Operation cannot be completed without additional quota.", False),
        (403, "AuthorizationFailed", False),
        (404, "ResourceGroupNotFound", False),
        (409, "Website with given name already exists.", False),
        (409, "Cannot swap slots: the site is stopped.", False),
        (409, "Run-From-Zip is set to a remote URL using WEBSITE_RUN_FROM_PACKAGE.", False),
    ],
)
def test_a_refusal_by_azure_is_known_by_its_words_and_its_status(
    status: int | None, words: str, retryable: bool
) -> None:
    assert outcomes.azure_outcome(status, words).is_retryable is retryable


def test_every_state_of_a_deployment_goes_on_or_is_a_known_end() -> None:
    """Kudu's 0 to 4, and Flex Consumption's own -1, 5 and 6."""
    known = {state for state in outcomes.DEPLOYMENTS if isinstance(state, int)}
    assert outcomes.DEPLOYING | known | {outcomes.DEPLOYED} == set(range(-1, 7))
    assert len(outcomes.DEPLOYING) + len(known) + 1 == 8, "one is in two of them"


def test_only_a_deployment_that_gave_way_is_tried_again() -> None:
    retried = [state for state, (_, end) in outcomes.DEPLOYMENTS.items() if end.is_retryable]
    assert retried == [5]
    ended, outcome = outcomes.deployment_outcome(7)
    assert (ended, outcome) == ("ended as 7", outcomes.UNKNOWN)
