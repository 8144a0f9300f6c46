"""ModelLifecycle, a Dagster component: one model's YAML becomes its assets, checks and jobs."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import dagster as dg
from pydantic import AfterValidator, BeforeValidator, Field

from mc_assets.automation.conditions import automated, build_on_change
from mc_assets.automation.jobs import build_checks_job, build_teardown_job
from mc_assets.automation.notifications import build_notifications
from mc_assets.automation.rollback import build_rollback_job
from mc_assets.automation.schedules import build_live_check, build_retraining
from mc_assets.automation.sweep import build_sweep_job
from mc_assets.automation_settings import Automation
from mc_assets.cost import Budget, Prices
from mc_assets.hosting import Hosting, PlanKind, SiteUpdateStrategy
from mc_assets.model_settings import Gates, ModelSettings
from mc_assets.ownership import RETENTION_DAYS
from mc_assets.resources.artifact_store import NOT_MODELS
from mc_assets.stages import (
    dataset,
    drift,
    function_package,
    live_endpoint,
    onnx_model,
    source,
    staged_endpoint,
    trained_model,
)
from mc_assets.training_job import TrainingSettings

STAGES: tuple[ModuleType, ...] = (
    dataset,
    trained_model,
    onnx_model,
    function_package,
    staged_endpoint,
    live_endpoint,
)
ROOT = Path(__file__).parent.parent


def _as_text(value: object) -> object:
    """Templating turns "1" into 1 and "true" into True before a field sees it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _as_model_name(name: str) -> str:
    if name in NOT_MODELS:
        raise ValueError(
            f"{name} is a folder in the bucket that all models share: choose another name."
        )
    return name


Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Text = Annotated[str, BeforeValidator(_as_text)]


class Cost(dg.Model, dg.Resolvable):
    """Prices as you looked them up, and what one training job may cost."""

    prices: dict[str, Amount] = Field(
        default_factory=dict, description="On-demand price per hour, by instance type."
    )
    currency: str = Field(default=Prices.currency, description="Of the prices and the budget.")
    as_of: Text = Field(default=Prices.as_of, description="When the prices were looked up.")
    budget_per_job: Amount | None = Field(
        default=None,
        description="Refuse to submit a job that could cost more, should it run for max_runtime.",
    )

    def budget(self) -> Budget:
        return Budget(Prices(self.prices, self.currency, self.as_of), self.budget_per_job)


class Training(dg.Model, dg.Resolvable):
    """The training job."""

    code: str = Field(
        default="training_code", description="Folder of train.py, from the project's root."
    )
    image: str | None = Field(
        default=None, description="Training image; AWS's newest PyTorch image if not given."
    )
    instance_type: str = Field(
        default=TrainingSettings.instance_type, description="SageMaker instance type."
    )
    volume_size_gb: int = Field(
        default=TrainingSettings.volume_size_gb, ge=1, description="Storage of each instance."
    )
    max_runtime: int = Field(
        default=TrainingSettings.max_runtime,
        ge=1,
        description="Seconds after which SageMaker stops the job.",
    )
    hyperparameters: dict[str, Any] = Field(
        default_factory=dict, description="Arguments of train.py, without the dashes."
    )
    environment: dict[str, Text] = Field(
        default_factory=dict, description="Environment of the job; no secrets."
    )
    spot: bool = Field(
        default=TrainingSettings.spot, description="Managed spot training, with checkpoints."
    )
    max_wait: int | None = Field(
        default=TrainingSettings.max_wait,
        description="With spot: seconds to wait for capacity and to train, together.",
    )
    subnets: list[str] = Field(default_factory=list, description="VPC subnets.")
    security_group_ids: list[str] = Field(default_factory=list, description="VPC security groups.")
    network_isolation: bool = Field(
        default=TrainingSettings.network_isolation,
        description="No network for the script, which needs none.",
    )
    encrypt_inter_container_traffic: bool = Field(
        default=TrainingSettings.encrypt_inter_container_traffic, description="Between instances."
    )
    volume_kms_key_id: str | None = Field(
        default=TrainingSettings.volume_kms_key_id, description="KMS key of the storage."
    )
    output_kms_key_id: str | None = Field(
        default=TrainingSettings.output_kms_key_id, description="KMS key of the model archive."
    )
    cost: Cost = Field(default_factory=Cost, description="Prices, and the budget of one job.")


class Thresholds(dg.Model, dg.Resolvable):
    """What a version must reach to go on."""

    min_training_accuracy: Share = Field(
        default=Gates.min_training_accuracy, description="Measured by the training job."
    )
    min_test_accuracy: Share = Field(
        default=Gates.min_test_accuracy, description="Of the ONNX model, on every test image."
    )
    min_endpoint_accuracy: Share = Field(
        default=Gates.min_endpoint_accuracy, description="Over HTTP, on every test image."
    )
    champion_margin: Share = Field(
        default=Gates.champion_margin,
        description="How much less accurate than the live model is still let through, once it is "
        "beyond doubt (95 %) that it is no more; what stays in doubt needs a decision.",
    )
    max_parity_difference: float = Field(
        default=Gates.max_parity_difference,
        gt=0,
        description="Largest difference between PyTorch's and ONNX Runtime's outputs.",
    )
    max_package_bytes: int = Field(
        default=Gates.max_package_bytes, gt=0, description="Of the zip's files, unpacked."
    )
    max_latency_p95_ms: float = Field(
        default=Gates.max_latency_p95_ms,
        gt=0,
        description="Of single-image calls to the live endpoint; warns.",
    )
    bake_seconds: float = Field(
        default=Gates.bake_seconds,
        ge=0,
        description="How long a version just promoted is watched, by calling it with every test "
        "image, before it counts as live; if it fails, the version before is brought back.",
    )
    bake_max_latency_p95_ms: float = Field(
        default=Gates.bake_max_latency_p95_ms,
        gt=0,
        description="Of the calls of the bake, and of single-image calls to the staged endpoint; "
        "a slower version is not released.",
    )


