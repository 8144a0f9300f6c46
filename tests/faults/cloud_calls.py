"""The calls that are disturbed: which requests they are, and what becomes of each fault."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from disturbed_calls import (
    Place,
    Prepared,
    classifying,
    deploying,
    making_an_app,
    reading,
    training,
    warming,
    writing,
)
from fault_proxy import Answer, Request
from refusals import (
    ARM,
    AWS,
    EXPIRED,
    FAILING,
    FAULTS,
    FUNCTION,
    NOT_JSON,
    RESET,
    S3,
    SCM,
    SKEWED,
    SLOW,
    TRUNCATED,
)

# A body that cannot be read is its caller's affair: clients do not ask for it again.
UNREAD = {TRUNCATED: 1, NOT_JSON: 1}
# What was sent has arrived, and is found under way.
ARRIVED = frozenset({RESET, SLOW, TRUNCATED, NOT_JSON})
GONE = frozenset({EXPIRED, SKEWED})


@dataclass(frozen=True)
class Call:
    """One call of one cloud.

    Args:
        tries: how often it is made at most where every answer is spoilt; `unlike` where it differs.
        unharmed: faults that do not matter to it.
        final: faults of which its failure says that no retry helps.
        skips: how many such calls go by before the fault.
        is_repeated: whether it is made more than once where all is well.
    """

    name: str
    upstream: str
    refusals: Mapping[str, Answer]
    matches: Callable[[Request, str], bool]
    prepare: Callable[[Place], Prepared]
    tries: int
    unlike: Mapping[str, int] = field(default_factory=dict)
    unharmed: frozenset[str] = frozenset()
    final: frozenset[str] = frozenset({EXPIRED, SKEWED})
    skips: int = 0
    is_repeated: bool = False

    def how(self, fault: str) -> Answer | str:
        if fault in self.refusals:
            return self.refusals[fault]
        return "untrusted" if fault == SKEWED else fault

    def limit(self, fault: str) -> int:
        return self.unlike.get(fault, 1 if fault in self.final else self.tries)


def _is_aws(operation: str) -> Callable[[Request, str], bool]:
    return lambda request, name: request.headers.get("X-Amz-Target", "").endswith(operation)


def _is(method: str, text: str) -> Callable[[Request, str], bool]:
    """`NAME` in the pattern stands for the case's own name."""
    return lambda request, name: (
        request.method == method and re.search(text.replace("NAME", name), request.path) is not None
    )


# By the cloud call as the issue names it.
CALLS: Mapping[str, tuple[Call, ...]] = {
    "S3 PutObject/GetObject": (
        # Its answer has nothing in it that is needed.
        Call("PutObject", "aws", S3, _is("PUT", "NAME/object"), writing, tries=6,
             unharmed=frozenset(UNREAD)),
        Call("GetObject", "aws", S3, _is("GET", "NAME/object"), reading, tries=6,
             unlike={TRUNCATED: 1, NOT_JSON: 2}, final=GONE | {NOT_JSON}),
    ),
    "SageMaker Create/Describe": (
        # Whether it was made, the description says that is asked for next.
        Call("CreateTrainingJob", "aws", AWS, _is_aws("CreateTrainingJob"), training, tries=9,
             unharmed=ARRIVED),
        # Asked five times more slowly; then the job is left to the next run, never trained anew.
        Call("DescribeTrainingJob", "aws", AWS, _is_aws("DescribeTrainingJob"), training, tries=45,
             final=frozenset(FAULTS), skips=1, is_repeated=True,
             unlike=dict.fromkeys(set(FAULTS) - GONE, 45) | dict.fromkeys(UNREAD, 5)),
    ),
    "CloudWatch GetLogEvents": (
        Call("GetLogEvents", "aws", AWS, _is_aws("GetLogEvents"), training, tries=20,
             unharmed=frozenset(FAULTS), is_repeated=True),
    ),
    "Resource Manager PUT site": (
        Call("PUT site", "azure", ARM, _is("PUT", r"/sites/mc-NAME-[0-9a-f]+\?"), making_an_app,
             tries=4, unlike={**UNREAD, SKEWED: 4}),
        # Of an operation that goes on the poller reads the status alone.
        Call("operation", "azure", ARM, _is("GET", "/operationresults/"), making_an_app, tries=4,
             unlike={NOT_JSON: 1, SKEWED: 4}, is_repeated=True),
    ),
    "SCM zipdeploy/publish + status": (
        Call("publish", "azure", SCM, _is("POST", "/api/publish"),
             partial(deploying, "flex_consumption"), tries=40, unlike={FAILING: 1},
             unharmed=ARRIVED),
        Call("zipdeploy", "azure", SCM, _is("POST", "/api/zipdeploy"),
             partial(deploying, "consumption"), tries=40, unlike={FAILING: 1}, unharmed=ARRIVED),
        # What is not heard of again may still be going on: never begun a second time by itself.
        Call("status", "azure", SCM, _is("GET", "/api/deployments/"),
             partial(deploying, "flex_consumption"), tries=90, final=frozenset(FAULTS),
             unlike=dict.fromkeys(set(FAULTS) - GONE, 90), skips=1, is_repeated=True),
    ),
    "endpoint classify/health": (
        # Not asked again here: the latency that is measured would be of two calls.
        Call("classify", "site", FUNCTION, _is("POST", "/api/classify"), classifying, tries=1),
        # For a minute, at pauses that grow to two seconds.
        Call("health", "site", FUNCTION, _is("GET", "/api/health"), warming, tries=37,
             unlike={SLOW: 1}, final=frozenset({SKEWED}), is_repeated=True),
    ),
}  # fmt: skip
