"""The SageMaker SDK's file of defaults: what makes its local jobs know of no real account."""

import json
from pathlib import Path

from mc_assets.local_cloud.settings import BUCKET, ROLE_ARN, write_atomically


def write_sagemaker_defaults(state: Path) -> Path:
    """Have the file say what it should, and tell where it is.

    Without a bucket and a role from here, the SDK asks AWS's own STS who the caller is: that
    address stands in its code, and no setting moves it.
    """
    modules = {"TelemetryOptOut": True, "Session": {"DefaultS3Bucket": BUCKET}}
    defaults = {
        "SchemaVersion": "1.0",
        "SageMaker": {
            "PythonSDK": {"Modules": modules},
            "TrainingJob": {"RoleArn": ROLE_ARN},
        },
    }
    path = state / "sagemaker-sdk.yaml"
    text = json.dumps(defaults, indent=2).encode()  # every JSON text is YAML too
    # Asked for by every process that connects, and only ever changed by a new release.
    if not path.exists() or path.read_bytes() != text:
        write_atomically(path, text)
    return path
