from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ

from latchgate.core.network import (
    Address,
    Networks,
    parse_address,
    parse_network,
    range_networks,
    right_most_untrusted,
)

V4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
V6 = st.one_of(
    st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address),
    V4.map(lambda found: ipaddress.IPv6Address(f"::ffff:{found}")),
    V4.map(lambda found: ipaddress.IPv6Address(int(found))),
)
ADDRESSES = st.one_of(V4, V6)


@st.composite
def networks(draw):
    """A network written with whatever host bits it happens to have."""
    address = draw(ADDRESSES)
    bits = draw(st.integers(0, address.max_prefixlen))
    return f"{address}/{bits}", ipaddress.ip_network(f"{address}/{bits}", strict=False)


def unmapped(address):
    """Return an address as the one host it stands for."""
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped


def reference(address, network) -> bool:
    """Whether an address is in a network, by the standard library alone."""
    host = unmapped(address)
    whole = ipaddress.ip_network("::ffff:0:0/96")
    if network.version == 6 and network.subnet_of(whole):
        inner = unmapped(network.network_address)
        network = ipaddress.ip_network(f"{inner}/{network.prefixlen - 96}")
    return host.version == network.version and host in network


@FUZZ
@given(address=ADDRESSES, network=networks())
def test_an_address_is_in_a_network_exactly_when_the_standard_library_says_so(address, network):
    text, found = network
    held = Networks.of([text])
    assert (parse_address(str(address)) in held) == reference(address, found)
    for inside in (found.network_address, found.broadcast_address):
        assert (parse_address(str(inside)) in held) == reference(inside, found)


@FUZZ
@given(address=ADDRESSES, found=st.lists(networks(), max_size=4))
def test_several_networks_hold_what_any_of_them_holds(address, found):
    held = Networks.of([text for text, _ in found])
    assert (parse_address(str(address)) in held) == any(
        reference(address, network) for _, network in found
    )


@FUZZ
@given(address=ADDRESSES)
def test_each_spelling_of_an_address_reads_as_the_same_host(address):
    host = unmapped(address)
    read = parse_address(str(address))
    assert read == Address(host.version, int(host))
    assert read == parse_address(address.exploded) == parse_address(str(address).upper())
    assert parse_address(str(read)) == read
    assert str(read) == str(host)


@FUZZ
@given(found=st.lists(networks(), max_size=4))
def test_what_is_listed_builds_the_same_networks_again(found):
    held = Networks.of([text for text, _ in found])
    assert Networks.of(held.listed()) == held


@FUZZ
@given(address=ADDRESSES)
def test_d3_24_an_empty_list_means_nowhere(address):
    assert parse_address(str(address)) not in Networks(())
    assert parse_address(str(address)) not in Networks.of([])


@FUZZ
@given(address=V4)
def test_d3_24_mapped_ipv6_is_ipv4(address):
    for spelled in (f"::ffff:{address}", f"::FFFF:{address}", f"0:0:0:0:0:ffff:{address}"):
        assert parse_address(spelled) == parse_address(str(address))
        assert parse_network(spelled) == parse_network(str(address))
        assert parse_network(f"{spelled}/120") == parse_network(f"{address}/24")


@FUZZ
@given(address=V4)
def test_d3_24_an_ipv6_network_never_holds_an_ipv4_client_nor_the_other_way_round(address):
    every6, every4 = Networks.of(["::/0"]), Networks.of(["0.0.0.0/0"])
    assert parse_address(str(address)) not in every6
    assert parse_address(f"::ffff:{address}") not in every6
    assert parse_address(f"::ffff:{address}") in every4
    assert parse_address(f"::{address}") not in every4
    sixth = ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80))
    assert parse_address(str(sixth)) not in every4
    assert parse_address(str(sixth)) in every6


@pytest.mark.parametrize("wide", ["::/0", "::/80", "::fffe:0:0/95", "::ffff:0:0/95"])
def test_d3_24_a_network_wider_than_all_mapped_addresses_stays_ipv6(wide):
    assert parse_address("192.0.2.1") not in Networks.of([wide])


