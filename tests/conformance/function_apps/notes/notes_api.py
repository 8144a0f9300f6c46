"""A small REST API: create, read, change and remove notes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import (
    Cookie,
    Depends,
    FastAPI,
    File,
    Form,
    Header,
    HTTPException,
    Response,
    UploadFile,
)
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import RedirectResponse, StreamingResponse
from pydantic import BaseModel, Field


class Draft(BaseModel):
    title: str = Field(min_length=1, max_length=20)
    tags: list[str] = []


class Note(Draft):
    id: int


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    application.state.notes = {}
    application.state.started = 1
    yield


api = FastAPI(title="Notes", lifespan=lifespan)
api.add_middleware(GZipMiddleware, minimum_size=10_000)


def notes() -> dict[int, Note]:
    return api.state.notes


Notes = Annotated[dict[int, Note], Depends(notes)]


@api.get("/")
async def root() -> dict[str, int]:
    return {"started": api.state.started}


@api.post("/notes", status_code=201)
async def create(draft: Draft, kept: Notes, response: Response) -> Note:
    note = Note(id=len(kept) + 1, **draft.model_dump())
    kept[note.id] = note
    response.headers["Location"] = f"/notes/{note.id}"
    response.set_cookie("last", str(note.id), httponly=True)
    response.set_cookie("seen", "yes")
    return note


@api.get("/notes")
async def search(kept: Notes, tag: str | None = None, limit: int = 10) -> list[Note]:
    return [note for note in kept.values() if tag is None or tag in note.tags][:limit]


@api.get("/notes/{number}")
async def read(number: int, kept: Notes) -> Note:
    if number not in kept:
        raise HTTPException(404, f"there is no note {number}")
    return kept[number]


@api.put("/notes/{number}")
async def replace(number: int, draft: Draft, kept: Notes) -> Note:
    kept[number] = Note(id=number, **draft.model_dump())
    return kept[number]


@api.delete("/notes/{number}", status_code=204)
async def remove(number: int, kept: Notes) -> None:
    kept.pop(number, None)


@api.get("/last")
async def last(last: Annotated[str | None, Cookie()] = None) -> dict[str, str | None]:
    return {"last": last}


@api.get("/old")
async def old() -> RedirectResponse:
    return RedirectResponse("/notes?tag=a%20b", status_code=307)


@api.get("/export")
async def export() -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for number in range(3):
            await asyncio.sleep(0)
            yield f"line {number}\n"

    return StreamingResponse(lines(), media_type="text/csv")


@api.get("/long")
async def long() -> list[int]:
    return list(range(10_000))


@api.post("/attach")
async def attach(
    file: Annotated[UploadFile, File()], name: Annotated[str, Form()]
) -> dict[str, object]:
    return {"name": name, "file": file.filename, "bytes": len(await file.read())}


@api.get("/files/{path:path}")
def file_path(path: str, x_token: Annotated[str, Header()] = "") -> dict[str, str]:
    return {"path": path, "token": x_token}


@api.get("/broken")
async def broken() -> None:
    raise ZeroDivisionError("a note was divided by nothing")
