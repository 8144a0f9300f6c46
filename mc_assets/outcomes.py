"""What a cloud's last word on a job, a deployment or a call means for the run: one table.

Every failure a stage raises takes its advice, and whether a retry can help, from here. What is not
in a table is permanent: an unknown word is a reason to look, not to try again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to do about it, and whether the same request may go well a minute later."""

    advice: str
    is_retryable: bool = False


UNKNOWN = Outcome(
    "This is unknown here: look at it in the cloud's own console before running again."
)
VANISHED = Outcome("It was deleted while this run waited for it: run again to train anew.")
WITHOUT_ARCHIVE = Outcome("The script saved nothing to SM_MODEL_DIR: mend it, then run again.")

# The TrainingJobStatus of a job that still goes on, be it to its end, and of the one good end.
ENDING = frozenset({"Stopping", "Deleting"})
GOING_ON = ENDING | {"InProgress"}
COMPLETED = "Completed"

# How training jobs end otherwise, by TrainingJobStatus and SecondaryStatus; a failed one by its
# FailureReason's word before the colon. source: SageMaker's API reference, DescribeTrainingJob.
TRAINING: Mapping[tuple[str, str], Outcome] = {
    ("Stopped", "Stopped"): Outcome("Somebody stopped it: run again to train anew."),
    ("Stopped", "MaxRuntimeExceeded"): Outcome(
        "It ran for longer than training.max_runtime in defs.yaml: raise it, or train less."
    ),
    ("Stopped", "MaxWaitTimeExceeded"): Outcome(
        "No spot capacity came within training.max_wait in defs.yaml: raise it, or turn spot off."
    ),
    ("Failed", "Failed"): Outcome("SageMaker named no kind of fault: its log above may."),
    ("Failed", "AlgorithmError"): Outcome("The script failed: its log above says where."),
    ("Failed", "ClientError"): Outcome(
        "SageMaker could not use what it was given: put data, image or role right."
    ),
    ("Failed", "InternalServerError"): Outcome("The fault was SageMaker's.", is_retryable=True),
    ("Failed", "CapacityError"): Outcome(
        "AWS had no such instance free: try later, or choose another training.instance_type.",
        is_retryable=True,
    ),
}

# What SageMaker does by itself in a phase, where its name alone reads like an end.
PHASES: Mapping[str, str] = {
    "Interrupted": "its spot capacity was taken back; it goes on when there is some again",
    "Restarting": "SageMaker starts it anew by itself",
}

# How AWS refuses a call, by the error's code: the common errors of its APIs, S3's own, and all that
# botocore tries again. What it has tried in vain may still go well on the step's next try, minutes
# later. An answer to HEAD has no body to name a code: there it is the status.
_WAIT = Outcome("AWS asked for fewer calls.", is_retryable=True)
_FAULT = Outcome("The fault was AWS's.", is_retryable=True)
_UNDER_WAY = Outcome("Something else was under way there.", is_retryable=True)
_RENEW = Outcome("The credentials have run out: renew them, then run again.")
_DENIED = Outcome("The caller lacks the permission: docs/cloud-setup.md lists what is needed.")
_CLOCK = Outcome("This machine's clock may be wrong: set it, then run again.")
_CREDENTIALS = Outcome("AWS does not know these credentials: set others, then run again.")
_SIGNATURE = Outcome(
    "Either the secret key is wrong or this machine's clock is: put it right, then run again."
)
_REQUEST = Outcome("The request is wrong: put it right in defs.yaml.")
_REGION = Outcome("The bucket is in another region: name that one in AWS_DEFAULT_REGION.")
REFUSALS: Mapping[str, Outcome] = {
    code: outcome
    for outcome, codes in {
        _WAIT: "Throttling ThrottlingException ThrottledException EC2ThrottledException "
        "RequestThrottled RequestThrottledException TooManyRequestsException SlowDown "
        "RequestLimitExceeded LimitExceededException BandwidthLimitExceeded "
        "ProvisionedThroughputExceededException 429",
        _FAULT: "InternalFailure InternalServerError InternalServerException InternalError "
        "ServiceUnavailable ServiceUnavailableException RequestTimeout RequestTimeoutException "
        "408 500 502 503 504",
        _UNDER_WAY: "OperationAborted PriorRequestNotComplete TransactionInProgressException",
        _RENEW: "ExpiredToken ExpiredTokenException",
        _DENIED: "AccessDenied AccessDeniedException NotAuthorized UnauthorizedOperation 403",
        _CLOCK: "RequestExpired RequestTimeTooSkewed",
        _CREDENTIALS: "UnrecognizedClientException InvalidClientTokenId InvalidAccessKeyId "
        "InvalidToken AuthFailure MissingAuthenticationTokenException OptInRequired 401",
        _SIGNATURE: "InvalidSignatureException SignatureDoesNotMatch IncompleteSignature",
        _REQUEST: "ValidationException ValidationError",
        _REGION: "PermanentRedirect AuthorizationHeaderMalformed 301",
    }.items()
    for code in codes.split()
} | {
    "400": Outcome(
        "S3 does not say why; as a rule the session's token has run out: renew the credentials, "
        "then run again."
    ),
    "AllAccessDisabled": Outcome(
        "AWS has closed this bucket: ask AWS's support, or name another one in MC_BUCKET."
    ),
    "NoSuchBucket": Outcome(
        "MC_BUCKET names a bucket that is not there: make it, or name another."
    ),
    "ResourceLimitExceeded": Outcome(
        "The account's quota does not allow it: ask AWS to raise it under Service Quotas, or "
        "choose another training.instance_type."
    ),
}

