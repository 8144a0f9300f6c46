"""The dataset asset: four IDX files in S3 under a content key, uploaded once, and its checks."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mc_assets import idx
from mc_assets.artifacts import Dataset, StoredObject
from mc_assets.code_version import code_version
from mc_assets.dataset_contents import Contents, look_through
from mc_assets.gates import REQUIRED, Finding, all_judged
from mc_assets.model_settings import ModelSettings
from mc_assets.pictures import Album
from mc_assets.progress import Transfer
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.dataset_source import DatasetSource, LocalFile, own_files
from mc_assets.retrying import retried
from mc_assets.stages import source as source_stage
from mc_assets.stages.source import PUBLIC
from mc_assets.stages.tracing import code, traced

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHECKS: Mapping[str, str] = {
    "files_and_shapes": "The four files are what their record says, and images and labels match.",
    "class_balance": "No digit is more than half as frequent again as another.",
    "no_leakage": "No test image is, byte for byte, among the training images.",
}
TRAINING_FILES = (idx.TRAIN_IMAGES, idx.TRAIN_LABELS)
MAX_IMBALANCE = 1.5


def key_of(model: ModelSettings) -> dg.AssetKey:
    return dg.AssetKey([model.name, Dataset.asset])


def build_asset(model: ModelSettings) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(model),
        deps=[source_stage.key_of(model)],
        group_name=model.name,
        kinds={"s3", "dataset"},
        tags={"cloud": "aws", "step": "data"},
        metadata=code(__file__),
        owners=list(model.owners),
        code_version=code_version(
            "stages/dataset.py",
            "stages/source.py",
            "idx.py",
            "resources/dataset_source.py",
            extra=str(model.dataset_folder),
        ),
        description="Training and test images with their labels: four IDX files in S3, in a folder "
        "named by the **sha256 of their content**, so that nothing is uploaded twice. Public files "
        "count only with their known sha256; `files_and_shapes` keeps anything else from training.",
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
                files, source = _fetch(context, model, dataset_source, Path(folder))
                record, uploaded = _store(model, artifact_store, files, source, context.log.info)
        return dg.MaterializeResult(
            value=record,
            data_version=dg.DataVersion(record.version),
            metadata={
                "source": record.source,
                "uploaded": uploaded,
                "s3_uri": artifact_store.uri(f"{model.name}/dataset/{record.version}/"),
                **traced(artifact_store, record),
                "size_bytes": sum(file.size for file in record.files.values()),
                # Of a whole number of images and a header of less than one.
                "training_images": record.files[idx.TRAIN_IMAGES].size // idx.PIXELS,
                "test_images": record.files[idx.TEST_IMAGES].size // idx.PIXELS,
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
    """Three verdicts from one pass over the files, however large: none of it is kept."""
    key = key_of(model)

    @dg.multi_asset_check(
        name=f"{model.name}__dataset_contents",
        can_subset=True,  # so that the UI can run one of them
        specs=[
            dg.AssetCheckSpec(
                name, asset=key, blocking=name in REQUIRED[Dataset.asset], description=description
            )
            for name, description in CHECKS.items()
        ],
        ins={"dataset": dg.AssetIn(key=key)},
    )
    def contents(
        context: dg.AssetCheckExecutionContext, dataset: Dataset, artifact_store: ArtifactStore
    ) -> Iterator[dg.AssetCheckResult]:
        yield from judge(context, dataset, artifact_store)

    @retried
    def judge(
        context: dg.AssetCheckExecutionContext, dataset: Dataset, artifact_store: ArtifactStore
    ) -> list[dg.AssetCheckResult]:
        try:
            files = {
                name: (artifact_store.stream(file), file.size)
                for name, file in dataset.files.items()
            }
            album = Album(artifact_store, model, dataset.version, context.log)
            findings = _findings(look_through(files), album)
        except ValueError as error:
            # Files that cannot be read have failed all three: an older verdict must not stand.
            findings = [
                Finding(check, False, {"problems": [str(error)]}, str(error)) for check in CHECKS
            ]
        return all_judged(context, artifact_store, model, dataset, findings)

    yield contents


def _findings(found: Contents, album: Album) -> list[Finding]:
    return [_files_and_shapes(found), _class_balance(found, album), _no_leakage(found)]


def _files_and_shapes(found: Contents) -> Finding:
    counts = {"training_images": found.training_images, "test_images": found.test_images}
    problems = [
        *_mismatches("training", found.training_images, sum(found.training_labels)),
        *_mismatches("test", found.test_images, sum(found.test_labels)),
    ]
    said = "; ".join(problems) or None
    return Finding("files_and_shapes", not problems, {**counts, "problems": problems}, said)


def _class_balance(found: Contents, album: Album) -> Finding:
    from mc_assets import plots

    counts = found.training_labels
    told: dict[str, Any] = dict(
        album.show("class_balance", partial(plots.class_balance, counts, found.test_labels))
    )
    if any(found.samples):
        told |= album.show("sample_images", partial(plots.sample_images, found.samples))
    ratio = max(counts) / max(min(counts), 1)
    table = [dg.TableRecord({"digit": digit, "images": n}) for digit, n in enumerate(counts)]
    problem = (
        f"The most frequent digit is there {ratio:.2f} times as often as the rarest; up to "
        f"{MAX_IMBALANCE} is balanced."
    )
    passed = ratio <= MAX_IMBALANCE
    told |= {"most_to_least": ratio, "classes": dg.MetadataValue.table(table)}
    return Finding("class_balance", passed, told, None if passed else problem)


def _no_leakage(found: Contents) -> Finding:
    leaked = found.leaked_images
    problem = f"{leaked} of {found.test_images} test images are among the training images."
    return Finding("no_leakage", not leaked, {"leaked_images": leaked}, problem if leaked else None)


def read_test_set(
    store: ArtifactStore, dataset: Dataset
) -> tuple["NDArray[np.uint8]", "NDArray[np.uint8]"]:
    """Test images [N, 28, 28] and their labels [N], uint8."""
    images, labels = (dataset.files[name] for name in (idx.TEST_IMAGES, idx.TEST_LABELS))
    return (
        idx.read_images(store.read(images), idx.TEST_IMAGES),
        idx.read_labels(store.read(labels), idx.TEST_LABELS),
    )


def _already_stored(model: ModelSettings, store: ArtifactStore) -> Dataset | None:
    """The public dataset's record, if S3 has all of it: its sha256s are known beforehand."""
    known = {name: (file.sha256, file.size) for name, file in idx.MNIST_FILES.items()}
    record = _record(model, store, known, PUBLIC)
    return record if all(store.has(file) for file in record.files.values()) else None


