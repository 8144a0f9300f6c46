"""Running parts of a model's graph in this process, and reading what a run said."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dagster as dg

from mc_assets.artifacts import ARTIFACTS
from mc_assets.definitions import build_definitions, build_resources
from mc_assets.lifecycle import ModelLifecycle
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.azure_functions import AzureFunctions
from mc_assets.resources.releases import Releases

# Asking the `sagemaker` package for AWS's own image takes seconds, and no test here is about it.
IMAGE = "123456789012.dkr.ecr.eu-west-2.amazonaws.com/training:test"


@dataclass(frozen=True)
class Ran:
    """One finished run: what it made, what its checks found, and all it wrote to its log."""

    result: dg.ExecuteInProcessResult
    instance: dg.DagsterInstance

    @property
    def success(self) -> bool:
        return self.result.success

    @cached_property
    def materialised(self) -> dict[str, dg.AssetMaterialization]:
        """By the last part of the asset key."""
        events = self.result.get_asset_materialization_events()
        found = [event.step_materialization_data.materialization for event in events]
        return {materialization.asset_key.path[-1]: materialization for materialization in found}

    @cached_property
    def checks(self) -> dict[str, dg.AssetCheckEvaluation]:
        """By `asset check`."""
        found = self.result.get_asset_check_evaluations()
        return {f"{each.asset_key.path[-1]} {each.check_name}": each for each in found}

    @property
    def failed_checks(self) -> set[str]:
        return {name for name, evaluation in self.checks.items() if not evaluation.passed}

    def found(self, check: str, name: str) -> Any:
        """One value that a check reported."""
        return self.checks[check].metadata[name].value

    def metadata(self, asset: str, name: str) -> Any:
        return self.materialised[asset].metadata[name].value

    def data_version(self, asset: str) -> str:
        tags = self.materialised[asset].tags
        assert tags is not None
        return tags["dagster/data_version"]

    def failure(self, step: str) -> str:
        """The message of the error that a step failed with."""
        found = self.result.failure_data_for_node(step)
        assert found is not None, f"{step} did not fail"
        assert found.user_failure_data is not None, found
        return found.user_failure_data.description or ""

    @cached_property
    def log(self) -> list[str]:
        """Everything in the run's log, as a user reads it and as it is stored."""
        entries = self.instance.all_logs(self.result.run_id)
        return [
            line for entry in entries for line in (entry.user_message, dg.serialize_value(entry))
        ]

    @property
    def messages(self) -> list[str]:
        return [entry.user_message for entry in self.instance.all_logs(self.result.run_id)]


@dataclass(frozen=True)
class Graph:
    """One model on the session's local clouds; its runs share what Dagster remembers."""

    lifecycle: ModelLifecycle
    overrides: Mapping[str, Any] = field(default_factory=dict)
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)

    @classmethod
    def of(cls, name: str, **attributes: Any) -> "Graph":
        """A graph from attributes as defs.yaml spells them, with the standard resources."""
        attributes["training"] = {"image": IMAGE, **attributes.get("training", {})}
        attributes["gates"] = {"bake_seconds": 0, **attributes.get("gates", {})}
        return cls(ModelLifecycle.from_attributes_dict(attributes={"name": name, **attributes}))

    @property
    def name(self) -> str:
        return self.lifecycle.name

    @cached_property
    def defs(self) -> dg.Definitions:
        chosen = dg.AssetSelection.all() | dg.AssetSelection.assets(self.key("source"))
        return build_definitions(
            "local",
            models=dg.Definitions.merge(
                self.lifecycle.build(),
                dg.Definitions(jobs=[dg.define_asset_job("everything", selection=chosen)]),
            ),
            **self.overrides,
        )

    @cached_property
    def store(self) -> ArtifactStore:
        return {**build_resources("local"), **self.overrides}["artifact_store"]

    @cached_property
    def azure(self) -> AzureFunctions:
        return build_resources("local")["azure_functions"]

    @cached_property
    def releases(self) -> Releases:
        return build_resources("local")["releases"]

    def last_materialised(self, asset: str) -> dg.AssetMaterialization:
        """The asset's newest, also one that a failed step wrote."""
        event = self.instance.get_latest_materialization_event(self.key(asset))
        assert event is not None
        assert event.asset_materialization is not None
        return event.asset_materialization

    def times_materialised(self, asset: str, run_id: str) -> int:
        """How often the run wrote the asset into its history."""
        logged = self.instance.all_logs(run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
        return [each.dagster_event.asset_key for each in logged if each.dagster_event].count(
            self.key(asset)
        )

    def secrets(self) -> set[str]:
        """What may never be written down: of this process, of both apps and of their storage."""
        hosting = self.lifecycle.settings().hosting_in(self.store.target.connection.subscription_id)
        keys = self.azure.storage.storage_accounts.list_keys(
            hosting.group_name, hosting.storage_name
        )
        return {
            os.environ["AZURE_CLIENT_SECRET"],
            keys.keys_property[0].value,
            *(
                self.releases.client(self.record(asset)).key
                for asset in ("staged_endpoint", "live_endpoint")
            ),
        }

    def key(self, asset: str) -> dg.AssetKey:
        return dg.AssetKey([self.name, asset])

    def record(self, asset: str) -> Any:
        """What the asset's last materialisation handed on."""
        return self.store.latest(self.key(asset), ARTIFACTS[asset])

    def materialise(self, *assets: str, config: Mapping[str, Any] | None = None) -> Ran:
        """Materialise these assets with their checks; all of them if none is named."""
        job = self.defs.resolve_job_def("everything")
        ops = {
            f"{self.name}__{asset}": {"config": value} for asset, value in (config or {}).items()
        }
        result = job.execute_in_process(
            instance=self.instance,
            asset_selection=[self.key(asset) for asset in assets] or None,
            run_config={"ops": ops},
            raise_on_error=False,
        )
        return Ran(result, self.instance)

    def check(self, asset: str) -> Ran:
        """Run the asset's checks on what was recorded last."""
        chosen = dg.AssetSelection.checks_for_assets(self.key(asset))
        job = dg.Definitions.merge(
            self.defs, dg.Definitions(jobs=[dg.define_asset_job("chosen", selection=chosen)])
        ).resolve_job_def("chosen")
        return Ran(
            job.execute_in_process(instance=self.instance, raise_on_error=False), self.instance
        )

    def run_job(self, name: str, **config: Any) -> Ran:
        """One of the model's own jobs, without its prefix; `config` by op, likewise."""
        job = self.defs.resolve_job_def(f"{self.name}_{name}")
        ops = {f"{self.name}_{op}": {"config": value} for op, value in config.items()}
        result = job.execute_in_process(
            instance=self.instance, run_config={"ops": ops}, raise_on_error=False
        )
        return Ran(result, self.instance)
