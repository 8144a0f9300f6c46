"""What is for whom: the three levels of authorization, and what a call knows of itself."""

import json
import os
from datetime import date
from pathlib import Path

import azure.functions as func
from dateutil.relativedelta import relativedelta

desk = func.Blueprint()


@desk.route(route="desk/public", auth_level=func.AuthLevel.ANONYMOUS)
def public(req: func.HttpRequest) -> str:
    return "public"


@desk.route(route="desk/clerk", auth_level=func.AuthLevel.FUNCTION)
def clerk(req: func.HttpRequest) -> str:
    return "clerk"


@desk.route(route="desk/cashier", auth_level=func.AuthLevel.FUNCTION)
def cashier(req: func.HttpRequest) -> str:
    return "cashier"


@desk.route(route="desk/manager", auth_level=func.AuthLevel.ADMIN)
def manager(req: func.HttpRequest) -> str:
    return "manager"


@desk.route(route="desk/closed", auth_level=func.AuthLevel.FUNCTION)
def closed(req: func.HttpRequest) -> str:
    return "closed"


@desk.function_name("WhoAmI")
@desk.route(route="desk/who")
def who_am_i(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    document = {
        "name": context.function_name,
        "folder": Path(context.function_directory).name,
        "invocation": context.invocation_id,
        "traced": context.trace_context.trace_parent,
        "due": str(date(2026, 1, 31) + relativedelta(months=1)),
        "process": os.getpid(),
        "url": req.url,
        "agent": req.headers["User-Agent"],
        "settings": {
            name: os.environ.get(name)
            for name in ("REGION_NAME", "LOCAL_ONLY", "WEBSITE_SITE_NAME", "AZURE_CLIENT_SECRET")
        },
    }
    return func.HttpResponse(json.dumps(document), mimetype="application/json")
