"""A script: seconds of one training epoch by kind of operator, of one side, under torch's profiler.

Prints one line of JSON. Sixty steps are profiled, without any evaluation, and scaled up.
"""

import itertools
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parents[1]
STEPS = 60
# Whatever is called from within these belongs to them.
WHOLE = (("loading images", r"DataLoader"), ("optimizer", r"Optimizer\.(step|zero_grad)"))
# The first that fits an operator's name.
KINDS = (
    ("loading images", r"aten::(stack|index|index_select)$"),
    ("convolutions", r"conv"),
    ("pooling", r"pool"),
    ("normalisation layers", r"batch_norm"),
    ("dense layers", r"addmm|aten::mm|linear|matmul"),
    ("optimizer", r"Optimizer|_foreach|_fused|adadelta|sgd|aten::(addcmul_|addcdiv_|sqrt_?|lerp_)"),
    ("casts and layouts", r"aten::(copy_|to|_to_copy|contiguous|clone)"),
    ("activations, dropout, loss", r"relu|threshold|dropout|bernoulli|softmax|nll|native_dropout"),
)


def main(side: str, data: Path) -> None:
    # As train.py has it: how long threads spin is read when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    from torch.profiler import ProfilerActivity, profile

    sys.path[:0] = [str(BENCHMARKS), str(BENCHMARKS.parent / "training_code")]
    work, factor = {"walkthrough": _walkthrough, "ours": _ours}[side](data)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        work()
    seconds: dict[str, float] = defaultdict(float)
    for event in profiled.events() or []:
        seconds[_kind(event)] += factor * event.self_cpu_time_total / 1e6
    print(json.dumps(seconds))


def _kind(event: Any) -> str:
    """By the first of the operator and those that called it whose name says something."""
    callers = []
    while event is not None:
        callers.append(event.name)
        event = event.cpu_parent
    for kind, names in WHOLE:
        if any(re.search(names, caller) for caller in callers):
            return kind
    found = (kind for caller in callers for kind, names in KINDS if re.search(names, caller))
    return next(found, "everything else")


def _walkthrough(data: Path) -> tuple[Callable[[], Any], float]:
    from walkthrough import training

    model = training.network()
    batches = itertools.islice(training.loader(data, train=True, batch_size=100), STEPS)
    optimizer = training.optimizer_of("adadelta", model, 0.1)
    return lambda: training.train_epoch(model, batches, optimizer), 600 / STEPS


def _ours(data: Path) -> tuple[Callable[[], Any], float]:
    import torch

    import arguments
    import mnist_idx
    from fitting import Fitting

    hyper = arguments.parse([], {}).hyperparameters
    training = mnist_idx.load(data, "train", "training")
    testing = mnist_idx.load(data, "t10k", "testing")
    fitting = Fitting(hyper, training, testing, torch.device("cpu"))

    def work() -> None:
        fitting.run(save=lambda: None, stop=lambda: fitting.step >= STEPS, log_interval=STEPS)

    return work, fitting.steps_per_epoch / STEPS


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
