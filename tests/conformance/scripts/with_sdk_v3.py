"""What a user writes with the SageMaker SDK v3: two ModelTrainers; told as JSON in a file."""

import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import boto3
from sagemaker.core.resources import TrainingJob
from sagemaker.core.shapes import MetricDefinition
from sagemaker.core.training.configs import Compute, InputData, SourceCode
from sagemaker.core.utils.utils import configure_logging
from sagemaker.train.distributed import Torchrun
from sagemaker.train.model_trainer import ModelTrainer

TRAINING = str(Path(__file__).parent / "training")
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.8-cpu-py312"
ROLE = os.environ["MC_SAGEMAKER_ROLE_ARN"]
COMPUTE = Compute(instance_type="ml.m5.large", instance_count=1)


def main(answer: Path) -> None:
    configure_logging()
    answer.write_text(json.dumps({"single": single(), "distributed": distributed()}))


def single() -> dict[str, Any]:
    """One process, told its hyperparameters, fed from a folder of this machine."""
    Path("data").mkdir()
    Path("data", "points.csv").write_text("1,2\n2,4\n3,6\n")
    trainer = ModelTrainer(
        training_image=IMAGE,
        role=ROLE,
        source_code=SourceCode(source_dir=TRAINING, entry_script="train.py"),
        compute=COMPUTE,
        hyperparameters={"epochs": 3, "learning-rate": 0.02, "optimizer": "momentum"},
        base_job_name="v3-single",
    ).with_metric_definitions([MetricDefinition(name="loss", regex="loss=([0-9.]+);")])
    data = InputData(channel_name="training", data_source="data")
    trainer.train(input_data_config=[data], wait=True, logs=True)
    job = latest("v3-single")
    return {
        "status": job.training_job_status,
        "metrics": [[metric.metric_name, metric.value] for metric in job.final_metric_data_list],
        "channels": [channel.channel_name for channel in job.input_data_config],
        "key": job.output_data_config.kms_key_id,
        "files": downloaded(job),
    }


def distributed() -> dict[str, Any]:
    """Two processes on one instance, in the role that the SDK's defaults name."""
    trainer = ModelTrainer(
        training_image=IMAGE,
        source_code=SourceCode(source_dir=TRAINING, entry_script="distributed.py"),
        compute=COMPUTE,
        distributed=Torchrun(process_count_per_node=2),
        base_job_name="v3-torchrun",
    )
    trainer.train(wait=True, logs=True)
    return downloaded(latest("v3-torchrun"))


def latest(name: str) -> Any:
    (summary,) = TrainingJob.get_all(name_contains=name)
    return TrainingJob.get(summary.training_job_name)


def downloaded(job: Any) -> dict[str, Any]:
    """The JSON files of the job's model."""
    uri = job.model_artifacts.s3_model_artifacts
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    boto3.client("s3").download_file(bucket, key, "model.tar.gz")
    with tarfile.open("model.tar.gz") as tar:
        tar.extractall(job.training_job_name, filter="data")
    files = Path(job.training_job_name).glob("*.json")
    return {path.name: json.loads(path.read_text()) for path in files}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