def test_d3_24_the_network_of_all_mapped_addresses_is_all_of_ipv4():
    assert Networks.of(["::ffff:0:0/96"]) == Networks.of(["0.0.0.0/0"])


BAD_ADDRESSES = [
    "",
    " ",
    "a",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "1.2.3.-4",
    "1.2.3.4/32",
    "0x7f.1",
]
BAD_ADDRESSES += ["010.0.0.1", "127.0.0.01", "0177.0.0.1", "2130706433", "1.2.3.4 ", " 1.2.3.4"]
BAD_ADDRESSES += ["fe80::1%eth0", "fe80::1%25eth0", "::1%", "1.2.3.4%x", "[::1]", "::1]", ":::1"]
BAD_ADDRESSES += ["1::2::3", "12345::", "g::1", "1.2.3.4:80", "localhost", "1.2.3.4\n", "1,2.3.4"]
BAD_ADDRESSES += [
    "\u0661.2.3.4",
    "\uff11.2.3.4",
    "::\uff11",
    "1.2.3.4\x00",
    "unix:",
    "unknown",
    "_h",
]


@pytest.mark.parametrize("text", BAD_ADDRESSES)
def test_d3_24_octal_zones_and_everything_that_is_no_bare_address_is_refused(text):
    with pytest.raises(ValueError, match=r"is not an IPv4 or IPv6 address|carries a zone id"):
        parse_address(text)


NO_NETWORKS = ["", "a", "1.2.3.4/33", "::1/129", "1.2.3.4/", "1.2.3.4/-1", "/24", "1.2.3.4/24/8"]
NO_NETWORKS += ["010.0.0.0/8", "fe80::1%eth0", "fe80::%eth0/64", "%", "1.2.3.4 - 1.2.3.9"]
NO_NETWORKS += ["10.0.0.0/8,11.0.0.0/8", "*", "1.2.3.4/2 4", "1.2.3.4/\u0662", "1.2.3.*", "any"]
NO_NETWORKS += ["1.2.3.4%2", "%1.2.3.4", "::ffff:1.2.3.4.5"]


@pytest.mark.parametrize(
    "text",
    NO_NETWORKS,
)
def test_what_is_no_network_is_refused_by_name(text):
    with pytest.raises(ValueError, match="is not an IP address or a CIDR") as raised:
        parse_network(text)
    assert repr(text) in str(raised.value)
    with pytest.raises(ValueError, match="is not an IP address or a CIDR"):
        Networks.of(["10.0.0.0/8", text])


@pytest.mark.parametrize("text", ["10.0.0.0/0.0.0.0", "10.0.0.0/255.0.0.0", "10.0.0.0/0.0.0.255"])
def test_masks_are_refused_because_a_wildcard_of_zeros_would_open_everything(text):
    with pytest.raises(ValueError, match="is not an IP address or a CIDR"):
        parse_network(text)


def test_messages_quote_no_more_than_the_start_of_a_long_text():
    for read in (parse_address, parse_network):
        for text in ("x" * 10_000, "%" + "x" * 10_000):
            with pytest.raises(ValueError, match="'") as raised:
                read(text)
            assert len(str(raised.value)) < 250


def test_a_single_address_and_host_bits_are_taken_and_spaces_around_them_dropped():
    assert Networks.of(["192.0.2.7"]).listed() == ["192.0.2.7/32"]
    assert Networks.of([" 192.0.2.77/24\n"]).listed() == ["192.0.2.0/24"]
    assert Networks.of(["2001:db8::5"]).listed() == ["2001:db8::5/128"]
    assert Networks.of(["2001:db8::5/32"]).listed() == ["2001:db8::/32"]


def test_networks_keep_their_order_and_count_once():
    texts = ["10.0.0.0/8", "2001:db8::/32", "10.9.9.9/8", "192.0.2.1"]
    assert Networks.of(texts).listed() == ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32"]


