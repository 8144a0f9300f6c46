"""Every request of a training run, to whichever service, held against that service's API model.

botocore looks at types and required members alone; patterns, enums and ranges AWS judges by itself.
"""

import os
import signal
from pathlib import Path
from typing import Any

from botocore.model import OperationModel
from sagemaker_lab import SAVE, WAIT, Lab

from mc_assets.local_cloud.aws.api_model import violations
from mc_assets.resources.artifact_store import ArtifactStore


def test_they_are_valid(store: ArtifactStore, tmp_path: Path) -> None:
    files = {"GATE": str(tmp_path / "gate"), "STARTED": str(tmp_path / "started")}
    lab = Lab(store, "lab-requests", files)
    asked: list[tuple[OperationModel, dict[str, Any]]] = []

    def record(params: dict[str, Any], model: OperationModel, **_: Any) -> None:
        asked.append((model, dict(params)))

    clients = (store.client, lab.pipes.client, lab.pipes.logs_client)
    for client in clients:
        client.meta.events.register("before-parameter-build", record)
    stored = store.put_bytes("requests/file", b"some bytes")
    assert lab.run(f"print('a line')\n{SAVE}").success
    store.read(stored)
    lab.base_name = "lab-requests-interrupted"
    lab.when_training(lambda _: os.kill(os.getpid(), signal.SIGINT))
    assert not lab.run(WAIT).success
    for client in clients:
        client.meta.events.unregister("before-parameter-build", record)

    assert {operation.name for operation, _ in asked} >= {
        "PutObject", "HeadObject", "GetObject", "CreateTrainingJob", "DescribeTrainingJob",
        "DescribeLogStreams", "GetLogEvents", "StopTrainingJob",
    }  # fmt: skip
    for operation, params in asked:
        assert list(violations(operation.input_shape, params)) == [], operation.name
