"""`python -m mc_assets.local_cloud.aws --state DIR --port N` serves the local AWS."""

import argparse
import logging
import sys
from pathlib import Path

from mc_assets.local_cloud.aws.server import serve
from mc_assets.local_cloud.settings import LocalCloudError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mc_assets.local_cloud.aws")
    parser.add_argument("--state", type=Path, required=True, help="folder that keeps everything")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        serve(arguments.state.resolve(), arguments.port)
    except LocalCloudError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
