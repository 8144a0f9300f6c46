"""The image's URI, held against what the sagemaker package itself answers."""

import json
from importlib.resources import files

import pytest

from mc_assets.training_image import IMAGE_FRAMEWORK, IMAGE_VERSION, training_image

TABLE = json.loads(
    files("sagemaker").joinpath("core", "image_uri_config", f"{IMAGE_FRAMEWORK}.json").read_bytes()
)["training"]["versions"]


def answer_of_sagemaker(region: str, instance_type: str, version: str) -> str:
    from sagemaker.core import image_uris

    return image_uris.retrieve(
        IMAGE_FRAMEWORK, region, version=version, instance_type=instance_type,
        image_scope="training",
    )  # fmt: skip


@pytest.mark.parametrize("version", TABLE)
def test_every_region_has_the_image_that_the_package_names(version: str) -> None:
    for region in TABLE[version]["registries"]:
        expected = answer_of_sagemaker(region, "ml.m5.xlarge", version)
        assert training_image(region, "ml.m5.xlarge", version) == expected


@pytest.mark.parametrize("instance_type", ["ml.c7i.large", "ml.g4dn.xlarge", "ml.p4d.24xlarge"])
def test_every_instance_has_the_image_that_the_package_names(instance_type: str) -> None:
    expected = answer_of_sagemaker("eu-central-1", instance_type, IMAGE_VERSION)
    assert training_image("eu-central-1", instance_type) == expected


def test_the_chosen_version_is_in_the_table() -> None:
    assert IMAGE_VERSION in TABLE


@pytest.mark.parametrize("instance_type", ["ml.trn1.2xlarge", "ml.inf1.xlarge", "m5.xlarge", "ml"])
def test_an_instance_that_the_image_does_not_run_on_is_refused(instance_type: str) -> None:
    with pytest.raises(ValueError, match=r"no training image .* instance type"):
        training_image("us-east-1", instance_type)


def test_a_region_without_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no training image .* 'mars-1'"):
        training_image("mars-1", "ml.m5.xlarge")
