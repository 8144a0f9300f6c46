"""What the walkthrough's reader writes with the SDK v2: a PyTorch estimator; told as JSON."""

import json
import os
import sys
import tarfile
from pathlib import Path

from sagemaker.pytorch import PyTorch  # pyright: ignore[reportMissingImports]
from sagemaker.s3 import S3Downloader, S3Uploader  # pyright: ignore[reportMissingImports]
from sagemaker.session import Session  # pyright: ignore[reportMissingImports]

TRAINING = Path(__file__).parent / "training"


def main(answer: Path) -> None:
    session = Session()
    data = f"s3://{session.default_bucket()}/sdk-v2/data"
    S3Uploader.upload_string_as_file_body("1,2\n2,4\n3,6\n", f"{data}/points.csv")
    estimator = PyTorch(
        entry_point="train.py",
        source_dir=str(TRAINING),
        role=os.environ["MC_SAGEMAKER_ROLE_ARN"],
        framework_version="2.5.1",
        py_version="py311",
        instance_count=1,
        instance_type="ml.c5.xlarge",
        hyperparameters={"epochs": 2, "learning-rate": 0.03, "optimizer": "sgd", "fast": True},
        metric_definitions=[{"Name": "loss", "Regex": "loss=([0-9.]+);"}],
        base_job_name="sdk-v2",
    )
    estimator.fit({"training": data, "testing": data})
    name = estimator.latest_training_job.name
    job = estimator.latest_training_job.describe()
    S3Downloader.download(estimator.model_data, "downloaded")
    with tarfile.open("downloaded/model.tar.gz") as tar:
        tar.extractall("model", filter="data")
    estimator.logs()
    attached = PyTorch.attach(name)
    answer.write_text(
        json.dumps(
            {
                "name": name,
                "model_data": estimator.model_data,
                "model": json.loads(Path("model", "model.json").read_text()),
                "metrics": [[m["MetricName"], m["Value"]] for m in job["FinalMetricDataList"]],
                "key": job["OutputDataConfig"]["KmsKeyId"],
                "billable": job["BillableTimeInSeconds"],
                "attached": [attached.model_data, attached.hyperparameters()["epochs"]],
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
