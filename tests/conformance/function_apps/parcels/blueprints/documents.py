"""Bodies of every kind, both ways."""

import hashlib
import json

import azure.functions as func

documents = func.Blueprint()


@documents.route(route="documents/digest", methods=["POST"])
def digest(req: func.HttpRequest) -> func.HttpResponse:
    body = req.get_body()
    return func.HttpResponse(f"{len(body)} {hashlib.sha256(body).hexdigest()}")


@documents.route(route="documents/mirror", methods=["POST"])
def mirror(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.get_body(), mimetype=req.headers["content-type"])


@documents.route(route="documents/upload", methods=["POST"])
def upload(req: func.HttpRequest) -> func.HttpResponse:
    scan = req.files["scan"]
    document = {
        "form": {name: req.form.getlist(name) for name in req.form},
        "file": scan.filename,
        "type": scan.mimetype,
        "content": scan.stream.read().hex(),
    }
    return func.HttpResponse(json.dumps(document), mimetype="application/json")


@documents.route(route="documents/json", methods=["POST"])
def as_json(req: func.HttpRequest) -> func.HttpResponse:
    try:
        return func.HttpResponse(json.dumps({"got": req.get_json()}), mimetype="application/json")
    except ValueError as error:
        return func.HttpResponse(f"not JSON: {type(error).__name__}", status_code=400)


@documents.route(route="documents/receipt/{kind}")
def receipt(req: func.HttpRequest) -> func.HttpResponse:
    match req.route_params["kind"]:
        case "latin":
            return func.HttpResponse("Größe", mimetype="text/html", charset="iso-8859-1")
        case "moved":
            return func.HttpResponse(status_code=303, headers={"Location": "/elsewhere"})
        case "gone":
            return func.HttpResponse(status_code=204)
        case _:
            response = func.HttpResponse("thanks", headers={"ETag": '"1"', "X-Copies": "2"})
            response.headers.add("Set-Cookie", "visit=1; Path=/; HttpOnly")
            response.headers.add("Set-Cookie", "lang=fr; Max-Age=60; SameSite=Lax")
            return response
