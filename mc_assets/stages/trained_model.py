"""The trained_model asset: one SageMaker training job's model.tar.gz, and its checks."""

import io
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import dagster as dg

from mc_assets.archive import ArchiveError, read_members
from mc_assets.artifacts import Dataset, StoredObject, TrainedModel
from mc_assets.code_version import code_version
from mc_assets.cost import BudgetError, spot_saving
from mc_assets.gates import Finding, judged
from mc_assets.model_settings import ModelSettings
from mc_assets.outcomes import WITHOUT_ARCHIVE
from mc_assets.ownership import OUTLIVES_RUN_TAG, ownership_tags
from mc_assets.pictures import Album, Pictures
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.sagemaker import TrainingFailure
from mc_assets.resources.training import SageMakerTraining
from mc_assets.retrying import retried
from mc_assets.stages import dataset as dataset_stage
from mc_assets.stages.tracing import code, traced
from mc_assets.training_image import DEFAULT_IMAGE
from mc_assets.training_job import (
    SourceArchive,
    fingerprint,
    job_base_name,
    pack_source,
    training_job_request,
)
from mc_assets.training_metrics import TrainingMetrics, read_metrics

# What the archive holds, exactly, and how many bytes each file may have.
MEMBERS: Mapping[str, int] = {
    "model.onnx": 100_000_000,
    "model.pt": 100_000_000,
    "metrics.json": 1_000_000,
    "reference.npz": 100_000_000,
}


class TrainingRun(dg.Config):
    """Choices for one run of the training stage."""

    retrain: bool = False
    """Start a new job even where one with the same code, data and hyperparameters has completed.

    One for each launch: re-executing a run that has trained adopts what it trained.
    """


def key_of(model: ModelSettings) -> dg.AssetKey:
    return dg.AssetKey([model.name, TrainedModel.asset])


def build_asset(model: ModelSettings) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(model),
        ins={"dataset": dg.AssetIn(key=dataset_stage.key_of(model))},
        group_name=model.name,
        kinds={"sagemaker", "pytorch"},
        tags={"cloud": "aws", "step": "training"},
        metadata=code(__file__, model.training_code / "train.py"),
        owners=list(model.owners),
        code_version=code_version(
            "stages/trained_model.py",
            "training_job.py",
            "training_image.py",
            "resources/training.py",
            model.training_code,
            extra=repr((model.training, model.training_image)),
        ),
        description="The `model.tar.gz` that a **SageMaker training job** left in S3: weights, "
        "ONNX export, metrics, and PyTorch's own answers to the test images. The same code, data "
        "and hyperparameters are one job: it is found again, and not paid for twice.",
    )
    @retried
    def trained_model(
        context: dg.AssetExecutionContext,
        config: TrainingRun,
        dataset: Dataset,
        artifact_store: ArtifactStore,
        sagemaker: SageMakerTraining,
    ) -> dg.MaterializeResult[TrainedModel]:
        source = pack_source(model.training_code)
        identity = fingerprint(
            model.training, source.sha256, dataset.version, model.training_image or DEFAULT_IMAGE
        )
        base_name = job_base_name(
            model.name, identity, _root_run_id(context) if config.retrain else None
        )
        try:
            invocation = sagemaker.pipes_client().run(
                context=context,
                base_name=base_name,
                make_request=lambda: _request(
                    context, model, dataset, source, artifact_store, sagemaker, base_name
                ),
                is_usable=lambda job: _has_artifact(artifact_store, job),
            )
        except TrainingFailure as failure:  # which is paid for too
            raise TrainingFailure(
                failure.job, {**failure.metadata, **_cost_metadata(model, failure.job, "failed")}
            ) from failure
        archive = _archive(artifact_store, invocation.job)
        metrics = _metrics(artifact_store, archive)
        record = _record(model, dataset, archive, metrics, invocation.job)
        album = Album(artifact_store, model, record.version, context.log)
        return dg.MaterializeResult(
            value=record,
            data_version=dg.DataVersion(record.version),
            metadata={
                **invocation.get_materialize_result().metadata,  # pyright: ignore[reportGeneralTypeIssues]
                "s3_uri": record.archive.uri,
                "size_bytes": record.archive.size,
                "code_sha256": source.sha256,
                **_cost_metadata(model, invocation.job, invocation.how),
                **record.metrics,
                **traced(artifact_store, record),
                **_curves(album, metrics),
            },
        )

    return trained_model


def build_checks(model: ModelSettings) -> Iterator[dg.AssetChecksDefinition]:
    key = key_of(model)

    @dg.asset_check(
        asset=key,
        name="archive_contents",
        blocking=True,
        description="model.tar.gz holds exactly the expected files: no links, nothing else.",
    )
    @retried
    def archive_contents(
        context: dg.AssetCheckExecutionContext,
        trained_model: TrainedModel,
        artifact_store: ArtifactStore,
    ) -> dg.AssetCheckResult:
        try:
            sizes = {
                name: len(data)
                for name, data in read_archive(artifact_store, trained_model).items()
            }
            problem = None
        except ArchiveError as error:
            sizes, problem = {}, str(error)
        finding = Finding("archive_contents", problem is None, {"members": sizes}, problem)
        return judged(context, artifact_store, model, trained_model, finding)

    @dg.asset_check(
        asset=key,
        name="training_metrics",
        blocking=True,
        description="The accuracy that the training job measured is above the floor.",
    )
    @retried
    def training_metrics(
        context: dg.AssetCheckExecutionContext,
        trained_model: TrainedModel,
        artifact_store: ArtifactStore,
    ) -> dg.AssetCheckResult:
        accuracy = trained_model.metrics.get("test_accuracy")
        floor, problem = model.gates.min_training_accuracy, None
        if accuracy is None:
            problem = "metrics.json names no number test_accuracy."
        elif accuracy < floor:
            problem = (
                f"The training job measured an accuracy of {accuracy:.4f}, below "
                f"min_training_accuracy {floor}."
            )
        told = {"test_accuracy": accuracy, "floor": floor}
        finding = Finding("training_metrics", problem is None, told, problem)
        return judged(context, artifact_store, model, trained_model, finding)

    yield archive_contents
    yield training_metrics


