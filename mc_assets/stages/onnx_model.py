"""The onnx_model asset: the one .onnx file of the archive, and the checks that validate it."""

import hashlib
import io
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from mc_assets.artifacts import Dataset, LiveEndpoint, OnnxModel, StoredObject, TrainedModel
from mc_assets.code_version import code_version
from mc_assets.gates import Finding, all_judged, judged
from mc_assets.model_settings import ModelSettings
from mc_assets.pictures import Album, Pictures
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.retrying import retried
from mc_assets.stages import dataset as dataset_stage
from mc_assets.stages import trained_model as trained_model_stage
from mc_assets.stages.tracing import code, traced

if TYPE_CHECKING:
    import numpy as np

    from mc_assets import evaluation, onnx_validation

ANSWER_CHECKS: Mapping[str, str] = {
    "parity": "ONNX Runtime gives PyTorch's own answers on every test image.",
    "test_accuracy": "Accuracy on every test image is above the floor.",
    "not_worse_than_champion": "Beyond doubt less than the margin worse than the live model, image "
    "by image on the same test set.",
}
WORST_DIGITS = 30


def key_of(model: ModelSettings) -> dg.AssetKey:
    return dg.AssetKey([model.name, OnnxModel.asset])


def build_asset(model: ModelSettings) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(model),
        ins={"trained_model": dg.AssetIn(key=trained_model_stage.key_of(model))},
        group_name=model.name,
        kinds={"onnx", "s3"},
        tags={"cloud": "aws", "step": "validation"},
        metadata=code(__file__),
        owners=list(model.owners),
        code_version=code_version("stages/onnx_model.py", "archive.py"),
        description="The model as **one ONNX file** in S3, under its own sha256. Its checks hold "
        "it up unless it answers as PyTorch does, is accurate enough, and is not worse than the "
        "live one.",
    )
    @retried
    def onnx_model(
        context: dg.AssetExecutionContext,
        trained_model: TrainedModel,
        artifact_store: ArtifactStore,
    ) -> dg.MaterializeResult[OnnxModel]:
        members = trained_model_stage.read_archive(artifact_store, trained_model)
        stored = _put(artifact_store, model, "onnx", "onnx", members["model.onnx"])
        reference = _put(artifact_store, model, "reference", "npz", members["reference.npz"])
        context.log.info(f"The model is {stored.uri}.")
        record = OnnxModel(
            version=stored.sha256,
            lineage={**trained_model.lineage, key_of(model).to_user_string(): stored.sha256},
            model=stored,
            reference=reference,
            job_arn=trained_model.job_arn,
        )
        return dg.MaterializeResult(
            value=record,
            data_version=dg.DataVersion(record.version),
            metadata={
                "s3_uri": stored.uri,
                "size_bytes": stored.size,
                "training_job": trained_model.job_name,
                **traced(artifact_store, record),
            },
        )

    return onnx_model


def build_checks(model: ModelSettings) -> Iterator[dg.AssetChecksDefinition]:
    key = key_of(model)

    @dg.asset_check(
        asset=key,
        name="structure",
        blocking=True,
        description="A well-formed ONNX model in one file, of an opset that the function runs.",
    )
    @retried
    def structure(
        context: dg.AssetCheckExecutionContext, onnx_model: OnnxModel, artifact_store: ArtifactStore
    ) -> dg.AssetCheckResult:
        from mc_assets import onnx_validation

        try:
            facts = onnx_validation.check_structure(artifact_store.read(onnx_model.model))
            problem, metadata = None, {"opset": facts.opset, "parameters": facts.parameters}
        except onnx_validation.OnnxInvalid as error:
            problem, metadata = str(error), {}
        finding = Finding("structure", problem is None, metadata, problem)
        return judged(context, artifact_store, model, onnx_model, finding)

    @dg.asset_check(
        asset=key,
        name="signature",
        blocking=True,
        description="input_0 [N, 1, 28, 28] to output_0 [N, 10], for any N.",
    )
    @retried
    def signature(
        context: dg.AssetCheckExecutionContext, onnx_model: OnnxModel, artifact_store: ArtifactStore
    ) -> dg.AssetCheckResult:
        from mc_assets import onnx_validation

        try:
            onnx_validation.check_signature(artifact_store.read(onnx_model.model))
            problem = None
        except onnx_validation.OnnxInvalid as error:
            problem = str(error)
        finding = Finding("signature", problem is None, {}, problem)
        return judged(context, artifact_store, model, onnx_model, finding)

    yield structure
    yield signature
    yield _build_answers_check(model, key)


