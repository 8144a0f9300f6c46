"""Training: the steps, their learning rate, and the evaluation after each epoch."""

import functools
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.nn import functional

from arguments import Hyperparameters
from checkpoint import State
from mnist_idx import Split, normalise
from network import build
from scoring import log_probabilities, score

log = logging.getLogger("train.fitting")

# SGD because no optimiser tried was clearly better, and it is the fastest and has the least state.
# One seed each, the walkthrough's dropout, 60,000 images, two epochs: SGD 98.97 %, AdamW 99.00 %,
# the walkthrough's Adadelta 98.88 %; three epochs: SGD 99.11 %, AdamW 99.21 %. What decides is the
# linear fall of the rate to 0 and, in so few epochs, weaker dropout (see network.py).
MOMENTUM = 0.9


@dataclass(frozen=True)
class Epoch:
    """Means over one epoch; accuracy is a share from 0 to 1."""

    epoch: int
    train_loss: float
    test_loss: float
    test_accuracy: float


class Fitting:
    """One training under way: everything that decides its end is in its state.

    So a resumed training ends with the same weights, bit for bit, as one never interrupted (on the
    CPU, with the same number of threads): each epoch's order of images comes from the seed and the
    epoch alone, and the generator behind the dropout is part of the state.
    """

    def __init__(
        self, hyper: Hyperparameters, training: Split, testing: Split, device: torch.device
    ) -> None:
        torch.manual_seed(hyper.seed)
        self.hyper = hyper
        self.training, self.testing, self.device = training.to(device), testing.to(device), device
        self.precision = training_precision(hyper.precision, device)
        self.network = build(hyper.arch).to(device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=hyper.lr,
            momentum=MOMENTUM,
            nesterov=True,
            weight_decay=hyper.weight_decay,
            fused=True,
        )
        self.steps_per_epoch = 1 if hyper.dry_run else -(-len(training) // hyper.batch_size)
        self.total_steps = 1 if hyper.dry_run else hyper.epochs * self.steps_per_epoch
        self.step = 0
        self.loss_sum = 0.0
        self.epochs: list[Epoch] = []

    def run(self, save: Callable[[], None], stop: Callable[[], bool], log_interval: int) -> None:
        """Train to the last step or until `stop`; `save` after each epoch and at a stop."""
        report = _progress(self.step, self.total_steps)
        while not self.is_done and not stop():
            loss = self._train_step()
            if self.step % log_interval == 0:
                report(self.step, loss)
            if self.step % self.steps_per_epoch == 0:
                self._end_epoch()
                save()
        if not self.is_done:
            log.info("stopped after step %d of %d, as asked", self.step, self.total_steps)
            save()

    @property
    def is_done(self) -> bool:
        return self.step >= self.total_steps

    @property
    def identity(self) -> State:
        """What two runs must share for one to continue the other."""
        return {
            "hyperparameters": asdict(self.hyper),
            "training": self.training.digest,
            "testing": self.testing.digest,
        }

    @property
    def state(self) -> State:
        return {
            "step": self.step,
            "loss_sum": self.loss_sum,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": torch.get_rng_state(),
        }

    def restore(self, state: State) -> None:
        """Take up the state of an earlier run."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["generator"])
        self.step, self.loss_sum = state["step"], state["loss_sum"]
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        log.info("resumed after step %d of %d", self.step, self.total_steps)

    def _train_step(self) -> float:
        self.network.train()
        images, labels = self._batch()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.hyper, self.step, self.total_steps)
        with torch.autocast(
            self.device.type, self.precision, enabled=self.precision != torch.float32
        ):
            output = self.network(images)
        loss = smoothed_loss(output.float(), labels, self.hyper.label_smoothing)
        if not torch.isfinite(loss):
            raise ArithmeticError(f"The loss is {loss.item()} at step {self.step}: lower --lr.")
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step += 1
        self.loss_sum += loss.item()
        return loss.item()

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        epoch, within = divmod(self.step, self.steps_per_epoch)
        order = _order(self.hyper.seed, epoch, len(self.training))
        size = self.hyper.batch_size
        chosen = order[within * size : (within + 1) * size].to(self.device)
        return normalise(self.training.images[chosen]), self.training.labels[chosen]

    def _end_epoch(self) -> None:
        answers = log_probabilities(self.network, self.testing, self.hyper.test_batch_size)
        test = score(answers, self.testing)
        epoch = Epoch(
            epoch=self.step // self.steps_per_epoch,
            train_loss=self.loss_sum / self.steps_per_epoch,
            test_loss=test.loss,
            test_accuracy=test.accuracy,
        )
        self.loss_sum = 0.0
        self.epochs.append(epoch)
        log.info(" ".join(f"{name}={_short(value)}" for name, value in asdict(epoch).items()))


def learning_rate(hyper: Hyperparameters, step: int, total: int) -> float:
    """Linear warm-up to `lr` and linear decay to almost 0, times `gamma` for every epoch done."""
    position = (step + 1) / (total + 1)
    rise = position / hyper.warm_up if hyper.warm_up else 1.0
    fall = (1 - position) / (1 - hyper.warm_up)
    epochs_done = step * hyper.epochs // total
    return hyper.lr * min(rise, fall, 1.0) * hyper.gamma**epochs_done


def smoothed_loss(output: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross entropy of log-probabilities [N, 10] with targets softened towards uniform."""
    return (1 - smoothing) * functional.nll_loss(output, labels) - smoothing * output.mean()


def training_precision(wish: str, device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it; emulated it is slower than float32.

    Raises:
        ValueError: the wish is none of auto, float32 and bfloat16.
    """
    if wish != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wish]
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def _cpu_has_bfloat16() -> bool:
    # Read from the kernel: torch's own query is private, and differs between its releases.
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return bool(flags & {"avx512_bf16", "amx_bf16"})


@functools.lru_cache(maxsize=1)
def _order(seed: int, epoch: int, images: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed * 10_000 + epoch)
    return torch.randperm(images, generator=generator)


def _progress(first: int, total: int) -> Callable[[int, float], None]:
    started = time.monotonic()

    def report(step: int, loss: float) -> None:
        seconds = (time.monotonic() - started) / (step - first) * (total - step)
        percent = 100 * step / total
        log.info("%.0f %% step %d/%d loss %.4f, %.0f s left", percent, step, total, loss, seconds)

    return report


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"
