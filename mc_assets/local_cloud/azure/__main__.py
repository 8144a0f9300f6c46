"""`python -m mc_assets.local_cloud.azure`: serves one state folder until it is told to end."""

import argparse
import logging
import sys
from pathlib import Path

import uvloop

from mc_assets.local_cloud.azure.server import serve
from mc_assets.local_cloud.settings import LocalCloudError, LocalSettings


def main() -> int:
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # uvicorn announces each of its servers; one line of ours says the same for all.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        uvloop.run(serve(options.state.resolve(), options.port, options.first_site_port))
    except LocalCloudError as error:
        logging.getLogger(__name__).error("%s", error)  # noqa: TRY400 - the sentence is the message
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mc_assets.local_cloud.azure")
    parser.add_argument("--state", type=Path, required=True, help="folder of the local clouds")
    parser.add_argument("--port", type=int, default=LocalSettings.azure_port)
    parser.add_argument(
        "--first-site-port",
        type=int,
        default=LocalSettings.first_site_port,
        help="function apps take the free ports from here up",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
