"""The function_package asset: the reproducible zip of function and model, and its checks."""

import hashlib
from collections.abc import Iterable, Iterator

import dagster as dg

from mc_assets.artifacts import Dataset, FunctionPackage, OnnxModel
from mc_assets.code_version import code_version
from mc_assets.gates import Finding, judged
from mc_assets.model_settings import ModelSettings
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.retrying import retried
from mc_assets.stages import dataset as dataset_stage
from mc_assets.stages import onnx_model as onnx_model_stage
from mc_assets.stages.tracing import code, traced

SMOKE_IMAGES = 500


def key_of(model: ModelSettings) -> dg.AssetKey:
    return dg.AssetKey([model.name, FunctionPackage.asset])


def build_asset(model: ModelSettings) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(model),
        ins={"onnx_model": dg.AssetIn(key=onnx_model_stage.key_of(model))},
        group_name=model.name,
        kinds={"azurefunctions", "python"},
        tags={"cloud": "aws", "step": "packaging"},
        metadata=code(__file__, model.function_app / "function_app.py"),
        owners=list(model.owners),
        code_version=code_version("stages/function_package.py", "packaging", model.function_app),
        description="The **zip that Azure Functions runs**, in S3: the function, its requirements "
        "and the validated model. Equal inputs give equal bytes; it has to answer in a clean "
        "process before it is staged.",
    )
    @retried
    def function_package(
        context: dg.AssetExecutionContext, onnx_model: OnnxModel, artifact_store: ArtifactStore
    ) -> dg.MaterializeResult[FunctionPackage]:
        from mc_assets.packaging import build_package

        package = build_package(
            model.function_app,
            artifact_store.read(onnx_model.model),
            {"name": model.name, "lineage": dict(sorted(onnx_model.lineage.items()))},
        )
        stored = artifact_store.put_bytes(
            f"{model.name}/packages/{package.sha256}.zip", package.data, model.retention_days
        )
        context.log.info(f"The package is {stored.uri}.")
        record = FunctionPackage(
            version=package.sha256,
            lineage={**onnx_model.lineage, key_of(model).to_user_string(): package.sha256},
            package=stored,
            content_version=package.version,
            model=onnx_model.model,
            job_arn=onnx_model.job_arn,
        )
        return dg.MaterializeResult(
            value=record,
            data_version=dg.DataVersion(record.version),
            metadata={
                "s3_uri": stored.uri,
                "size_bytes": stored.size,
                "content_version": package.version,
                "code_sha256": _code_sha256(package.files),
                **traced(artifact_store, record),
                "files": dg.MetadataValue.table(
                    [
                        dg.TableRecord({"file": name, "bytes": size, "sha256": sha256})
                        for name, size, sha256 in package.files
                    ]
                ),
            },
        )

    return function_package


def build_checks(model: ModelSettings) -> Iterator[dg.AssetChecksDefinition]:
    key = key_of(model)

    @dg.asset_check(
        asset=key,
        name="contents",
        blocking=True,
        description="Only the expected files, within the size budget, with the validated model.",
    )
    @retried
    def contents(
        context: dg.AssetCheckExecutionContext,
        function_package: FunctionPackage,
        artifact_store: ArtifactStore,
    ) -> dg.AssetCheckResult:
        from mc_assets.packaging import PackageError, check_contents, inspect_package

        try:
            facts = inspect_package(artifact_store.read(function_package.package))
            problems = list(check_contents(facts, model.gates.max_package_bytes))
            if facts.model.sha256 != function_package.model.sha256:
                problems.append(f"The model inside is {facts.model.sha256}, not the validated one.")
        except PackageError as error:
            problems = [str(error)]
        told = {"problems": problems, "size_bytes": function_package.package.size}
        finding = Finding("contents", not problems, told, " ".join(problems) or None)
        return judged(context, artifact_store, model, function_package, finding)

    @dg.asset_check(
        asset=key,
        name="clean_process",
        blocking=True,
        additional_ins={"dataset": dg.AssetIn(key=dataset_stage.key_of(model))},
        description="Unpacked in a clean Python process, the function classifies test images "
        "about as accurately as the endpoint has to.",
    )
    @retried
    def clean_process(
        context: dg.AssetCheckExecutionContext,
        function_package: FunctionPackage,
        dataset: Dataset,
        artifact_store: ArtifactStore,
    ) -> dg.AssetCheckResult:
        import numpy as np

        from mc_assets.packaging import PackageError, smoke_test

        images, labels = dataset_stage.read_test_set(artifact_store, dataset)
        images, labels = images[:SMOKE_IMAGES], labels[:SMOKE_IMAGES]
        # A sample of 500 scatters that much.
        floor = model.gates.min_endpoint_accuracy - 0.02
        try:
            answer = smoke_test(artifact_store.read(function_package.package), images)
            accuracy = float(np.mean(np.array(answer.digits) == labels))
            problem = (
                None
                if accuracy >= floor
                else f"Its accuracy on {len(images)} test images is {accuracy:.4f}, below "
                f"{floor:.4f}."
            )
        except PackageError as error:
            accuracy, problem = 0.0, str(error)
        told = {"accuracy": accuracy, "images": len(images), "floor": floor}
        finding = Finding("clean_process", problem is None, told, problem)
        return judged(context, artifact_store, model, function_package, finding)

    yield contents
    yield clean_process


def _code_sha256(files: Iterable[tuple[str, int, str]]) -> str:
    """Of the function without its model, as `sha256sum * | sha256sum` in its folder has it."""
    from mc_assets.packaging.contents import MANIFEST, MODEL

    lines = (f"{sha256}  {name}\n" for name, _, sha256 in files if name not in (MANIFEST, MODEL))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
