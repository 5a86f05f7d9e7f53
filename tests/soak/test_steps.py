"""What the steps of the soak share."""

import pytest
from soak.steps import LostError, Threads, spread


def test_what_went_wrong_in_a_thread_is_told_but_not_that_the_server_ended_after_the_stop():
    def fails(error, *, stopped):
        if stopped:
            threads.stop.wait()
        raise error

    threads = Threads()
    threads.start(lambda: fails(LostError("the key is gone"), stopped=True))
    with pytest.raises(LostError, match="the key is gone"):
        threads.end()
    threads = Threads()
    threads.start(lambda: fails(ConnectionError("killed"), stopped=True))
    threads.end()
    threads = Threads()
    threads.start(lambda: fails(ConnectionError("too early"), stopped=False))
    with pytest.raises(LostError, match="too early"):
        threads.join()


def test_times_are_told_by_their_median_95th_percentile_and_longest():
    told = spread([n / 1000 for n in range(100, 0, -1)])
    assert told == "median 50.0 ms, 95 % within 95.0 ms, longest 100 ms"
    assert spread([]) == "none"
