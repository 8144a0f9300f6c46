"""One teardown in a process of its own: teardown_to_kill.py MODEL, with what it logs on stdout.

Works on the clouds that the environment names, as a user of real ones does.
"""

import sys

import dagster as dg

from graph_runs import Graph
from planted import resources_of_the_environment


def main() -> None:
    lifecycle = Graph.of(sys.argv[1]).lifecycle
    with dg.DagsterInstance.get() as history:
        graph = Graph(lifecycle, resources_of_the_environment(), history)
        sys.exit(not graph.run_job("teardown").success)


if __name__ == "__main__":
    main()
