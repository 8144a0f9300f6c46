"""How often each fault is repeated: a sample in every test run, all of it in `make faults`."""

REPETITIONS = {
    # name: (in `make test`, with --faults full)
    "releases under load": (2, 10),
    "forced rollbacks under load": (1, 2),
    "requests under load": (2_000, 12_000),
    "releases broken off": (1, 2),
    "bad challengers": (4, 8),
    "releases at once": (2, 10),
    "network faults": (1, 2),
    "own orphans": (22, 50),
    "foreign things": (40, 200),
    "interrupted runs": (1, 10),
    "interrupted multiprocess runs": (1, 5),
    "runs terminated in the UI": (1, 2),
    "interrupted runs that leave their job": (1, 10),
    "boundaries": (3, 12),
    "crashes at each boundary": (1, 5),
}
