"""The typed records on the edges of the graph: what one stage tells the next, never the bytes."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen record, stored as JSON; an unknown field is refused, so old code never misreads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredObject(Record):
    """Bytes in S3 under a key that carries their own sha256."""

    uri: str
    sha256: str
    size: int

    @property
    def key(self) -> str:
        return self.uri.removeprefix("s3://").partition("/")[2]


class Artifact(Record):
    """What every stage hands on.

    `lineage` maps each asset key from the dataset up to and including this one to the sha256 of the
    version that went into this artifact: a release is judged by the verdicts on exactly those.
    """

    asset: ClassVar[str]
    version: str
    lineage: dict[str, str]


class Dataset(Artifact):
    """Four IDX files under one content key.

    `version` is the sha256 of the sorted `name sha256` lines of `files`.
    """

    asset: ClassVar[str] = "dataset"
    source: str
    training_uri: str
    testing_uri: str
    files: dict[str, StoredObject]


class TrainedModel(Artifact):
    """The model.tar.gz of one SageMaker training job; `version` is the archive's sha256."""

    asset: ClassVar[str] = "trained_model"
    archive: StoredObject
    job_name: str
    job_arn: str
    metrics: dict[str, float]
    training_seconds: int | None
    billable_seconds: int | None


class Trained(Artifact):
    """What has a trained model in it; `job_arn` is empty in a record of an earlier release."""

    job_arn: str = ""


class OnnxModel(Trained):
    """One validated .onnx file; `version` is its sha256."""

    asset: ClassVar[str] = "onnx_model"
    model: StoredObject
    reference: StoredObject


class FunctionPackage(Trained):
    """The zip that runs in Azure Functions.

    `version` is the sha256 of the zip; `content_version` is what the running function answers with.
    """

    asset: ClassVar[str] = "function_package"
    package: StoredObject
    content_version: str
    model: StoredObject


class Endpoint(Trained):
    """A function app, or a slot of one, that serves the package whose sha256 is `version`."""

    resource_group: str
    app: str
    slot: str | None
    url: str
    content_version: str
    package: StoredObject
    model: StoredObject


class StagedEndpoint(Endpoint):
    """The package running out of users' sight."""

    asset: ClassVar[str] = "staged_endpoint"


class Override(Record):
    """Why a person let a version through, and past which objections."""

    reason: str
    objections: tuple[str, ...]


class LiveEndpoint(Endpoint):
    """The package serving users.

    `number` counts what was ever live, from 1; `previous` is the package that was live before this
    one, for the way back; `since` and `run_id` say when this one went live, and by which run, and
    `brought_back` why, if it was live before and came back.
    """

    asset: ClassVar[str] = "live_endpoint"
    previous: StoredObject | None = None
    number: int = 0
    since: str = ""
    run_id: str = ""
    brought_back: str = ""
    override: Override | None = None


class ReleaseHistory(Record):
    """Everything that was ever live, in order; a version brought back keeps its first place."""

    releases: tuple[LiveEndpoint, ...] = ()

    def before(self, live: LiveEndpoint) -> LiveEndpoint | None:
        """What was live before this one and was not the same; never what was tried and refused.

        The same files with another lineage, as from a training done again, would be no step back.
        """
        wanted = live.previous.sha256 if live.previous else None
        for past in reversed(self.releases):
            if past.number < live.number and past.package.sha256 == wanted:
                if past.content_version != live.content_version:
                    return past
                wanted = past.previous.sha256 if past.previous else None
        return None

    def matching(self, digits: str) -> dict[str, LiveEndpoint]:
        """The last release of each version whose sha256, or whose content's, begins like this."""
        return {
            past.version: past
            for past in self.releases
            if past.version.startswith(digits) or past.content_version.startswith(digits)
        }


ARTIFACTS: Mapping[str, type[Artifact]] = {
    kind.asset: kind
    for kind in (Dataset, TrainedModel, OnnxModel, FunctionPackage, StagedEndpoint, LiveEndpoint)
}


class Verdict(Record):
    """What one check said of one version of one asset.

    `limit` is the gate's value that it judged by, `against` the sha256 of the champion that it
    compared with: a verdict holds only as long as both do.
    """

    asset_key: str
    version: str
    check: str
    blocking: bool
    passed: bool
    run_id: str
    at: str
    why: str = ""
    limit: float | None = None
    against: str = ""
