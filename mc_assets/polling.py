"""How long to wait between two looks at something that goes on and tells nobody of its end."""

import time


def growing_pause(began: float, longest: float) -> float:
    """Seconds: a fifth of one at first, then a twentieth of the time that has passed.

    So what is short is not waited for long, waiting costs a long one a twentieth at most, and its
    service is asked seldom.

    Args:
        began: time.monotonic() as the wait began.
        longest: no pause is longer.
    """
    return min(longest, 0.2 + (time.monotonic() - began) / 20)
