import logging

import azure.functions as func

from ..shared import library


def main(req: func.HttpRequest) -> func.HttpResponse:
    logging.info("a quote was asked for")
    return func.HttpResponse(library.quote(req.route_params["author"]))
