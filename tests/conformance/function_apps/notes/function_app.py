"""Notes behind FastAPI, as an ASGI application."""

import azure.functions as func
from notes_api import api

app = func.AsgiFunctionApp(app=api, http_auth_level=func.AuthLevel.ANONYMOUS)