def _build_answers_check(model: ModelSettings, key: dg.AssetKey) -> dg.AssetChecksDefinition:
    """Three verdicts from one pass over the test images."""

    @dg.multi_asset_check(
        name=f"{model.name}__onnx_model_answers",
        can_subset=True,  # so that the UI can run one of them
        specs=[
            dg.AssetCheckSpec(
                name,
                asset=key,
                blocking=True,
                additional_deps=[dataset_stage.key_of(model)],
                description=description,
            )
            for name, description in ANSWER_CHECKS.items()
        ],
        ins={
            "onnx_model": dg.AssetIn(key=key),
            "dataset": dg.AssetIn(key=dataset_stage.key_of(model)),
        },
    )
    def answers(
        context: dg.AssetCheckExecutionContext,
        onnx_model: OnnxModel,
        dataset: Dataset,
        artifact_store: ArtifactStore,
    ) -> Iterator[dg.AssetCheckResult]:
        yield from judge(context, onnx_model, dataset, artifact_store)

    @retried
    def judge(
        context: dg.AssetCheckExecutionContext,
        onnx_model: OnnxModel,
        dataset: Dataset,
        artifact_store: ArtifactStore,
    ) -> list[dg.AssetCheckResult]:
        try:
            album = Album(artifact_store, model, onnx_model.version, context.log)
            findings = _findings(model, artifact_store, onnx_model, dataset, album)
        except (ValueError, KeyError) as error:
            # A model that cannot be asked has failed all three: an older verdict must not stand.
            problem = f"The model or its reference cannot be used: {error}"
            findings = [Finding(check, False, {}, problem) for check in ANSWER_CHECKS]
        return all_judged(context, artifact_store, model, onnx_model, findings)

    return answers


def _findings(
    model: ModelSettings,
    store: ArtifactStore,
    challenger: OnnxModel,
    dataset: Dataset,
    album: Album,
) -> list[Finding]:
    """Ask the model for every test image once.

    Raises:
        ValueError, KeyError: the model or its reference cannot be used.
    """
    from mc_assets import evaluation, onnx_validation, plots

    images, labels = dataset_stage.read_test_set(store, dataset)
    outputs = onnx_validation.run_on_pixels(store.read(challenger.model), images)
    predicted = outputs.argmax(axis=1)
    result = evaluation.evaluate(predicted, labels)
    reference = _read_reference(store.read(challenger.reference))
    parity = onnx_validation.compare(reference, outputs)
    limit, floor = model.gates.max_parity_difference, model.gates.min_test_accuracy
    differences = album.show(
        "parity_differences", partial(plots.parity_differences, reference, outputs, limit)
    )
    answers = album.show("confusion_matrix", partial(plots.confusion_matrix, result))
    if mistakes := evaluation.surest_mistakes(outputs, labels, WORST_DIGITS):
        answers |= album.show("worst_digits", partial(plots.worst_digits, images, mistakes))
    return [
        _parity(parity, limit, differences),
        _accuracy(result, floor, answers),
        _against_champion(model, store, challenger, predicted, images, labels),
    ]


def _parity(found: "onnx_validation.Parity", limit: float, pictures: Pictures) -> Finding:
    passed = found.flips == 0 and found.max_abs <= limit
    problem = (
        f"ONNX Runtime's answers differ from PyTorch's by up to {found.max_abs:.3g}, where "
        f"max_parity_difference is {limit:g}, and in the digit on {found.flips} of {found.n:,} "
        "images."
    )
    told = {
        **pictures,
        "max_difference": found.max_abs,
        "limit": limit,
        "flips": found.flips,
        "images": found.n,
    }
    return Finding("parity", passed, told, None if passed else problem)


