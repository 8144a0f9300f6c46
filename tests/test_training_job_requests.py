"""What the project asks of SageMaker, held against the whole API model: patterns, enums, ranges.

botocore looks at types and required members alone; what it lets through AWS may still refuse.
"""

import pytest

from mc_assets.local_cloud.aws.api_model import require_valid
from mc_assets.training_job import TrainingSettings, job_base_name, training_job_request


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
def test_training_jobs(settings: TrainingSettings, run_id: str | None) -> None:
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
    require_valid("CreateTrainingJob", {**request, "TrainingJobName": f"{name}-1"})
