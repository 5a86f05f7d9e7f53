"""The picture of what a request costs: a bar for each program, in order, with its number."""

import re
import xml.etree.ElementTree as ET

import pytest
from benchmarks.picture import drawn

SVG = "{http://www.w3.org/2000/svg}"
SPENT = {"a & b": 4_000.0, "latchgate": 16.0, "nginx return 204": 8.0}


def test_bars_stand_in_order_with_their_numbers():
    picture = ET.fromstring(drawn("title", SPENT, ours="latchgate"))  # noqa: S314 - our own
    texts = [one.text or "" for one in picture.iter(f"{SVG}text")]
    places = [texts.index(name) for name in ("nginx return 204", "latchgate", "a & b")]
    assert places == sorted(places)
    assert {"8.0 µs (125,000)", "16.0 µs (62,500)", "4,000.0 µs (250)"} <= set(texts)


def test_a_bar_is_as_long_as_its_logarithm_and_ours_stands_out():
    picture = drawn("title", {"x": 10.0, "latchgate": 100.0, "z": 1_000.0}, ours="latchgate")
    bars = re.findall(r'width="([\d.]+)" height="18" fill="(#\w+)"', picture)
    lengths = [float(length) for length, _ in bars]
    assert lengths[2] == pytest.approx(2 * lengths[1], abs=0.2)
    assert lengths[1] > lengths[0]
    assert [colour for _, colour in bars].count(bars[1][1]) == 1
