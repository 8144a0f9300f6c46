"""Training: the steps, their learning rate, and the evaluation after each epoch."""

import functools
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from arguments import Hyperparameters
from checkpoint import State
from descent import Descent
from mnist_idx import Split, normalise
from network import build
from scoring import Score, log_probabilities, score

log = logging.getLogger("train.fitting")

# How often the held-out images are looked at when there is an accuracy to stop at. A look at 5,000
# of them takes about as long as 10 steps of the compact network; an epoch has 937.
LOOKS_PER_EPOCH = 4
LOSSES = 200  # that are kept to be drawn, at most


@dataclass(frozen=True)
class Epoch:
    """Means over one epoch, the last perhaps a part of one; accuracy is a share from 0 to 1.

    `step` is the training step that it ended with.
    """

    epoch: int
    step: int
    train_loss: float
    test_loss: float
    test_accuracy: float


class Fitting:
    """One training under way: everything that decides its end is in its state.

    So a resumed training ends with the same weights, bit for bit, as one never interrupted (on the
    CPU, with the same number of threads): each epoch's order of images comes from the seed and the
    epoch alone, and the generator behind the dropout and the shifts is part of the state.
    """

    def __init__(
        self,
        hyper: Hyperparameters,
        training: Split,
        testing: Split,
        device: torch.device,
    ) -> None:
        torch.manual_seed(hyper.seed)
        self.hyper, self.device = hyper, device
        self.digests = {"training": training.digest, "testing": testing.digest}
        training, self.holdout = training.divided(hyper.holdout if hyper.target_accuracy else 0)
        self.training, self.testing = training.to(device), testing.to(device)
        self.precision = training_precision(hyper.precision, device)
        self.network = build(hyper.arch).to(device).to(memory_format=torch.channels_last)
        self.weights = {
            name: weights
            for name, weights in self.network.named_parameters()
            if weights.requires_grad
        }
        self.exact = _names_in_batch_norms(self.network)
        self.descent = Descent(self.weights.values(), hyper.weight_decay)
        self.steps_per_epoch = -(-len(training) // hyper.batch_size)
        self.total_steps = (
            1 if hyper.dry_run else max(1, round(hyper.epochs * self.steps_per_epoch))
        )
        self.step = 0
        self.loss_sum = torch.zeros((), device=device)
        self.epochs: list[Epoch] = []
        self.losses: list[tuple[int, float]] = []
        self.has_reached_target = False

    def run(self, save: Callable[[], None], stop: Callable[[], bool], log_interval: int) -> None:
        """Train to the last step or until `stop`; `save` after each epoch and at a stop."""
        report = _progress(self.step, self.total_steps, self.steps_per_epoch)
        keep_interval = loss_interval(self.total_steps, log_interval)
        while not self.is_done and not stop():
            loss = self._train_step()
            if self.step % log_interval == 0:
                value = self._finite(loss)
                report(self.step, value)
                if self.step % keep_interval == 0:
                    self.losses.append((self.step, round(value, 4)))
            if self.hyper.target_accuracy and self.step % self._look_interval == 0:
                self._look_at_holdout()
            if self.step % self.steps_per_epoch == 0 or self.is_done:
                self._finite(loss)
                self._end_epoch()
                save()
        if not self.is_done:
            log.info("stopped after step %d of %d, as asked", self.step, self.total_steps)
            save()

    @property
    def is_done(self) -> bool:
        return self.has_reached_target or self.step >= self.total_steps

    @property
    def identity(self) -> State:
        """What two runs must share for one to continue the other."""
        return {
            "hyperparameters": asdict(self.hyper),
            **self.digests,
        }

    @property
    def state(self) -> State:
        return {
            "step": self.step,
            "loss_sum": self.loss_sum,
            "has_reached_target": self.has_reached_target,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "losses": self.losses,
            "network": self.network.state_dict(),
            "momenta": self.descent.momenta,
            "generator": torch.get_rng_state(),
        }

    def restore(self, state: State) -> None:
        """Take up the state of an earlier run."""
        self.network.load_state_dict(state["network"])
        self.descent.restore(state["momenta"])
        torch.set_rng_state(state["generator"])
        self.step, self.has_reached_target = state["step"], state["has_reached_target"]
        self.loss_sum = state["loss_sum"].to(self.device)
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self.losses = state["losses"]
        log.info("resumed after step %d of %d", self.step, self.total_steps)

    def _train_step(self) -> torch.Tensor:
        self.network.train()
        images, labels = self._batch()
        # Cast once a step, where autocast asks at every operation: 9.1 ms a step with it 10.5.
        cast = {
            name: weights if name in self.exact else weights.to(self.precision)
            for name, weights in self.weights.items()
        }
        output = functional_call(self.network, cast, images.to(self.precision))
        loss = smoothed_loss(output.float(), labels, self.hyper.label_smoothing)
        gradients = torch.autograd.grad(loss, self.descent.weights)
        self.descent.step(gradients, learning_rate(self.hyper, self.step, self.total_steps))
        self.step += 1
        self.loss_sum += loss.detach()
        return loss

    def _finite(self, loss: torch.Tensor) -> float:
        # Not after every step: a GPU would have to wait for each of them.
        if not torch.isfinite(loss):
            raise ArithmeticError(f"The loss is {loss.item()} at step {self.step}: lower --lr.")
        return loss.item()

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        epoch, within = divmod(self.step, self.steps_per_epoch)
        order = _order(self.hyper.seed, epoch, len(self.training))
        size = self.hyper.batch_size
        chosen = order[within * size : (within + 1) * size].to(self.device)
        images, labels = self.training.images[chosen], self.training.labels[chosen]
        return normalise(shifted(images, self.hyper.shift)), labels

    @property
    def _look_interval(self) -> int:
        return max(1, self.steps_per_epoch // LOOKS_PER_EPOCH)

    def _look_at_holdout(self) -> None:
        found = self._score(self.holdout).accuracy
        self.has_reached_target = found >= self.hyper.target_accuracy
        log.info("holdout_accuracy=%.4f after step %d", found, self.step)

    def _score(self, split: Split) -> Score:
        return score(log_probabilities(self.network, split, self.hyper.test_batch_size), split)

    def _end_epoch(self) -> None:
        test = self._score(self.testing)
        steps = (self.step - 1) % self.steps_per_epoch + 1
        epoch = Epoch(
            epoch=-(-self.step // self.steps_per_epoch),
            step=self.step,
            train_loss=self.loss_sum.item() / steps,
            test_loss=test.loss,
            test_accuracy=test.accuracy,
        )
        self.loss_sum.zero_()
        self.epochs.append(epoch)
        log.info(" ".join(f"{name}={_short(value)}" for name, value in asdict(epoch).items()))


def loss_interval(total: int, log_interval: int) -> int:
    """After how many of `total` steps a loss is kept: a multiple of `log_interval`."""
    return log_interval * -(-total // (log_interval * LOSSES))


def learning_rate(hyper: Hyperparameters, step: int, total: int) -> float:
    """Linear warm-up to `lr` and linear decay to almost 0, times `gamma` for every epoch done."""
    position = (step + 1) / (total + 1)
    rise = position / hyper.warm_up if hyper.warm_up else 1.0
    fall = (1 - position) / (1 - hyper.warm_up)
    epochs_done = int(step * hyper.epochs / total)
    return hyper.lr * min(rise, fall, 1.0) * hyper.gamma**epochs_done


def shifted(images: torch.Tensor, most: int) -> torch.Tensor:
    """Each image [N, 1, H, W] moved by up to `most` pixels either way, with black coming in."""
    if not most:
        return images
    count, _, height, width = images.shape
    moves = torch.randint(2 * most + 1, (2, count, 1)).to(images.device)
    rows = moves[0] + torch.arange(height, device=images.device)
    columns = moves[1] + torch.arange(width, device=images.device)
    each = torch.arange(count, device=images.device).view(-1, 1, 1)
    wider = functional.pad(images, (most, most, most, most))
    return wider[each, 0, rows.unsqueeze(2), columns.unsqueeze(1)].unsqueeze(1)


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


def _names_in_batch_norms(network: nn.Module) -> frozenset[str]:
    """The parameters that stay float32 beside bfloat16 numbers."""
    return frozenset(
        f"{name}.{parameter}"
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for parameter, _ in module.named_parameters(recurse=False)
    )


@functools.lru_cache(maxsize=1)
def _order(seed: int, epoch: int, images: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed * 10_000 + epoch)
    return torch.randperm(images, generator=generator)


def _progress(first: int, total: int, steps_per_epoch: int) -> Callable[[int, float], None]:
    started = time.monotonic()

    def report(step: int, loss: float) -> None:
        seconds = (time.monotonic() - started) / (step - first) * (total - step)
        log.info(
            "%.0f %% epoch %d step %d/%d loss %.4f, %.0f s left",
            100 * step / total, -(-step // steps_per_epoch), step, total, loss, seconds,
        )  # fmt: skip

    return report


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"
