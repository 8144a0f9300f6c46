"""Errors as AWS words them: a code, a message, an HTTP status."""


class AwsError(Exception):
    """A refusal the client is to see."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def validation_error(message: str) -> AwsError:
    return AwsError("ValidationException", message)


class TrainingFailure(Exception):  # noqa: N818 - SageMaker's word: a job has a FailureReason
    """Why a training job failed, in the words of its FailureReason, prefix included."""


def client_error(message: str) -> TrainingFailure:
    """A failure the caller's request caused: missing data, an unreadable archive."""
    return TrainingFailure(f"ClientError: {message}")


def internal_error(message: str) -> TrainingFailure:
    """A failure of the service itself; RetryStrategy and careful callers may try again."""
    return TrainingFailure(f"InternalServerError: {message}")