# How Azure refuses a call: by words in its code or message, else by the answer's status.
# Microsoft.Web has one code, Conflict, for nearly everything, and 401 for a quota. azure-identity
# makes all that happens at the login an authentication error: a network that is down only its text
# tells from a wrong secret.
_BUSY = Outcome(
    "Something else is being done to it: once that has ended this can be tried again.",
    is_retryable=True,
)
UNREACHED = Outcome("The network or the service was down.", is_retryable=True)
_AZURES_FAULT = Outcome("The fault was Azure's.", is_retryable=True)
UNTRUSTED = Outcome(
    "Set this machine's clock if it is wrong; if a proxy answers in Azure's place, name its "
    "authority in REQUESTS_CA_BUNDLE."
)
_AZURE_QUOTA = Outcome(
    "The subscription's quota does not allow it: ask Azure to raise it, or choose another "
    "hosting.plan or hosting.location."
)
AZURE_WORDS: Mapping[str, Outcome] = {
    "certificate verify failed": UNTRUSTED,
    "WEBSITE_RUN_FROM_PACKAGE": Outcome(
        "That setting has the app run a package from elsewhere: remove it, then run again."
    ),
    "additional quota": _AZURE_QUOTA,
    "QuotaExceeded": _AZURE_QUOTA,
    "in progress": _BUSY,  # of a plan, a site or a slot; of a deployment in the SCM site's words
    "currently ongoing": _BUSY,  # an auto-swap, in the SCM site's
    "InProgress": _BUSY,  # AnotherOperation, StorageAccountOperation
    "ResourceGroupBeingDeleted": Outcome(
        "It is still being deleted: once it is gone this can be tried again.", is_retryable=True
    ),
    "Please retry": Outcome("Azure asks to try it again.", is_retryable=True),
    "RetryableError": Outcome("Azure asks to try it again.", is_retryable=True),
    "Failed to establish a new connection": UNREACHED,
    "Failed to resolve": UNREACHED,
    "Connection aborted": UNREACHED,
    "Connection broken": UNREACHED,
    "timed out": UNREACHED,
    "failed: HTTP Error: 5": _AZURES_FAULT,
}
AZURE_STATUSES: Mapping[int, Outcome] = {
    401: Outcome(
        "The credentials are not accepted: renew them, and set this machine's clock if it is "
        "wrong; then run again."
    ),
    403: _DENIED,
    408: _AZURES_FAULT,
    429: Outcome("Azure asked for fewer calls.", is_retryable=True),
}
_AS_TOLD = Outcome("Put right what Azure says, then run again.")

# How deployments end, by the record's status, or by Resource Manager's word for what no record
# says. source: Kudu's DeployStatus; -1, 5 and 6 are Flex Consumption's own.
DEPLOYING = frozenset({0, 1, 2})
DEPLOYED = 4
DEPLOYMENTS: Mapping[int | str, tuple[str, Outcome]] = {
    3: ("failed", Outcome("Its log says why.")),
    -1: ("was cancelled", Outcome("Find out who did, then run again.")),
    5: (
        "gave way to another",
        Outcome("Let that one end, then run again.", is_retryable=True),
    ),
    6: ("succeeded in part", Outcome("Not every instance took it: run again with redeploy.")),
    # Tried again at once it would be refused, or built a second time.
    "TimedOut": (
        "did not end",
        Outcome("It may still be going on: look at the app's Deployment Center, then run again."),
    ),
    "RuntimeFailed": (
        "brought an app that does not start",
        Outcome("The package cannot be imported there: its log says why."),
    ),
}


def is_known(status: str) -> bool:
    """Whether this TrainingJobStatus is one whose meaning is written down here."""
    return status in {*GOING_ON, COMPLETED, *(ended for ended, _ in TRAINING)}


def training_outcome(job: Mapping[str, Any]) -> Outcome:
    """What it means that a training job did not complete, from DescribeTrainingJob's answer."""
    status = job["TrainingJobStatus"]
    if status != "Failed":
        return TRAINING.get((status, job.get("SecondaryStatus") or status), UNKNOWN)
    kind, colon, _ = job.get("FailureReason", "").partition(":")
    return TRAINING.get((status, kind), UNKNOWN if colon else TRAINING[status, status])


def last_word(job: Mapping[str, Any]) -> str:
    """Why the job ended, as SageMaker puts it."""
    return job.get("FailureReason") or job.get("SecondaryStatus") or job["TrainingJobStatus"]


def refusal_outcome(code: str) -> Outcome:
    return REFUSALS.get(code, UNKNOWN)


def azure_outcome(status: int | None, words: str = "") -> Outcome:
    """What a refusal by Azure means; its words tell more than the status of the answer."""
    for word, outcome in AZURE_WORDS.items():
        if word in words:
            return outcome
    if status is None or status >= 500:
        return _AZURES_FAULT
    return AZURE_STATUSES.get(status, _AS_TOLD)


def deployment_outcome(state: int | str) -> tuple[str, Outcome]:
    """How a deployment ended, in words, and what that means."""
    return DEPLOYMENTS.get(state, (f"ended as {state!r}", UNKNOWN))