def _fetch(
    context: dg.AssetExecutionContext, model: ModelSettings, source: DatasetSource, into: Path
) -> tuple[dict[str, LocalFile], str]:
    """The four files on this machine, and where they are from."""
    if model.dataset_folder:
        return own_files(model.dataset_folder, into), str(model.dataset_folder)
    source.fetch(into, context.log.info)
    known = idx.MNIST_FILES.items()
    return {name: LocalFile(into / name, file.sha256, file.size) for name, file in known}, PUBLIC


def _store(
    model: ModelSettings,
    store: ArtifactStore,
    local: Mapping[str, LocalFile],
    source: str,
    log: Callable[[str], None],
) -> tuple[Dataset, bool]:
    """The record, and whether anything had to be uploaded."""
    facts = {name: (file.sha256, file.size) for name, file in local.items()}
    record = _record(model, store, facts, source)
    missing = {name: file for name, file in record.files.items() if not store.has(file)}
    for name, file in missing.items():
        key = file.key.removeprefix(f"{store.prefix}/")
        sent = Transfer(f"Uploading {name}", log, file.size)
        store.put_file(key, local[name].path, file.sha256, model.retention_days, sent.add)
        log(f"Uploaded {name}: {sent}.")
    return record, bool(missing)


def _record(
    model: ModelSettings, store: ArtifactStore, facts: dict[str, tuple[str, int]], source: str
) -> Dataset:
    version = source_stage.version_of({name: sha256 for name, (sha256, _) in facts.items()})
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


def _mismatches(what: str, images: int, labels: int) -> list[str]:
    problems = []
    if images != labels:
        problems.append(f"{images} {what} images but {labels} labels")
    if images == 0:
        problems.append(f"there are no {what} images")
    return problems
