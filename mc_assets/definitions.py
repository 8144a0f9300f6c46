"""The one door: everything Dagster loads, built for a target, with any part replaceable."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._utils.warnings import disable_dagster_warnings

import mc_assets.defs
from mc_assets.resources.artifact_store import ArtifactStore, RecordIOManager
from mc_assets.resources.azure_functions import AzureFunctions
from mc_assets.resources.dataset_source import DatasetSource
from mc_assets.resources.releases import Releases
from mc_assets.resources.scm import ScmSite
from mc_assets.resources.training import SageMakerTraining
from mc_assets.target import CloudTarget, TargetName, read_target

ROOT = Path(__file__).parent.parent


@dg.definitions
def defs() -> dg.Definitions:
    # Dagster tells of its own APIs in beta and preview, in some 40 lines at every command.
    with disable_dagster_warnings():
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
    models = models or _load_models()
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


def _load_models() -> dg.Definitions:
    """Everything below `mc_assets/defs`.

    `dg.load_from_defs_folder` would also import every library that brings components, to describe
    those to Dagster's form for new ones: that took longer than all the rest.
    """
    tree = dg.ComponentTree.from_module(mc_assets.defs, project_root=ROOT)
    models = tree.build_defs(tree.defs_module_path)
    return dg.Definitions.merge(models, dg.Definitions(component_tree=tree))


def build_resources(target: TargetName) -> Mapping[str, Any]:
    """The standard resources; nothing is connected before it is first used in a run."""
    cloud = CloudTarget(name=target)
    store = ArtifactStore(target=cloud)
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
