"""A guest book behind Flask, as a WSGI application below a route prefix."""

import azure.functions as func
from guestbook.pages import pages

app = func.WsgiFunctionApp(app=pages.wsgi_app, http_auth_level=func.AuthLevel.FUNCTION)
