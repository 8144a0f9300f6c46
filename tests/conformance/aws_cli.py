"""The AWS CLI version 2, which no package index has but inside another package."""

import shutil
import tarfile
import zipfile
from pathlib import Path

from client_environments import Client


def programs_of_version_2(client: Client) -> Path:
    """The folder with the program `aws`, unpacked from the package that carries it."""
    kept = client("aws-cli-v2").folder
    programs = kept / "aws-cli"
    if not programs.exists():
        half_way = kept / "unpacking"
        shutil.rmtree(half_way, ignore_errors=True)
        (package,) = kept.rglob("asset-awscli-v2@*.jsii.tgz")
        with tarfile.open(package) as tar:
            tar.extract("package/lib/layer.zip", half_way, filter="data")
        with zipfile.ZipFile(half_way / "package" / "lib" / "layer.zip") as layer:
            layer.extractall(half_way)
        (program,) = half_way.glob("awscli/v2/*/dist/aws")
        program.chmod(0o755)
        program.parent.rename(programs)
        shutil.rmtree(half_way)
    return programs
