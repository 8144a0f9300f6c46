"""The client's mistakes: what every reader of bodies raises, and what the routes answer with."""


class BadInput(Exception):  # noqa: N818 - the name says whose error it is
    """A request the client has to change: a 4xx status, a short title, what was wrong with it."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail


def empty_batch() -> BadInput:
    """Said of every kind of body that holds no image."""
    return BadInput(400, "Empty batch", "Expected at least one image, found none.")
