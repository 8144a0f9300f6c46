"""One user's choices for one model: data, training, gates, and where it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mc_assets.hosting import Hosting
from mc_assets.training_job import TrainingSettings


@dataclass(frozen=True)
class Gates:
    """What a version must reach to go on. Shares are 0 to 1, sizes bytes, times milliseconds."""

    min_training_accuracy: float = 0.98
    min_test_accuracy: float = 0.99
    min_endpoint_accuracy: float = 0.99
    champion_margin: float = 0.002
    max_parity_difference: float = 1e-3
    max_package_bytes: int = 20_000_000
    max_latency_p95_ms: float = 250.0


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One model's lifecycle, as its defs.yaml describes it."""

    name: str
    training_code: Path
    function_app: Path
    training: TrainingSettings = field(default_factory=TrainingSettings)
    training_image: str | None = None
    gates: Gates = field(default_factory=Gates)
    hosting: Mapping[str, Any] = field(default_factory=dict)
    dataset_folder: Path | None = None
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def hosting_in(self, subscription_id: str) -> Hosting:
        return Hosting(
            model=self.name, subscription_id=subscription_id, tags=self.tags, **self.hosting
        )
