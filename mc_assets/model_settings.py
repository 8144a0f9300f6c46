"""One user's choices for one model: data, training, gates, and where it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mc_assets.automation_settings import Automation
from mc_assets.cost import Budget
from mc_assets.hosting import Hosting
from mc_assets.ownership import RETENTION_DAYS
from mc_assets.training_job import TrainingSettings


@dataclass(frozen=True)
class Gates:
    """What a version must reach to go on. Shares are 0 to 1, sizes bytes, times milliseconds."""

    min_training_accuracy: float = 0.98
    min_test_accuracy: float = 0.99
    min_endpoint_accuracy: float = 0.99
    # Measured with three seeds: of 10,000 test images 35 to 51 tell two of them apart, the lower
    # bound of the difference is -0.0023 at worst. 0.002 would now and then stop a good retraining.
    champion_margin: float = 0.003
    max_parity_difference: float = 1e-3
    max_package_bytes: int = 20_000_000
    max_latency_p95_ms: float = 250.0
    bake_seconds: float = 15.0
    bake_max_latency_p95_ms: float = 2000.0


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One model's lifecycle, as its defs.yaml describes it."""

    name: str
    training_code: Path
    function_app: Path
    training: TrainingSettings = field(default_factory=TrainingSettings)
    training_image: str | None = None
    budget: Budget = field(default_factory=Budget)
    gates: Gates = field(default_factory=Gates)
    hosting: Mapping[str, Any] = field(default_factory=dict)
    dataset_folder: Path | None = None
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    retention_days: int = RETENTION_DAYS
    automation: Automation = field(default_factory=Automation)

    @property
    def release_pool(self) -> str:
        """The Dagster pool that lets one release of this model at a time touch its endpoints."""
        return f"{self.name}_release"

    def hosting_in(self, subscription_id: str) -> Hosting:
        return Hosting(
            model=self.name,
            subscription_id=subscription_id,
            tags=self.tags,
            retention_days=self.retention_days,
            **self.hosting,
        )
