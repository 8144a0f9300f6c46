"""The time, written as Azure writes it."""

from datetime import UTC, datetime


def timestamp() -> str:
    """Now in UTC, as ISO 8601 with seven decimals."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
