"""The dataset asset: four IDX files in S3 under a content key, uploaded once, and its checks."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np

from mc_assets import idx
from mc_assets.artifacts import Dataset, StoredObject
from mc_assets.code_version import code_version
from mc_assets.gates import judged
from mc_assets.model_settings import ModelSettings
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.dataset_source import DatasetSource, read_folder
from mc_assets.retrying import retried

TRAINING_FILES = (idx.TRAIN_IMAGES, idx.TRAIN_LABELS)
PUBLIC = "the public MNIST files"
MAX_IMBALANCE = 1.5


def key_of(model: ModelSettings) -> dg.AssetKey:
    return dg.AssetKey([model.name, Dataset.asset])


def build_asset(model: ModelSettings) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(model),
        group_name=model.name,
        kinds={"s3", "dataset"},
        owners=list(model.owners),
        code_version=code_version(
            "stages/dataset.py",
            "idx.py",
            "resources/dataset_source.py",
            extra=str(model.dataset_folder),
        ),
        description="Training and test images with their labels: four IDX files in S3, under the "
        "sha256 of their content.",
    )
    @retried
    def dataset(
        context: dg.AssetExecutionContext,
        artifact_store: ArtifactStore,
        dataset_source: DatasetSource,
    ) -> dg.MaterializeResult[Dataset]:
        record = None if model.dataset_folder else _already_stored(model, artifact_store)
        uploaded = False
        if record is None:
            with tempfile.TemporaryDirectory() as folder:
                source = _fetch(context, model, dataset_source, Path(folder))
                record, uploaded = _store(model, artifact_store, Path(folder), source)
        return dg.MaterializeResult(
            value=record,
            data_version=dg.DataVersion(record.version),
            metadata={
                "source": record.source,
                "uploaded": uploaded,
                "s3_uri": artifact_store.uri(f"{model.name}/dataset/{record.version}/"),
                "size_bytes": sum(file.size for file in record.files.values()),
                "files": dg.MetadataValue.table(
                    [
                        dg.TableRecord({"file": name, "bytes": file.size, "sha256": file.sha256})
                        for name, file in sorted(record.files.items())
                    ]
                ),
            },
        )

    return dataset


def build_checks(model: ModelSettings) -> Iterator[dg.AssetChecksDefinition]:
    key = key_of(model)

    @dg.asset_check(
        asset=key,
        name="files_and_shapes",
        blocking=True,
        description="The four files are what their record says, and images and labels match.",
    )
    @retried
    def files_and_shapes(
        context: dg.AssetCheckExecutionContext, dataset: Dataset, artifact_store: ArtifactStore
    ) -> dg.AssetCheckResult:
        problems = []
        try:
            (train, train_labels), (test, test_labels) = read_arrays(artifact_store, dataset)
        except ValueError as error:
            problems.append(str(error))
            counts = {}
        else:
            counts = {"training_images": len(train), "test_images": len(test)}
            problems += _mismatches("training", train, train_labels)
            problems += _mismatches("test", test, test_labels)
        return judged(
            context, artifact_store, key, dataset, "files_and_shapes", not problems,
            {**counts, "problems": problems}, description="; ".join(problems) or None,
        )  # fmt: skip

    @dg.asset_check(
        asset=key,
        name="class_balance",
        description="No digit is more than half as frequent again as another.",
    )
    @retried
    def class_balance(
        context: dg.AssetCheckExecutionContext, dataset: Dataset, artifact_store: ArtifactStore
    ) -> dg.AssetCheckResult:
        labels = read_labels(artifact_store, dataset, idx.TRAIN_LABELS)
        counts = np.bincount(labels, minlength=idx.CLASSES)
        ratio = float(counts.max() / max(counts.min(), 1))
        table = [
            dg.TableRecord({"digit": digit, "images": int(n)}) for digit, n in enumerate(counts)
        ]
        problem = (
            f"The most frequent digit is there {ratio:.2f} times as often as the rarest; up to "
            f"{MAX_IMBALANCE} is balanced."
        )
        passed = ratio <= MAX_IMBALANCE
        return judged(
            context, artifact_store, key, dataset, "class_balance", passed,
            {"most_to_least": ratio, "classes": dg.MetadataValue.table(table)},
            description=None if passed else problem,
        )  # fmt: skip

    @dg.asset_check(
        asset=key,
        name="no_leakage",
        description="No test image is, byte for byte, among the training images.",
    )
    @retried
    def no_leakage(
        context: dg.AssetCheckExecutionContext, dataset: Dataset, artifact_store: ArtifactStore
    ) -> dg.AssetCheckResult:
        (train, _), (test, _) = read_arrays(artifact_store, dataset)
        seen = {image.tobytes() for image in train}
        leaked = sum(image.tobytes() in seen for image in test)
        problem = f"{leaked} of {len(test)} test images are among the training images."
        return judged(
            context, artifact_store, key, dataset, "no_leakage", leaked == 0,
            {"leaked_images": leaked}, description=problem if leaked else None,
        )  # fmt: skip

    yield files_and_shapes
    yield class_balance
    yield no_leakage


def read_arrays(
    store: ArtifactStore, dataset: Dataset
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """(training images, labels), (test images, labels); uint8, images of shape [N, 28, 28]."""
    return (
        (
            read_images(store, dataset, idx.TRAIN_IMAGES),
            read_labels(store, dataset, idx.TRAIN_LABELS),
        ),
        read_test_set(store, dataset),
    )


def read_test_set(store: ArtifactStore, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Test images [N, 28, 28] and their labels [N], uint8."""
    return (
        read_images(store, dataset, idx.TEST_IMAGES),
        read_labels(store, dataset, idx.TEST_LABELS),
    )


