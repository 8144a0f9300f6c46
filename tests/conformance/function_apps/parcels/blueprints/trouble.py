"""What goes wrong, takes long, or is said aloud."""

import asyncio
import logging
import os
import sys
import threading
import time

import azure.functions as func

trouble = func.Blueprint()
met = asyncio.Barrier(2)
all_threads = threading.Barrier(3)


@trouble.route(route="trouble/raise")
def raise_(req: func.HttpRequest) -> str:
    raise RuntimeError("the parcel is lost")


@trouble.route(route="trouble/raise-later")
async def raise_later(req: func.HttpRequest) -> str:
    await asyncio.sleep(0)
    raise RuntimeError("the parcel was lost later")


@trouble.route(route="trouble/nothing")
def nothing(req: func.HttpRequest):
    return None


@trouble.route(route="trouble/bytes")
def raw_bytes(req: func.HttpRequest):
    return b"not a response"


@trouble.route(route="trouble/sleep")
def sleep(req: func.HttpRequest) -> str:
    logging.info("sleep: begins")
    while not os.path.exists(req.params["until"]):  # noqa: PTH110 - in this app's own style
        time.sleep(0.02)
    return "awake"


@trouble.route(route="trouble/meet")
async def meet(req: func.HttpRequest) -> str:
    await met.wait()
    return "met"


@trouble.route(route="trouble/threads")
def threads(req: func.HttpRequest) -> str:
    all_threads.wait(30)
    return threading.current_thread().name


@trouble.route(route="trouble/die")
def die(req: func.HttpRequest) -> str:
    os._exit(3)


@trouble.route(route="trouble/devour")
def devour(req: func.HttpRequest) -> str:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
    return str(len(bytearray(2**33)))


@trouble.route(route="trouble/say")
def say(req: func.HttpRequest) -> str:
    print("said to standard output")
    print("said to standard error", file=sys.stderr)
    logging.getLogger("parcels").warning("said to a logger: %s", req.params["what"])
    return "said"
