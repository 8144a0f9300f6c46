"""A process that trains until it is interrupted: its arguments are those of `main`."""

import json
import os
import sys

import dagster as dg
from sagemaker_lab import WAIT, Lab

from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.target import CloudTarget


def main(prefix: str, name: str, forward: str, retries: str) -> int:
    store = ArtifactStore(target=CloudTarget(), prefix=prefix)
    environment = json.loads(os.environ["JOB_ENVIRONMENT"])
    lab = Lab(store, name, environment, forward_termination=forward == "forward")
    policy = dg.RetryPolicy(max_retries=int(retries)) if int(retries) else None
    return 0 if lab.run(WAIT, retry_policy=policy).success else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