def read_images(store: ArtifactStore, dataset: Dataset, name: str) -> np.ndarray:
    return idx.read_images(store.read(dataset.files[name]), name)


def read_labels(store: ArtifactStore, dataset: Dataset, name: str) -> np.ndarray:
    return idx.read_labels(store.read(dataset.files[name]), name)


def _already_stored(model: ModelSettings, store: ArtifactStore) -> Dataset | None:
    """The public dataset's record, if S3 has all of it: its sha256s are known beforehand."""
    known = {name: (file.sha256, file.size) for name, file in idx.MNIST_FILES.items()}
    record = _record(model, store, known, PUBLIC)
    return record if all(store.has(file) for file in record.files.values()) else None


def _fetch(
    context: dg.AssetExecutionContext, model: ModelSettings, source: DatasetSource, into: Path
) -> str:
    if model.dataset_folder is None:
        source.fetch(into, context.log.info)
        return PUBLIC
    read_folder(model.dataset_folder, into)
    return str(model.dataset_folder)


def _store(
    model: ModelSettings, store: ArtifactStore, folder: Path, source: str
) -> tuple[Dataset, bool]:
    """The record, and whether anything had to be uploaded."""
    contents = {name: (folder / name).read_bytes() for name in idx.MNIST_FILES}
    facts = {name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in contents.items()}
    record = _record(model, store, facts, source)
    missing = {name: file for name, file in record.files.items() if not store.has(file)}
    for name, file in missing.items():
        key = file.key.removeprefix(f"{store.prefix}/")
        store.put_bytes(key, contents[name], model.retention_days)
    return record, bool(missing)


def _record(
    model: ModelSettings, store: ArtifactStore, facts: dict[str, tuple[str, int]], source: str
) -> Dataset:
    listing = "".join(f"{name} {sha256}\n" for name, (sha256, _) in sorted(facts.items()))
    version = hashlib.sha256(listing.encode()).hexdigest()
    base = f"{model.name}/dataset/{version}"

    def uri(name: str) -> str:
        channel = "training" if name in TRAINING_FILES else "testing"
        return store.uri(f"{base}/{channel}/{name}")

    return Dataset(
        version=version,
        lineage={key_of(model).to_user_string(): version},
        source=source,
        training_uri=store.uri(f"{base}/training/"),
        testing_uri=store.uri(f"{base}/testing/"),
        files={
            name: StoredObject(uri=uri(name), sha256=sha256, size=size)
            for name, (sha256, size) in facts.items()
        },
    )


def _mismatches(what: str, images: np.ndarray, labels: np.ndarray) -> list[str]:
    problems = []
    if len(images) != len(labels):
        problems.append(f"{len(images)} {what} images but {len(labels)} labels")
    if len(images) == 0:
        problems.append(f"there are no {what} images")
    return problems
