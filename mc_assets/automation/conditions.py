"""What the assets follow by themselves, and how long the live endpoint counts as fresh.

Every condition is true at a change, not in a state: each change is tried once. A condition on a
state, as "not up to date", asks for an asset that fails again at every tick; it has filled other
people's histories with hundreds of thousands of failed runs.
"""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from mc_assets.automation_settings import Freshness, OnChange
from mc_assets.model_settings import ModelSettings
from mc_assets.stages import live_endpoint, source

Condition = dg.AutomationCondition


def automated(
    model: ModelSettings, assets: Sequence[dg.AssetsDefinition]
) -> Sequence[dg.AssetsDefinition]:
    """The model's assets with the conditions and the freshness that its `automation` asks for."""
    on_change, freshness = model.automation.on_change, model.automation.freshness

    def attend(spec: dg.AssetSpec) -> dg.AssetSpec:
        if on_change and spec.key != source.key_of(model):
            spec = spec.replace_attributes(automation_condition=succession())
        # The public files change with the code alone, which the dataset follows by itself.
        elif on_change and model.dataset_folder:
            spec = spec.replace_attributes(automation_condition=observation(on_change))
        if freshness and spec.key == live_endpoint.key_of(model):
            spec = spec.replace_attributes(freshness_policy=_policy(freshness))
        return spec

    return dg.map_asset_specs(attend, assets)


def build_on_change(
    model: ModelSettings, prefix: str, assets: Sequence[dg.AssetsDefinition]
) -> list[dg.SensorDefinition]:
    if model.automation.on_change is None:
        return []
    return [
        dg.AutomationConditionSensorDefinition(
            f"{prefix}on_change",
            target=dg.AssetSelection.assets(*(asset.key for asset in assets)),
            default_status=dg.DefaultSensorStatus.STOPPED,
            description=f"Looks whether the source of {model.name}'s dataset has changed, and "
            "makes anew, in order and as far as every blocking check passes, what was made from a "
            "changed source or by changed code.",
        )
    ]


def observation(choice: OnChange) -> dg.AutomationCondition:
    """Of the source: once at each tick of the cron line."""
    return Condition.on_cron(choice.cron, choice.timezone)


def succession() -> dg.AutomationCondition:
    """Of every other asset: once its code, or the version of what it is made from, has changed.

    What is about to be made anew takes what follows from it into the same run, where a blocking
    check that fails stops the rest. Where something was made in another run, by hand for one, what
    follows waits until its blocking checks have passed.
    """
    # A change made by a run that was to make this asset too has been tried by that run.
    changed = Condition.data_version_changed() & ~Condition.executed_with_root_target()
    passed = Condition.all_checks_match(Condition.check_passed(), blocking_only=True)
    return (
        (
            Condition.any_deps_match(changed | Condition.will_be_requested())
            | Condition.code_version_changed()
        ).since_last_handled()  # pyright: ignore[reportAttributeAccessIssue] it takes asset keys too
        & Condition.all_deps_match(passed | Condition.will_be_requested())
        & ~Condition.any_deps_in_progress()
        & ~Condition.in_progress()
    ).with_label("its code or what it is made from has changed")


def _policy(choice: Freshness) -> dg.FreshnessPolicy:
    warn = choice.warn_after_hours
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=choice.fail_after_hours),
        warn_window=timedelta(hours=warn) if warn else None,
    )
