"""Routes: constraints, defaults, optional parts, and what is left over."""

import json

import azure.functions as func

tracking = func.Blueprint()


def told(req: func.HttpRequest, name: str) -> func.HttpResponse:
    document = {"function": name, "route": dict(req.route_params), "query": dict(req.params)}
    return func.HttpResponse(json.dumps(document), mimetype="application/json")


@tracking.route(route="parcels/{id:int}", methods=["GET"])
def parcel_by_number(req: func.HttpRequest) -> func.HttpResponse:
    return told(req, "parcel_by_number")


@tracking.route(route="parcels/{id:int}", methods=["DELETE"])
def parcel_removed(req: func.HttpRequest) -> func.HttpResponse:
    return told(req, "parcel_removed")


@tracking.route(route="parcels/{carrier:alpha:length(3)}", methods=["GET"])
def parcels_of_carrier(req: func.HttpRequest) -> func.HttpResponse:
    return told(req, "parcels_of_carrier")


@tracking.route(route="parcels/{ticket:guid}", methods=["GET"])
def parcel_by_ticket(req: func.HttpRequest) -> func.HttpResponse:
    return told(req, "parcel_by_ticket")


@tracking.route(route="events/{day:datetime}/{page:range(1,9)=1}")
def events(req: func.HttpRequest) -> func.HttpResponse:
    return told(req, "events")


@tracking.route(route="depots/{name?}")
def depots(req: func.HttpRequest) -> func.HttpResponse:
    return told(req, "depots")


@tracking.route(route="labels/{urgent:bool}/{size:minlength(1):maxlength(2)}")
def labels(req: func.HttpRequest) -> func.HttpResponse:
    return told(req, "labels")


@tracking.route(route=r"codes/{code:regex(^[a-z]{{2}}\d+$)}")
def codes(req: func.HttpRequest) -> func.HttpResponse:
    return told(req, "codes")


@tracking.route(route="archive/{*rest}")
def archive(req: func.HttpRequest) -> func.HttpResponse:
    return told(req, "archive")


@tracking.route(route="archive/latest")
def latest(req: func.HttpRequest) -> func.HttpResponse:
    return told(req, "latest")


@tracking.route(route="archive/oldest")
def a_oldest(req: func.HttpRequest) -> func.HttpResponse:
    return told(req, "a_oldest")
