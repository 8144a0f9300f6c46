"""Things planted on both local clouds, ours and other people's; and what became of them."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
import dagster as dg

from archives import archive
from graph_runs import IMAGE, Graph, Ran
from mc_assets.definitions import build_resources
from mc_assets.hosting import Hosting
from mc_assets.ownership import OWNER_TAG, RUN_TAG, TTL_TAG, owner_of
from mc_assets.resources.azure_group import SITES, SLOTS, Resource, ResourceGroup
from mc_assets.training_job import TrainingSettings, training_job_request

WAIT = """
import os, time
while not os.path.exists(os.environ["GATE"]):
    time.sleep(0.05)
"""
THEIRS = {"team": "others"}


@dg.job
def trivial() -> None:
    pass


@dataclass
class Garden:
    """One model's own and foreign things side by side, with all that is left of them at the end."""

    graph: Graph
    folder: Path
    jobs: list[str] = field(default_factory=list)
    own_jobs: set[str] = field(default_factory=set)

    @cached_property
    def sagemaker(self) -> Any:
        return boto3.client("sagemaker")

    @cached_property
    def s3(self) -> Any:
        return boto3.client("s3")

    @property
    def bucket(self) -> str:
        return self.graph.store.bucket

    @property
    def hosting(self) -> Hosting:
        subscription = self.graph.store.target.connection.subscription_id
        return self.graph.lifecycle.settings().hosting_in(subscription)

    @property
    def group(self) -> ResourceGroup:
        return ResourceGroup(self.graph.azure, self.hosting)

    def run(self, status: str) -> str:
        """A run that this Dagster instance knows, in that state."""
        return self.graph.instance.create_run_for_job(
            trivial, status=dg.DagsterRunStatus(status)
        ).run_id

    def keeping(self, days: int, **attributes: Any) -> "Garden":
        """The same things under a defs.yaml with another `retention_days`, and other choices."""
        graph = Graph.of(self.graph.name, retention_days=days, **attributes)
        return replace(self, graph=replace(graph, instance=self.graph.instance))

    def tags(self, run_id: str = "of-nobody", ttl: str = "0d") -> dict[str, str]:
        return {OWNER_TAG: owner_of(self.graph.name), RUN_TAG: run_id, TTL_TAG: ttl}

    def job(self, name: str, tags: Mapping[str, str], script: str = WAIT) -> str:
        """A training job in progress, until the garden is cleared."""
        store, name = self.graph.store, f"{self.graph.name}-{name}"
        # One key for each script: a job fetches its own when it starts, after the next was put.
        code = f"planted/{self.graph.name}-{hashlib.sha256(script.encode()).hexdigest()[:8]}.tar.gz"
        settings = TrainingSettings(environment={"GATE": str(self.folder / "gate")})
        request = training_job_request(
            settings,
            image=IMAGE,
            role_arn=store.target.connection.sagemaker_role_arn,
            region=store.target.connection.region,
            source_uri=store.put_bytes(code, archive({"train.py": script.encode()})).uri,
            channels={"none": ""},
            output_uri=store.uri(f"{self.graph.name}/jobs"),
            checkpoint_uri="",
            tags=tags,
        )
        del request["InputDataConfig"]
        self.sagemaker.create_training_job(TrainingJobName=name, **request)
        self.jobs.append(name)
        if tags.get(OWNER_TAG) == owner_of(self.graph.name):
            self.own_jobs.add(name)
        return name

    def wait_for(self, job: str) -> None:
        """Another run, under way, says that it has attached to the job."""
        run = self.graph.instance.get_run_by_id(self.run("STARTED"))
        assert run is not None
        self.graph.instance.report_engine_event(f"Training job {job} is under way already.", run)

    def status(self, job: str) -> str:
        return self.sagemaker.describe_training_job(TrainingJobName=job)["TrainingJobStatus"]

    def ended(self, job: str) -> str:
        """The job's status once it is no longer stopping."""
        deadline = time.monotonic() + 60
        while (status := self.status(job)) in {"InProgress", "Stopping"}:
            assert time.monotonic() < deadline, f"{job} is {status}"
            time.sleep(0.1)
        return status

    def object(self, key: str, tags: Mapping[str, str], data: bytes = b"bytes") -> str:
        """An object below the store's prefix, unless the key begins with a slash."""
        whole = key[1:] if key.startswith("/") else f"{self.graph.store.prefix}/{key}"
        tagging = {"Tagging": urlencode(tags)} if tags else {}
        self.s3.put_object(Bucket=self.bucket, Key=whole, Body=data, **tagging)
        return key

    def has(self, key: str) -> bool:
        return self.graph.store.head(self.graph.store.uri(key)) is not None

    def context(self, name: str, run_id: str, model: str = "") -> str:
        told = {"asset_keys": [f"{model or self.graph.name}/trained_model"], "run_id": run_id}
        return self.object(f"pipes/{name}/context.json", {}, json.dumps(told).encode())

    def make_group(self, tags: Mapping[str, str] | None = None) -> None:
        self.graph.azure.resources.resource_groups.create_or_update(
            self.hosting.group_name, {"location": "ukwest", "tags": tags or self.tags(ttl="none")}
        )

    def plan(self, name: str, tags: Mapping[str, str]) -> str:
        body = {
            "location": "ukwest",
            "kind": "elastic",
            "tags": tags,
            "sku": {"name": "EP1", "tier": "ElasticPremium"},
            "properties": {"reserved": True},
        }
        plans = self.graph.azure.web.app_service_plans
        return plans.begin_create_or_update(self.hosting.group_name, name, body).result().id

    def app(self, name: str, plan_id: str, tags: Mapping[str, str], slot: str = "") -> str:
        body = {
            "location": "ukwest",
            "kind": "functionapp,linux",
            "tags": tags,
            "properties": {
                "serverFarmId": plan_id,
                "siteConfig": {"appSettings": [{"name": "WHOSE", "value": name}]},
            },
        }
        apps, group = self.graph.azure.web.web_apps, self.hosting.group_name
        if slot:
            apps.begin_create_or_update_slot(group, name, slot, body).result()
            return f"{name}/{slot}"
        apps.begin_create_or_update(group, name, body).result()
        return name

    def hosting_on(self, plan: Any) -> Hosting:
        return replace(self.hosting, plan=plan)

    @property
    def group_exists(self) -> bool:
        groups = self.graph.azure.resources.resource_groups
        return groups.check_existence(self.hosting.group_name)

    @property
    def group_key(self) -> str:
        """Of the model's group in what `foreign` tells."""
        group = f"/subscriptions/{self.hosting.subscription_id}/resourceGroups"
        return f"azure {group}/{self.hosting.group_name}"

    @property
    def on_azure(self) -> set[str]:
        return {resource.name for resource in self.group.resources()}

    def foreign(self) -> dict[str, Any]:
        """Everything on both clouds that is not the model's, each as its cloud describes it."""
        found: dict[str, Any] = {}
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            found |= {
                f"s3 {each['Key']}": (answer, tags)
                for each in page.get("Contents", [])
                if (tags := self._object_tags(each["Key"])).get(OWNER_TAG)
                != owner_of(self.graph.name)
                and not self._is_written_by_cloud(each["Key"])
                and (answer := self._object(each["Key"]))
            }
        for page in self.sagemaker.get_paginator("list_training_jobs").paginate():
            for job in page["TrainingJobSummaries"]:
                tags = self.sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
                if {"Key": OWNER_TAG, "Value": owner_of(self.graph.name)} not in tags:
                    described = self.sagemaker.describe_training_job(
                        TrainingJobName=job["TrainingJobName"]
                    )
                    described.pop("ResponseMetadata")
                    found[f"job {job['TrainingJobName']}"] = (described, tags)
        for resource in self.graph.azure.resources.resources.list():
            if (resource.tags or {}).get(OWNER_TAG) != owner_of(self.graph.name):
                found[f"azure {resource.id}"] = self._site(resource) or resource.as_dict()
        for group in self.graph.azure.resources.resource_groups.list():
            found[f"azure {group.id}"] = group.as_dict()
        return found

    def _object_tags(self, key: str) -> dict[str, str]:
        answer = self.s3.get_object_tagging(Bucket=self.bucket, Key=key)
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def _object(self, key: str) -> tuple[Any, ...]:
        answer = self.s3.get_object(Bucket=self.bucket, Key=key)
        return answer["Body"].read(), answer["LastModified"], answer["ETag"], answer["Metadata"]

    def _is_written_by_cloud(self, key: str) -> bool:
        """Outputs of our jobs and contexts of our runs carry no tags: the clouds write them."""
        outputs = f"{self.graph.store.prefix}/{self.graph.name}/jobs/"
        job = key.removeprefix(outputs).partition("/")[0]
        return (key.startswith(outputs) and job in self.own_jobs) or "/pipes/ours" in key

    def _site(self, resource: Any) -> Any:
        if resource.type not in {SITES, SLOTS}:
            return None
        apps, group = self.graph.azure.web.web_apps, resource.id.split("/")[4]
        told = Resource(resource.type, resource.name, {})
        slot = resource.name.partition("/")[2]
        if slot:
            settings = apps.list_application_settings_slot(group, told.app, slot)
            return apps.get_slot(group, told.app, slot).as_dict(), settings.as_dict()
        settings = apps.list_application_settings(group, told.app)
        return apps.get(group, told.app).as_dict(), settings.as_dict()

    @contextmanager
    def cleared_at_the_end(self) -> Iterator["Garden"]:
        """Whatever is planted runs as processes here."""
        yield self
        (self.folder / "gate").touch()
        for job in self.jobs:
            self.ended(job)
        if self.group_exists:
            groups = self.graph.azure.resources.resource_groups
            groups.begin_delete(self.hosting.group_name).result()


def resources_of_the_environment() -> dict[str, Any]:
    """The standard ones with clients that the environment points, as on real clouds."""
    standard = build_resources("cloud")
    return {name: resource for name, resource in standard.items() if name != "target"}


def sweep(garden: Garden, delete: bool = False) -> Ran:
    return garden.graph.run_job("sweep", sweep_orphans={"delete": delete})


def listed(ran: Ran) -> dict[str, str]:
    """Why, by kind and name, as the run's metadata has it."""
    return {f"{row['kind']} {row['name']}": row["why"] for row in rows(ran)}


def rows(ran: Ran) -> list[dict[str, Any]]:
    for event in ran.result.all_events:
        if event.is_successful_output:
            table = event.step_output_data.metadata["orphans"]
            assert isinstance(table, dg.TableMetadataValue)
            return [dict(record.data) for record in table.records]
    raise AssertionError("the sweep told nothing")
