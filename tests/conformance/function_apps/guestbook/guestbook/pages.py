"""The pages: a session in a signed cookie, a template, a form, files and errors."""

import io
import os
from pathlib import Path

from flask import (
    Flask,
    Response,
    abort,
    jsonify,
    redirect,
    render_template,
    request,
    send_file,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from visitors import polite  # pyright: ignore[reportMissingImports] - a wheel that the test makes

pages = Flask(__name__, template_folder=str(Path(__file__).parents[1] / "templates"))
pages.secret_key = os.environ["GUESTBOOK_SECRET"]


@pages.get("/app/book")
def book() -> str:
    return render_template("book.html", guests=session.get("guests", []))


@pages.post("/app/book")
def sign() -> ResponseReturnValue:
    session["guests"] = [*session.get("guests", []), polite(request.form["name"])]
    return redirect(url_for("book"), code=303)


@pages.post("/app/api/echo")
def echo() -> Response:
    return jsonify(got=request.get_json(), args=request.args.getlist("x"))


@pages.get("/app/page/<int:number>")
def page(number: int) -> str:
    return f"page {number}"


@pages.get("/app/stamp")
def stamp() -> Response:
    return send_file(io.BytesIO(bytes(range(256))), mimetype="image/x-stamp")


@pages.get("/app/closed")
def closed() -> str:
    abort(403, "closed today")


@pages.get("/app/broken")
def broken() -> str:
    return str(1 / 0)
