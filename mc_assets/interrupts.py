"""Interrupts that wait: what a cloud was told is done, whether or not its answer is waited for."""

from collections.abc import Iterator
from contextlib import contextmanager

from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._utils.interrupts import capture_interrupts, check_captured_interrupt


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Have an interrupt come after this, where it counts for more than any failure in it.

    A request that was sent may be carried out whether or not its answer is waited for: a training
    job would start that nobody stops. And its failure might have the step tried again.
    """
    with capture_interrupts():
        try:
            yield
        finally:
            if check_captured_interrupt():
                raise DagsterExecutionInterruptedError
