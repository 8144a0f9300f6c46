"""Parcels on their way: an app of several blueprints, each with the functions of one subject."""

import logging

import azure.functions as func
from blueprints.desk import desk
from blueprints.documents import documents
from blueprints.nightly import nightly
from blueprints.tracking import tracking
from blueprints.trouble import trouble

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for blueprint in (desk, documents, nightly, tracking, trouble):
    app.register_functions(blueprint)

logging.info("parcels: imported")


@app.route(route="echo", methods=["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.method, headers={"X-Method": req.method})