class FunctionAppHosting(dg.Model, dg.Resolvable):
    """The function app."""

    plan: PlanKind = Field(
        default=Hosting.plan, description="flex_consumption, consumption or premium."
    )
    location: str = Field(default=Hosting.location, description="Azure region.")
    resource_group: str = Field(
        default=Hosting.resource_group, description="rg-mc-<model> if not given."
    )
    app: str = Field(
        default=Hosting.app,
        description="mc-<model>-<eight digits> if not given; unique in the world.",
    )
    runtime: str = Field(
        default=Hosting.runtime,
        pattern=r"^python\|3\.\d+$",
        description="Language and version, as Azure writes them. A bare 3.10 would arrive as 3.1.",
    )
    instance_memory_mb: int = Field(
        default=Hosting.instance_memory_mb, description="Flex Consumption: 512, 2048 or 4096."
    )
    maximum_instances: int = Field(
        default=Hosting.maximum_instances, ge=1, description="Flex Consumption: scale-out limit."
    )
    site_update_strategy: SiteUpdateStrategy = Field(
        default=Hosting.site_update_strategy,
        description="Flex Consumption: how the live app takes a new version. rolling_update, which "
        "Azure has in preview, lets calls end that are being answered; recreate ends them.",
    )
    settings: dict[str, Text] = Field(
        default_factory=dict, description="Further app settings; no secrets."
    )


class ModelLifecycle(dg.Component, dg.Model, dg.Resolvable):
    """A dataset on AWS, a model trained on SageMaker, and its live endpoint on Azure Functions."""

    name: Annotated[str, AfterValidator(_as_model_name)] = Field(
        pattern=r"^[a-z][a-z0-9]{0,19}$", description="First part of every asset key."
    )
    dataset_folder: str | None = Field(
        default=None,
        description="Folder with your own four IDX files; the public MNIST if not given.",
    )
    function_app: str = Field(default="function_app", description="Folder of function_app.py.")
    job_prefix: str | None = Field(
        default=None, description="Before the names of the jobs; `<name>_` if not given."
    )
    owners: list[str] = Field(default_factory=list, description='"team:x" or an e-mail address.')
    tags: dict[str, Text] = Field(
        default_factory=dict, description="On training jobs, and on everything made on Azure."
    )
    retention_days: int = Field(
        default=RETENTION_DAYS,
        ge=0,
        description="How long what nothing needs any more stays, before the sweep lists it.",
    )
    training: Training = Field(default_factory=Training, description="The training job.")
    gates: Thresholds = Field(
        default_factory=Thresholds, description="What a version must reach to go on."
    )
    hosting: FunctionAppHosting = Field(
        default_factory=FunctionAppHosting, description="The function app."
    )
    automation: Automation = Field(
        default_factory=Automation,
        description="What runs by itself, and who is told of failures.",
    )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002 - the component's signature
        return self.build()

    def build(self) -> dg.Definitions:
        """The model's assets, checks, jobs, schedules and sensors, without resources."""
        model = self.settings()
        prefix = f"{model.name}_" if self.job_prefix is None else self.job_prefix
        assets = [module.build_asset(model) for module in (source, *STAGES)]
        checks = [check for module in (*STAGES, drift) for check in module.build_checks(model)]
        jobs = [
            build_checks_job(model, prefix, checks),
            build_rollback_job(model, prefix),
            build_sweep_job(model, prefix),
            build_teardown_job(model, prefix),
        ]
        schedules = [*build_retraining(model, prefix, assets), *build_live_check(model, prefix)]
        own_jobs = {job.name for job in jobs} | {schedule.job_name for schedule in schedules}
        return dg.Definitions(
            assets=automated(model, assets),
            asset_checks=checks,
            jobs=jobs,
            schedules=schedules,
            sensors=[
                *build_on_change(model, prefix, assets),
                *build_notifications(model, prefix, own_jobs),
            ],
        )

    def settings(self) -> ModelSettings:
        """The YAML's choices as the stages take them; paths from the project's root."""
        training = self.training.model_dump(exclude={"code", "image", "cost"})
        model = ModelSettings(
            name=self.name,
            training_code=ROOT / self.training.code,
            training_image=self.training.image,
            training=TrainingSettings(**_frozen(training)),
            budget=self.training.cost.budget(),
            function_app=ROOT / self.function_app,
            gates=Gates(**self.gates.model_dump()),
            hosting=self.hosting.model_dump(),
            dataset_folder=ROOT / self.dataset_folder if self.dataset_folder else None,
            owners=tuple(self.owners),
            tags=self.tags,
            retention_days=self.retention_days,
            automation=self.automation,
        )
        Hosting(model=self.name, subscription_id="", **model.hosting)  # refuse a wrong choice now
        _require(model.training_code / "train.py", "training.code")
        _require(model.function_app / "function_app.py", "function_app")
        return model


def _require(file: Path, attribute: str) -> None:
    if not file.is_file():
        raise ValueError(
            f"There is no {file}: `{attribute}` in defs.yaml names a folder below {ROOT}, the "
            "project's root (install the project with `pip install -e`)."
        )


def _frozen(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