def _accuracy(found: "evaluation.Evaluation", floor: float, pictures: Pictures) -> Finding:
    passed = found.accuracy >= floor
    problem = (
        f"The accuracy on {found.n:,} test images is {found.accuracy:.4f}, below "
        f"min_test_accuracy {floor}."
    )
    told = {
        **pictures,
        "accuracy": found.accuracy,
        "floor": floor,
        "images": found.n,
        "confusion": _confusion_table(found),
    }
    return Finding("test_accuracy", passed, told, None if passed else problem)


def _against_champion(
    model: ModelSettings,
    store: ArtifactStore,
    challenger: OnnxModel,
    predicted: "np.ndarray",
    images: "np.ndarray",
    labels: "np.ndarray",
) -> Finding:
    """The challenger's answers beside the live model's own, made now by the same code."""
    from mc_assets import evaluation, onnx_validation

    check, margin = "not_worse_than_champion", model.gates.champion_margin
    champion = store.latest(dg.AssetKey([model.name, LiveEndpoint.asset]), LiveEndpoint)
    if champion is None:
        told = {"outcome": "no champion"}
        return Finding(check, True, told, "There is no champion yet.")
    live = champion.model.sha256
    about = {
        "champion": live,
        "champion_run": champion.run_id,
        "champion_since": champion.since,
    }
    if live == challenger.version:
        told = {"outcome": "champion", **about}
        return Finding(check, True, told, "It is the champion.", live)
    try:
        outputs = onnx_validation.run_on_pixels(store.read(champion.model), images)
    except onnx_validation.OnnxInvalid as error:
        problem = f"Needs a decision: the live model cannot be asked any more: {error}"
        return Finding(check, False, {"outcome": "needs decision", **about}, problem, live)
    compared = evaluation.compare_paired(outputs.argmax(axis=1), predicted, labels)
    outcome = evaluation.standing(compared, margin)
    found = {
        "outcome": outcome,
        "images": compared.n,
        "n01_champion_alone_right": compared.n01,
        "n10_challenger_alone_right": compared.n10,
        "difference": compared.difference,
        "lower_bound": compared.lower,
        "upper_bound": compared.upper,
        "margin": margin,
    }
    said = _in_words(compared, outcome, margin)
    return Finding(check, outcome == "accepted", found | about, said, live)


def _in_words(
    compared: "evaluation.PairedComparison", outcome: "evaluation.Standing", margin: float
) -> str:
    found = (
        f"of {compared.n:,} images the challenger alone gets {compared.n10} right, the champion "
        f"alone {compared.n01}: a difference of {compared.difference:+.4f}, with 95 % confidence "
        f"above {compared.lower:+.4f} and below {compared.upper:+.4f}, where the margin is "
        f"-{margin}"
    )
    if outcome == "accepted":
        return f"Not worse: {found}."
    if outcome == "worse":
        return f"Worse: {found}."
    return (
        f"Needs a decision: {found}. Nothing moves. A larger test set or another champion_margin "
        "in defs.yaml may decide it; or launch function_package and what follows, with an "
        "override_reason for both endpoints."
    )


def _put(
    store: ArtifactStore, model: ModelSettings, kind: str, suffix: str, data: bytes
) -> StoredObject:
    key = f"{model.name}/{kind}/{hashlib.sha256(data).hexdigest()}.{suffix}"
    return store.put_bytes(key, data, model.retention_days)


def _read_reference(data: bytes) -> "np.ndarray":
    import numpy as np

    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return arrays["log_probabilities"]


def _confusion_table(result: "evaluation.Evaluation") -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {"digit": digit} | {f"as {guess}": int(n) for guess, n in enumerate(row)}
            )
            for digit, row in enumerate(result.confusion)
        ]
    )
