"""A script: the dataset and the trained model of a folder of IDX files, materialised once.

Prints what the training job measured, as one line of JSON. Runs alone in its process, so that the
process's memory is that of the graph.
"""

import json
import sys
from pathlib import Path


def main(folder: Path) -> None:
    import dagster as dg

    from mc_assets.definitions import build_definitions
    from mc_assets.lifecycle import ModelLifecycle

    lifecycle = ModelLifecycle.from_attributes_dict(
        attributes={
            "name": folder.name,
            "dataset_folder": str(folder),
            "training": {"hyperparameters": {"epochs": 1}},
            "gates": {"min_training_accuracy": 0.9},
        }
    )
    assets = dg.AssetSelection.assets(
        *([lifecycle.name, asset] for asset in ("dataset", "trained_model"))
    )
    job = dg.define_asset_job("to_the_model", selection=assets)
    definitions = build_definitions(
        "local", models=dg.Definitions.merge(lifecycle.build(), dg.Definitions(jobs=[job]))
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("to_the_model").execute_in_process(instance=instance)
        checks = result.get_asset_check_evaluations()
        metadata = {
            name: value.value
            for event in result.get_asset_materialization_events()
            for name, value in event.step_materialization_data.materialization.metadata.items()
        }
    failed = [each.check_name for each in checks if not each.passed]
    told = {"train_seconds": metadata["seconds"], "accuracy": metadata["test_accuracy"]}
    print(json.dumps({**told, "checks": len(checks), "failed_checks": failed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
