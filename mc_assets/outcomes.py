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

# How training jobs end, by TrainingJobStatus and FailureReason's word before the colon or, where
# there is none, SecondaryStatus. source: SageMaker's API reference, DescribeTrainingJob.
TRAINING: Mapping[tuple[str, str], Outcome] = {
    ("Stopped", "Stopped"): Outcome("Somebody stopped it: run again to train anew."),
    ("Stopped", "MaxRuntimeExceeded"): Outcome(
        "It ran for longer than training.max_runtime in defs.yaml: raise it, or train less."
    ),
    ("Stopped", "MaxWaitTimeExceeded"): Outcome(
        "No spot capacity came within training.max_wait in defs.yaml: raise it, or turn spot off."
    ),
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

# How AWS refuses a call, by the error's code. What botocore has retried in vain may still go well
# on the step's next try, minutes later.
_WAIT = Outcome("AWS asked for fewer calls.", is_retryable=True)
_FAULT = Outcome("The fault was AWS's.", is_retryable=True)
_RENEW = Outcome("The credentials have run out: renew them, then run again.")
_DENIED = Outcome("The caller lacks the permission: docs/cloud-setup.md lists what is needed.")
_CLOCK = Outcome("This machine's clock may be wrong: set it, then run again.")
_CREDENTIALS = Outcome("AWS does not know these credentials: set others, then run again.")
_SIGNATURE = Outcome(
    "Either the secret key is wrong or this machine's clock is: put it right, then run again."
)
REFUSALS: Mapping[str, Outcome] = {
    "ThrottlingException": _WAIT,
    "Throttling": _WAIT,
    "TooManyRequestsException": _WAIT,
    "SlowDown": _WAIT,
    "RequestLimitExceeded": _WAIT,
    "InternalFailure": _FAULT,
    "InternalServerError": _FAULT,
    "InternalError": _FAULT,
    "ServiceUnavailable": _FAULT,
    "500": _FAULT,
    "502": _FAULT,
    "503": _FAULT,
    "504": _FAULT,
    "ExpiredToken": _RENEW,
    "ExpiredTokenException": _RENEW,
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "RequestExpired": _CLOCK,
    "RequestTimeTooSkewed": _CLOCK,
    "InvalidSignatureException": _SIGNATURE,
    "SignatureDoesNotMatch": _SIGNATURE,
    "UnrecognizedClientException": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "ResourceLimitExceeded": Outcome(
        "The account's quota does not allow it: ask AWS to raise it under Service Quotas, or "
        "choose another training.instance_type."
    ),
    "ValidationException": Outcome("The request is wrong: put it right in defs.yaml."),
    "NoSuchBucket": Outcome(
        "MC_BUCKET names a bucket that is not there: make it, or name another."
    ),
}

# How deployments end, by the record's status. source: Kudu's DeployStatus; -1, 5 and 6 are Flex
# Consumption's own.
DEPLOYED = 4
DEPLOYMENTS: Mapping[int, tuple[str, Outcome]] = {
    3: ("failed", Outcome("Its log says why.")),
    -1: ("was cancelled", Outcome("Find out who did, then run again.")),
    5: (
        "gave way to another",
        Outcome("Let that one end, then run again.", is_retryable=True),
    ),
    6: ("succeeded in part", Outcome("Not every instance took it: run again with redeploy.")),
}


def training_outcome(job: Mapping[str, Any]) -> Outcome:
    """What it means that a training job did not complete, from DescribeTrainingJob's answer."""
    return TRAINING.get((job["TrainingJobStatus"], last_word(job).partition(":")[0]), UNKNOWN)


def last_word(job: Mapping[str, Any]) -> str:
    """Why the job ended, as SageMaker puts it."""
    return job.get("FailureReason") or job.get("SecondaryStatus") or job["TrainingJobStatus"]


def refusal_outcome(code: str) -> Outcome:
    return REFUSALS.get(code, UNKNOWN)
