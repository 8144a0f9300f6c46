"""The whole graph on the local clouds: once, again, after a failure, and after a teardown."""

from graph_runs import Graph
import pytest
import time

QUICK = {"epochs": 2, "batch-size": 32, "test-batch-size": 500}


@pytest.fixture(scope="session")
def graph(local_clouds, mnist_subset):
    return Graph.of(
        "e2e",
        dataset_folder=str(mnist_subset),
        training={"hyperparameters": QUICK},
        gates={
            "min_training_accuracy": 0.8,
            "min_test_accuracy": 0.8,
            "min_endpoint_accuracy": 0.8,
        },
    )


def test_probe(graph):
    for i in range(2):
        t = time.time()
        ran = graph.materialise()
        print("TOOK", time.time() - t)
        print(ran.success, ran.failed_checks)
    print("\n".join(ran.log[::2]))
    for k, m in ran.materialised.items():
        print(k, m.metadata, m.tags)
    for k, m in ran.checks.items():
        print(k, m.passed, m.metadata)
    t = time.time()
    r = graph.run_job("teardown")
    print(r.messages)
    print("TOOK", time.time() - t)