TRUSTED = Networks.of(["10.0.0.0/8", "2001:db8:1::/48"])


@pytest.mark.parametrize(
    ("hops", "client"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, 10.0.0.1"], "192.0.2.1"),
        (["192.0.2.1, 10.0.0.2, 10.0.0.1"], "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1, 10.0.0.1"], "192.0.2.1"),
        (["10.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (["127.0.0.1, 192.0.2.1,10.0.0.1"], "192.0.2.1"),
        (["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1", "10.0.0.1"], "192.0.2.1"),
        (["6.6.6.6", "192.0.2.1", "10.0.0.2, 10.0.0.1"], "192.0.2.1"),
        (["10.0.0.2, 10.0.0.1"], "10.0.0.2"),
        (["10.0.0.1"], "10.0.0.1"),
        (["192.0.2.1:5555"], "192.0.2.1"),
        (["192.0.2.1:5555, 10.0.0.1:80"], "192.0.2.1"),
        (["[2001:db8::1]:443"], "2001:db8::1"),
        (["[2001:db8::1]"], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["2001:db8::1, 2001:db8:1::9"], "2001:db8::1"),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, ::ffff:10.0.0.1"], "192.0.2.1"),
        (["  192.0.2.1\t,\t10.0.0.1 "], "192.0.2.1"),
        (["garbage, 192.0.2.1"], "192.0.2.1"),
        ([", 192.0.2.1"], "192.0.2.1"),
    ],
)
def test_d3_22_the_client_is_the_right_most_hop_that_is_not_ours(hops, client):
    assert right_most_untrusted(hops, TRUSTED) == parse_address(client)


@pytest.mark.parametrize(
    "hops",
    [
        [],
        [""],
        [" "],
        ["", ""],
        ["a"],
        ["unknown"],
        ["_hidden"],
        ["192.0.2.1,"],
        ["192.0.2.1, "],
        ["192.0.2.1, ,10.0.0.1"],
        ["192.0.2.1", ""],
        ["192.0.2.1, a, 10.0.0.1"],
        ["a, 10.0.0.1"],
        ["192.0.2.1:"],
        ["192.0.2.1:http"],
        ["192.0.2.1:\u0668\u0660"],
        ["[2001:db8::1]:"],
        ["[2001:db8::1]x"],
        ["[2001:db8::1]:\u0668\u0660"],
        ["[2001:db8::1"],
        ["2001:db8::1]"],
        ["[fe80::1%eth0]"],
        ["fe80::1%eth0"],
        ["for=192.0.2.1"],
        ['"192.0.2.1"'],
        ["192.0.2.1;192.0.2.2"],
        ["0300.0.2.1"],
        ["192.0.2.1/32"],
    ],
    ids=str,
)
def test_d3_23_a_hop_that_cannot_be_read_is_an_error_and_never_a_skipped_hop(hops):
    with pytest.raises(ValueError, match=r"address|zone id"):
        right_most_untrusted(hops, TRUSTED)


@FUZZ
@given(
    sent=st.lists(ADDRESSES, max_size=3),
    peers=st.lists(ADDRESSES, min_size=1, max_size=5),
    lines=st.booleans(),
)
def test_d3_22_what_a_client_sends_itself_never_changes_who_it_is(sent, peers, lines):
    hops = [str(peer) for peer in peers]
    outside = [hop for hop in hops if parse_address(hop) not in TRUSTED]
    found = right_most_untrusted(hops, TRUSTED)
    assert found == parse_address(outside[-1] if outside else hops[0])
    if outside:
        spoofed = [str(address) for address in sent] + hops
        assert right_most_untrusted(spoofed if lines else [", ".join(spoofed)], TRUSTED) == found


@FUZZ
@given(hops=st.lists(st.text(max_size=30), max_size=4))
def test_any_hops_are_an_address_or_a_value_error(hops):
    try:
        found = right_most_untrusted(hops, TRUSTED)
    except ValueError:
        return
    assert found.version in {4, 6}


def test_trusting_nobody_takes_the_last_hop_and_trusting_everybody_the_first():
    hops = ["192.0.2.1, 192.0.2.2, 192.0.2.3"]
    assert right_most_untrusted(hops, Networks(())) == parse_address("192.0.2.3")
    assert right_most_untrusted(hops, Networks.of(["0.0.0.0/0"])) == parse_address("192.0.2.1")


# --- within


@pytest.mark.parametrize(
    ("inner", "outer", "inside"),
    [
        (["10.0.0.0/8"], ["0.0.0.0/0"], True),
        (["0.0.0.0/0"], ["10.0.0.0/8"], False),
        (["10.0.0.0/8"], ["::/0"], False),
        (["::/0"], ["0.0.0.0/0"], False),
        ([], ["10.0.0.0/8"], True),
        ([], [], True),
        (["10.0.0.1"], [], False),
        (["10.0.0.0/24"], ["10.0.0.0/25", "10.0.0.128/25"], True),
        (["10.0.0.0/24"], ["10.0.0.0/25", "10.0.0.129/32"], False),
        (["10.0.0.0/24", "192.0.2.1"], ["10.0.0.0/8"], False),
        (["::ffff:10.0.0.1"], ["10.0.0.0/8"], True),
        (["2001:db8::/33", "2001:db8:8000::/33"], ["2001:db8::/32"], True),
        (["0.0.0.0/0"], ["0.0.0.0/1", "128.0.0.0/1"], True),
    ],
)
def test_networks_are_within_others_when_every_address_is(inner, outer, inside):
    assert Networks.of(inner).within(Networks.of(outer)) is inside


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(24, 32)), max_size=4),
    st.lists(st.tuples(st.integers(0, 255), st.integers(24, 32)), max_size=4),
)
def test_within_agrees_with_asking_for_each_address(inner, outer):
    one, other = (
        Networks.of(f"192.0.2.{low}/{bits}" for low, bits in drawn) for drawn in (inner, outer)
    )
    addresses = [parse_address(f"192.0.2.{low}") for low in range(256)]
    assert one.within(other) is all(each in other for each in addresses if each in one)


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("192.0.2.1", ["192.0.2.1/32"]),
        ("192.0.2.9/24", ["192.0.2.0/24"]),
        ("192.0.2.0-192.0.2.255", ["192.0.2.0/24"]),
        (" 192.0.2.5 - 192.0.2.8 ", ["192.0.2.5/32", "192.0.2.6/31", "192.0.2.8/32"]),
        ("192.0.2.7-192.0.2.7", ["192.0.2.7/32"]),
        ("2001:db8::-2001:db8::1", ["2001:db8::/127"]),
        ("0.0.0.0-255.255.255.255", ["0.0.0.0/0"]),
    ],
)
def test_a_range_is_the_networks_that_cover_it_exactly(text, networks):
    assert range_networks(text) == networks


@pytest.mark.parametrize(
    "text", ["", "-", "192.0.2.1-", "192.0.2.2-192.0.2.1", "192.0.2.1-::1", "a-b", "1.2.3.4-5", "x"]
)
def test_what_is_no_range_is_named(text):
    with pytest.raises(ValueError, match="address"):
        range_networks(text)


@FUZZ
@given(address=ADDRESSES, found=st.lists(networks(), min_size=5, max_size=40))
def test_many_networks_hold_what_each_of_them_holds(address, found):
    held = Networks.of([text for text, _ in found])
    edges = [one for _, net in found for one in (net.network_address, net.broadcast_address)]
    around = {
        type(one)((int(one) + step) % 2**one.max_prefixlen) for one in edges for step in (-1, 0, 1)
    }
    for asked in (address, *around):
        parsed = parse_address(str(asked))
        assert (parsed in held) == any(parsed in Networks((one,)) for one in held.entries)
