"""The training request: reproducible code archives, identities, names, and botocore's own rules."""

import io
import re
import tarfile
from pathlib import Path

import botocore.session
import pytest
from botocore.validate import ParamValidator

from mc_assets.local_cloud.aws.api_model import require_valid
from mc_assets.training_job import (
    JOB_NAME_LIMIT,
    TrainingSettings,
    fingerprint,
    job_base_name,
    pack_source,
    training_job_request,
)

ROOT = Path(__file__).parent.parent


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    (folder / "sub").mkdir(parents=True)
    (folder / "__pycache__").mkdir()
    (folder / "train.py").write_text("print('a')\n")
    (folder / "sub" / "net.py").write_text("x = 1\n")
    (folder / "__pycache__" / "train.cpython-311.pyc").write_bytes(b"\0")
    (folder / ".secret.txt").write_text("no")
    return folder


def test_equal_code_gives_equal_bytes_whatever_its_times(code: Path) -> None:
    first = pack_source(code)
    (code / "train.py").touch()
    assert pack_source(code) == first
    with tarfile.open(fileobj=io.BytesIO(first.data)) as tar:
        assert [name for name in tar.getnames() if "cache" in name] == []
        assert {"train.py", "sub/net.py"} <= set(tar.getnames())


def test_a_changed_line_changes_the_identity(code: Path) -> None:
    before = pack_source(code).sha256
    (code / "train.py").write_text("print('b')\n")
    assert pack_source(code).sha256 != before


def test_the_identity_is_of_what_is_computed_not_of_what_it_costs() -> None:
    base = fingerprint(TrainingSettings(), "c", "d", None)
    assert fingerprint(TrainingSettings(instance_type="ml.c5.xlarge"), "c", "d", None) == base
    others = [
        fingerprint(TrainingSettings(hyperparameters={"epochs": 2}), "c", "d", None),
        fingerprint(TrainingSettings(environment={"A": "1"}), "c", "d", None),
        fingerprint(TrainingSettings(), "c2", "d", None),
        fingerprint(TrainingSettings(), "c", "d2", None),
        fingerprint(TrainingSettings(), "c", "d", "image"),
    ]
    assert len({base, *others}) == 6


@pytest.mark.parametrize("model", ["mnist", "a_model_with_a_long_name_indeed"])
@pytest.mark.parametrize("run", [None, "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"])
def test_names_fit_what_sagemaker_takes(model: str, run: str | None) -> None:
    name = f"{job_base_name(model, 'f' * 64, run)}-20"
    assert len(name) <= JOB_NAME_LIMIT
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)


@pytest.mark.parametrize(
    "settings",
    [
        TrainingSettings(),
        TrainingSettings(spot=True, max_runtime=600),
        TrainingSettings(
            subnets=("subnet-0a1b2c3d",),
            security_group_ids=("sg-0a1b2c3d",),
            volume_kms_key_id="arn:aws:kms:us-east-1:123456789012:key/1234abcd",
            output_kms_key_id="alias/models",
            network_isolation=True,
            encrypt_inter_container_traffic=True,
            hyperparameters={"epochs": 3, "lr": 0.1, "dry-run": True},
            environment={"NAME": "value"},
        ),
    ],
    ids=["plain", "spot", "everything"],
)
@pytest.mark.parametrize("run_id", [None, "0f2a9c1e-6b1d-4a53-9a55-1f0a3d1f8e77"])
def test_requests_are_valid_by_the_api_model(
    settings: TrainingSettings, run_id: str | None
) -> None:
    name = job_base_name("a_model_with_quite_a_name", "0123456789abcdef", run_id)
    request = training_job_request(
        settings,
        image="763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.8-cpu-py312",
        role_arn="arn:aws:iam::123456789012:role/service-role/trainer",
        region="us-east-1",
        source_uri="s3://bucket/code/sourcedir.tar.gz",
        channels={"training": "s3://bucket/training/", "testing": "s3://bucket/testing/"},
        output_uri="s3://bucket/jobs",
        checkpoint_uri="s3://bucket/checkpoints/name",
        tags={"mc-assets-owner": "mc-assets/mnist"},
    )
    named = {**request, "TrainingJobName": f"{name}-1"}
    model = botocore.session.get_session().get_service_model("sagemaker")
    shape = model.operation_model("CreateTrainingJob").input_shape
    report = ParamValidator().validate(named, shape)
    assert not report.has_errors(), report.generate_report()
    # botocore looks at types and required members alone; what it lets through AWS may still
    # refuse: patterns, enums, ranges.
    require_valid("CreateTrainingJob", named)
    assert request["StoppingCondition"]["MaxRuntimeInSeconds"] == settings.max_runtime
    assert ("CheckpointConfig" in request) == settings.spot


def test_the_projects_own_training_code_packs_with_its_entry_point() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack_source(ROOT / "training_code").data)) as tar:
        assert {"train.py", "network.py"} <= set(tar.getnames())
