"""The one door: everything Dagster loads, built for a target, with any part replaceable."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_aws.s3 import S3Resource

from mc_assets.resources.artifact_store import ArtifactStore, RecordIOManager
from mc_assets.resources.azure_functions import AzureFunctions
from mc_assets.resources.dataset_source import DatasetSource
from mc_assets.resources.releases import Releases
from mc_assets.resources.scm import ScmSite
from mc_assets.resources.training import SageMakerTraining
from mc_assets.target import CloudTarget, TargetName, read_target


@dg.definitions
def defs() -> dg.Definitions:
    return build_definitions()


def build_definitions(
    target: TargetName | None = None,
    models: dg.Definitions | None = None,
    **overrides: Any,
) -> dg.Definitions:
    """Assets, checks, jobs and resources. Loads without credentials and starts nothing.

    Args:
        target: `local` or `cloud`; MC_TARGET if not given.
        models: what the lifecycles define; everything below `mc_assets/defs` if not given.
        overrides: resources by name, in place of the standard ones.
    """
    models = models or dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(
        models,
        dg.Definitions(
            resources={
                **build_resources(read_target({"MC_TARGET": target} if target else os.environ)),
                **overrides,
            },
            # The graph is a chain and its heavy work is remote: the multiprocess executor would
            # cost some five seconds for every step and every check.
            executor=dg.in_process_executor,
        ),
    )


def build_resources(target: TargetName) -> Mapping[str, Any]:
    """The standard resources; nothing is connected before it is first used in a run."""
    cloud = CloudTarget(name=target)
    store = ArtifactStore(target=cloud, s3=S3Resource())
    azure = AzureFunctions(target=cloud)
    return {
        "target": cloud,
        "artifact_store": store,
        "io_manager": RecordIOManager(store=store),
        "nothing_kept": dg.mem_io_manager,
        "dataset_source": DatasetSource(),
        "sagemaker": SageMakerTraining(store=store),
        "azure_functions": azure,
        "releases": Releases(azure=azure, scm=ScmSite(azure=azure)),
    }