def read_archive(store: ArtifactStore, trained: TrainedModel) -> dict[str, bytes]:
    """The archive's files by name, read without extracting anything."""
    return read_members(io.BytesIO(store.read(trained.archive)), MEMBERS)


def _request(
    context: dg.AssetExecutionContext,
    model: ModelSettings,
    dataset: Dataset,
    source: SourceArchive,
    store: ArtifactStore,
    sagemaker: SageMakerTraining,
    base_name: str,
) -> dict[str, Any]:
    try:
        model.budget.require_covers(model.training.instance_type, model.training.max_runtime)
    except BudgetError as error:
        raise dg.Failure(f"No training job was started: {error}", allow_retries=False) from error
    code = store.put_bytes(
        f"{model.name}/code/{source.sha256}/sourcedir.tar.gz", source.data, model.retention_days
    )
    connection = store.target.connection
    outlives_run = {} if sagemaker.forward_termination else {OUTLIVES_RUN_TAG: "true"}
    return training_job_request(
        model.training,
        image=model.training_image or sagemaker.image(model.training.instance_type),
        role_arn=connection.sagemaker_role_arn,
        region=connection.region,
        source_uri=code.uri,
        channels={"training": dataset.training_uri, "testing": dataset.testing_uri},
        output_uri=store.uri(f"{model.name}/jobs"),
        checkpoint_uri=store.uri(f"{model.name}/checkpoints/{base_name}"),
        tags={
            **model.tags,
            **ownership_tags(model.name, context.run.run_id, model.retention_days),
            **outlives_run,
            "mc-assets-code": source.sha256,
            "mc-assets-dataset": dataset.version,
        },
    )


def _has_artifact(store: ArtifactStore, job: Mapping[str, Any]) -> bool:
    head = store.head(job["ModelArtifacts"]["S3ModelArtifacts"])
    return head is not None and head["ContentLength"] > 0


def _archive(store: ArtifactStore, job: Mapping[str, Any]) -> StoredObject:
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    if not _has_artifact(store, job):
        raise dg.Failure(
            f"Training job {job['TrainingJobName']} completed but {uri} is missing or empty. "
            f"{WITHOUT_ARCHIVE.advice}",
            allow_retries=WITHOUT_ARCHIVE.is_retryable,
        )
    return store.measure(uri)


def _metrics(store: ArtifactStore, archive: StoredObject) -> TrainingMetrics:
    """What metrics.json says; nothing if the archive's check has to say why not."""
    try:
        members = read_members(io.BytesIO(store.read(archive)), MEMBERS)
    except ArchiveError:
        return TrainingMetrics()
    return read_metrics(members["metrics.json"])


def _record(
    model: ModelSettings,
    dataset: Dataset,
    archive: StoredObject,
    metrics: TrainingMetrics,
    job: Mapping[str, Any],
) -> TrainedModel:
    return TrainedModel(
        version=archive.sha256,
        lineage={**dataset.lineage, key_of(model).to_user_string(): archive.sha256},
        archive=archive,
        job_name=job["TrainingJobName"],
        job_arn=job["TrainingJobArn"],
        metrics=dict(metrics.numbers),
        training_seconds=job.get("TrainingTimeInSeconds"),
        billable_seconds=job.get("BillableTimeInSeconds"),
    )


def _curves(album: Album, metrics: TrainingMetrics) -> Pictures:
    """How the training went, as far as its script says."""
    from mc_assets import plots

    if metrics.problem:
        album.log.warning(f"The training cannot be drawn, metrics.json says: {metrics.problem}")
    if not metrics.history.is_told:
        return {}
    return album.show("training_curves", partial(plots.training_curves, metrics.history))


def _cost_metadata(model: ModelSettings, job: Mapping[str, Any], how: str) -> dict[str, Any]:
    """What the job cost, as far as the user's prices tell, and how much of it this run caused.

    Adopting a job costs nothing: `estimated_cost` may be summed over runs, `job_cost` may not.
    """
    config = job["ResourceConfig"]
    training, billable = job.get("TrainingTimeInSeconds", 0), job.get("BillableTimeInSeconds", 0)
    told: dict[str, Any] = {"instance_type": config["InstanceType"]}
    if job.get("EnableManagedSpotTraining"):
        told["spot_saving"] = round(spot_saving(training, billable), 4)
    told |= _job_cost(model, config["InstanceType"], billable, config["InstanceCount"])
    if "job_cost" in told:
        told["estimated_cost"] = 0.0 if how == "adopted" else told["job_cost"]
    return told


def _job_cost(
    model: ModelSettings, instance_type: str, billable: float, instances: int
) -> dict[str, Any]:
    prices = model.budget.prices
    cost = prices.cost(instance_type, billable, instances)
    if cost is None:
        return {}
    return {"job_cost": round(cost, 6), "price": prices.quote(instance_type)}


def _root_run_id(context: dg.AssetExecutionContext) -> str:
    return context.run.root_run_id or context.run.run_id
