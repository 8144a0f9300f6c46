"""AWS's PyTorch training image for a region, from the table that comes with the sagemaker package.

The table is read as the file it is: importing the package to ask it takes five to twelve seconds.
"""

import importlib.resources
import json

# The newest line whose image is known to hold the classic training toolkit, numpy, onnx and torch.
IMAGE_FRAMEWORK = "pytorch-amzn2023"
IMAGE_VERSION = "2.13"
DEFAULT_IMAGE = f"{IMAGE_FRAMEWORK}:{IMAGE_VERSION}"


def training_image(region: str, instance_type: str, version: str = IMAGE_VERSION) -> str:
    """The image's URI in the region's registry: with CUDA for GPU instances, else without.

    Raises:
        ValueError: AWS has no such image there, or none for such an instance.
    """
    table = importlib.resources.files("sagemaker").joinpath(
        "core", "image_uri_config", f"{IMAGE_FRAMEWORK}.json"
    )
    image = json.loads(table.read_bytes())["training"]["versions"][version]
    if region not in image["registries"]:
        raise ValueError(
            f"AWS has no training image {DEFAULT_IMAGE} in the region {region!r}: name your own as "
            "training.image in defs.yaml."
        )
    tag = f"{image['tag_prefix']}-{image['container_version'][_processor(instance_type)]}"
    registry, repository = image["registries"][region], image["repository"]
    return f"{registry}.dkr.{_ecr_host(region)}/{repository}:{tag}"


def _processor(instance_type: str) -> str:
    """By the family, as in ml.g4dn.xlarge: those of G and P have GPUs."""
    product, _, family = instance_type.partition(".")
    if product != "ml" or not family or family.startswith(("inf", "trn")):
        raise ValueError(
            f"AWS has no training image {DEFAULT_IMAGE} for the instance type {instance_type!r}: "
            "choose another, or name your own image as training.image in defs.yaml."
        )
    return "gpu" if family[0] in "gp" else "cpu"


def _ecr_host(region: str) -> str:
    from botocore.loaders import create_loader
    from botocore.regions import EndpointResolver

    endpoint = EndpointResolver(create_loader().load_data("endpoints")).construct_endpoint(
        "ecr", region
    )
    return endpoint["hostname"] if endpoint else f"ecr.{region}.amazonaws.com"
