"""docs/architecture.md shows the code as it is."""

from diagrams import PAGE, drawn


def test_the_pictures_are_those_of_the_code() -> None:
    page = PAGE.read_text()
    assert page == drawn(page), "draw them anew: python tests/docs/diagrams.py"
