"""Train a network on MNIST in SageMaker's script mode, or on its own: python train.py --help."""

import logging
import os
import sys
import time
from argparse import ArgumentError
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from arguments import Arguments, parse
from container import StopRequest, checkpoint_folder, folder, write_failure

if TYPE_CHECKING:
    from fitting import Fitting
    from mnist_idx import Split

log = logging.getLogger("train")


def main(argv: Sequence[str]) -> int:
    """Exit code 0: trained, or stopped by SIGTERM with its checkpoint saved and no model."""
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    log.setLevel(logging.INFO)
    stop = StopRequest()
    output_dir = folder(os.environ, "SM_OUTPUT_DIR")
    try:
        arguments = parse(argv, os.environ)
        output_dir = arguments.output_dir
        train(arguments, stop)
    except ArgumentError as error:
        write_failure(output_dir, error)
        log.critical("train.py: %s", error)
        return 2
    except Exception as error:
        write_failure(output_dir, error)
        raise
    return 0


def train(arguments: Arguments, stop: StopRequest) -> None:
    """From the two channels to the four files in the model folder."""
    # How often a thread spins before it sleeps; an instance is the job's alone. 1,312 steps took
    # 13 s where it slept at once, 8.2 with 1,000 turns, 6.6 with 5,000, 5.7 with 20,000 (means of
    # three seeds, 2 cores). Read when OpenMP loads.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    # After the signal handler and the command line: importing torch takes seconds.
    import torch

    import checkpoint
    import mnist_idx
    from fitting import Fitting

    started = time.monotonic()
    hyper = arguments.hyperparameters
    if arguments.unknown:
        log.warning("ignored: %s", " ".join(arguments.unknown))
    training = mnist_idx.load(arguments.training, "train", "training")
    testing = mnist_idx.load(arguments.testing, "t10k", "testing")
    on_gpu = torch.cuda.is_available() and not hyper.no_cuda
    fitting = Fitting(hyper, training, testing, torch.device("cuda" if on_gpu else "cpu"))
    log.info("%d images on %s in %s", len(training), fitting.device, fitting.precision)

    saved = checkpoint_folder(arguments.model_dir) / "training.pt"
    if state := checkpoint.load(saved, fitting.identity):
        fitting.restore(state)
    fitting.run(
        save=lambda: checkpoint.save(saved, fitting.identity, fitting.state),
        stop=lambda: bool(stop),
        log_interval=arguments.log_interval,
    )
    if fitting.is_done:
        export(fitting, arguments.model_dir, testing, started)
    # A stopped job is billed until its script ends, and nobody takes half a model from it.


def export(fitting: "Fitting", model_dir: Path, testing: "Split", started: float) -> None:
    """Write the four files and say what they are worth."""
    import torch

    import outputs

    hyper = fitting.hyper
    outputs.write_weights(model_dir, fitting.network)
    network = outputs.reload_weights(model_dir, hyper.arch)
    final = outputs.write_reference(model_dir, network, testing, hyper.test_batch_size)
    outputs.write_onnx(model_dir, network)
    metrics = {
        "test_accuracy": final.accuracy,
        "test_loss": final.loss,
        "train_loss": fitting.epochs[-1].train_loss,
        "epochs": [asdict(epoch) for epoch in fitting.epochs],
        "losses": fitting.losses,
        "steps": fitting.step,
        "hyperparameters": asdict(hyper),
        "images": {"training": len(fitting.training), "testing": len(testing)},
        "seconds": round(time.monotonic() - started, 3),
        "device": str(fitting.device),
        "precision": str(fitting.precision).removeprefix("torch."),
        "torch_version": torch.__version__,
    }
    outputs.write_metrics(model_dir, metrics)
    log.info(
        "finished: accuracy %.2f %% on %d test images after %d steps, %.0f s in all",
        100 * final.accuracy,
        len(testing),
        fitting.step,
        metrics["seconds"],
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
