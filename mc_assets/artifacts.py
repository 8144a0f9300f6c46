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


class OnnxModel(Artifact):
    """One validated .onnx file; `version` is its sha256."""

    asset: ClassVar[str] = "onnx_model"
    model: StoredObject
    reference: StoredObject


class FunctionPackage(Artifact):
    """The zip that runs in Azure Functions.

    `version` is the sha256 of the zip; `content_version` is what the running function answers with.
    """

    asset: ClassVar[str] = "function_package"
    package: StoredObject
    content_version: str
    model: StoredObject


class Endpoint(Artifact):
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


class LiveEndpoint(Endpoint):
    """The package serving users; `previous` is the package it replaced, for the way back."""

    asset: ClassVar[str] = "live_endpoint"
    previous: StoredObject | None = None


ARTIFACTS: Mapping[str, type[Artifact]] = {
    kind.asset: kind
    for kind in (Dataset, TrainedModel, OnnxModel, FunctionPackage, StagedEndpoint, LiveEndpoint)
}


class Verdict(Record):
    """What one check said of one version of one asset."""

    asset_key: str
    version: str
    check: str
    blocking: bool
    passed: bool
    run_id: str
    at: str
