"""Users who call a live endpoint all the while, in a process of their own, and what they got."""

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOAD = Path(__file__).with_name("load.py")


@dataclass
class Users:
    """Filled when they have stopped."""

    calls: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failed(self) -> list[dict[str, Any]]:
        return [call for call in self.calls if call["status"] != 200]

    @property
    def packages(self) -> Counter[str]:
        return Counter(call["package"] for call in self.calls if call["status"] == 200)

    @property
    def bodies(self) -> dict[str, set[str]]:
        """The different answers that each package gave."""
        found: dict[str, set[str]] = {}
        for call in self.calls:
            if call["status"] == 200:
                found.setdefault(call["package"], set()).add(call["body"])
        return found

    @property
    def seconds(self) -> float:
        return max(call["done"] for call in self.calls) - min(call["due"] for call in self.calls)

    @property
    def longest_gap_ms(self) -> float:
        """The longest time in which nobody was answered."""
        times = sorted(call["done"] for call in self.calls if call["status"] == 200)
        return 1000 * max(later - at for at, later in itertools.pairwise(times))

    @property
    def slowest_ms(self) -> float:
        """From when the call was due, so that waiting for a free connection counts."""
        return 1000 * max(call["done"] - call["due"] for call in self.calls)

    def __str__(self) -> str:
        return (
            f"{len(self.calls):,} requests in {self.seconds:.0f} s, {len(self.failed)} failed, "
            f"{len(self.packages)} packages; never more than {self.longest_gap_ms:.0f} ms without "
            f"an answer, and nobody waited for longer than {self.slowest_ms:.0f} ms"
        )


@contextmanager
def users_calling(url: str, key: str, body: bytes, rate: float, folder: Path) -> Iterator[Users]:
    """The same body, `rate` times a second, for as long as this lasts."""
    file = folder / "users-body"
    file.write_bytes(body)
    users = Users()
    process = subprocess.Popen(
        [sys.executable, str(LOAD), url, str(rate)],
        stdin=subprocess.PIPE,
        stdout=(folder / "users-calls").open("wb"),
        text=True,
        env=dict(os.environ),
    )
    assert process.stdin is not None
    process.stdin.write(f"{key}\n{file}\n")
    process.stdin.flush()
    try:
        yield users
    finally:
        process.stdin.close()
        process.wait(120)
    users.calls = json.loads((folder / "users-calls").read_text())
