"""The faults of a network, and how each cloud puts into words what it refuses."""

import json

from fault_proxy import Answer

THROTTLED, FAILING, UNAVAILABLE = "throttled", "500", "503"
RESET, SLOW, TRUNCATED, NOT_JSON = "reset", "slow", "truncated", "not JSON"
EXPIRED, SKEWED = "expired token", "clock skew"
FAULTS = (
    THROTTLED, FAILING, UNAVAILABLE, RESET, SLOW, TRUNCATED, NOT_JSON, EXPIRED, SKEWED,
)  # fmt: skip


def _xml(status: int, code: str, message: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, {"Content-Type": "application/xml"}, body.encode())


def _aws(status: int, code: str, message: str) -> Answer:
    body = json.dumps({"__type": code, "message": message}).encode()
    return Answer(status, {"Content-Type": "application/x-amz-json-1.1"}, body)


def arm_answer(status: int, code: str, message: str, **headers: str) -> Answer:
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"Content-Type": "application/json", **named}, body)


def web_answer(status: int, code: str, message: str) -> Answer:
    """In the form that Microsoft.Web has for itself."""
    body = json.dumps({"Code": code, "Message": message, "Details": [{"Message": message}]})
    return Answer(status, {"Content-Type": "application/json"}, body.encode())


def text_answer(status: int, message: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"Content-Type": "text/plain", **named}, message.encode())


def words_of(refusal: Answer) -> str:
    """What the cloud says to a person, without the form that it has."""
    text = refusal.body.decode()
    if "<Message>" in text:
        return text.partition("<Message>")[2].partition("</Message>")[0].rstrip(".")
    if not text.startswith("{"):
        return text
    told = json.loads(text)
    return told.get("error", told)["message"].rstrip(".")


S3 = {
    THROTTLED: _xml(503, "SlowDown", "Please reduce your request rate."),
    FAILING: _xml(500, "InternalError", "We encountered an internal error. Please try again."),
    UNAVAILABLE: _xml(503, "ServiceUnavailable", "Service is unable to handle request."),
    EXPIRED: _xml(400, "ExpiredToken", "The provided token has expired."),
    SKEWED: _xml(
        403,
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
    ),
}
AWS = {
    THROTTLED: _aws(400, "ThrottlingException", "Rate exceeded"),
    FAILING: _aws(500, "InternalFailure", "The request processing has failed."),
    UNAVAILABLE: _aws(503, "ServiceUnavailable", "The server is temporarily unable to answer."),
    EXPIRED: _aws(
        400, "ExpiredTokenException", "The security token included in the request is expired"
    ),
    SKEWED: _aws(
        400, "InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier"
    ),
}
ARM = {
    THROTTLED: arm_answer(
        429,
        "TooManyRequests",
        "The request is being throttled.",
        Retry_After="1",
    ),
    FAILING: arm_answer(500, "InternalServerError", "Encountered internal server error."),
    UNAVAILABLE: arm_answer(503, "ServerBusy", "The server is busy.", Retry_After="1"),
    EXPIRED: arm_answer(401, "ExpiredAuthenticationToken", "The access token expired."),
}
SCM = {
    THROTTLED: text_answer(429, "Too many requests.", Retry_After="1"),
    FAILING: text_answer(500, "An error has occurred."),
    UNAVAILABLE: text_answer(503, "The service is unavailable."),
    EXPIRED: text_answer(
        401, "401 - Unauthorized: the token has expired.", WWW_Authenticate="Bearer"
    ),
}
FUNCTION = {
    THROTTLED: text_answer(429, "Rate limit is exceeded.", Retry_After="1"),
    FAILING: text_answer(500, "Function host is not running."),
    UNAVAILABLE: text_answer(503, "Function host is not running."),
    EXPIRED: text_answer(401, "The key is no longer valid."),
}
