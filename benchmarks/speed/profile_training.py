"""A script: seconds of one training epoch by kind of operator, of one side, under torch's profiler.

Prints one line of JSON. The walkthrough's epoch is profiled over a sixth of it and scaled up; ours
is train.py as it is, with one epoch, so that evaluation and export are in it too.
"""

import itertools
import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parents[1]
STEPS, PART = 100, 6
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
    return lambda: training.train_epoch(model, batches, optimizer), PART


def _ours(data: Path) -> tuple[Callable[[], Any], float]:
    import train
    from speed.workshop import Workshop, our_training_folders

    folder = tempfile.TemporaryDirectory()
    arguments = our_training_folders(Workshop(), Path(folder.name))
    del data

    def work() -> None:
        with folder:
            train.main([*map(str, arguments), "--epochs", "1"])

    return work, 1


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
