"""The function package: built byte for byte the same, looked into without unpacking, tried out."""

from mc_assets.packaging.build import Package, build_package
from mc_assets.packaging.contents import (
    ModelFacts,
    PackageError,
    PackageFacts,
    TensorFacts,
    check_contents,
    inspect_package,
)
from mc_assets.packaging.smoke import SmokeTest, smoke_test

__all__ = [
    "ModelFacts",
    "Package",
    "PackageError",
    "PackageFacts",
    "SmokeTest",
    "TensorFacts",
    "build_package",
    "check_contents",
    "inspect_package",
    "smoke_test",
]
