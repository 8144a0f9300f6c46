"""The probe as a user of the SDK v3 would submit it, once for each way to end; names as JSON."""

import json
import os
import sys
from pathlib import Path

from sagemaker.core.resources import TrainingJob
from sagemaker.core.training.configs import Compute, InputData, SourceCode
from sagemaker.train.model_trainer import ModelTrainer


def main(answer: Path, ends: list[str]) -> None:
    Path("code").mkdir()
    Path("code", "probe.py").write_bytes(Path(__file__).with_name("probe.py").read_bytes())
    Path("data").mkdir()
    Path("data", "x.csv").write_text("1,2")
    answer.write_text(json.dumps({end: submitted(end) for end in ends}))


def submitted(end: str) -> str:
    """The name of the job that ends so."""
    trainer = ModelTrainer(
        training_image="763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.8-cpu-py312",
        role=os.environ["MC_SAGEMAKER_ROLE_ARN"],
        source_code=SourceCode(source_dir="code", entry_script="probe.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        hyperparameters={"end": end, "epochs": 3, "fast": True, "nested": {"b": 1, "a": [1]}},
        environment={"MINE": "yes"},
        base_job_name=f"v3-probe-{end}",
    )
    data = InputData(channel_name="training", data_source="data")
    trainer.train(input_data_config=[data], wait=False)
    (job,) = TrainingJob.get_all(name_contains=f"v3-probe-{end}")
    return str(job.training_job_name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
