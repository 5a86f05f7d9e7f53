"""The certificate of the listeners: which files do, what a handshake agrees on, how one is renewed.

Here two ends shake hands in memory; over sockets it is tests/e2e/test_tls.
"""

from __future__ import annotations

import os
import ssl
import warnings

import pytest
from tests.certificates import Authority, serial_of

from latchgate.config import TlsFiles
from latchgate.serve.tls import Certificate, CertificateError

NOBODY = 65_534


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def pair(authority, request):
    return authority.issue(request.node.name[:60].replace("/", "-"))


def files(pair):
    return TlsFiles(pair.certificate, pair.key)


def shaken(certificate, client, *, name="localhost"):
    """Shake hands; returns the client's end, or raises what it was told."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    far = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    refused = None
    for _ in range(4):
        for end in (near, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                if end is near:
                    raise
                refused = error
    assert refused is None
    return near


# --- what is agreed on


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_from_1_2_on_is_spoken(authority, pair, version):
    end = shaken(Certificate(files(pair)), authority.client(version=version))
    assert end.version() == version.name.replace("v1_", "v1.")
    assert serial_of(end) == pair.serial
    agreed = end.cipher()
    assert agreed is not None
    assert "GCM" in agreed[0] or "CHACHA20" in agreed[0]


@pytest.mark.parametrize("name", ["TLSv1", "TLSv1_1"])
def test_tls_before_1_2_is_refused_by_the_server(authority, pair, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client = authority.client(version=ssl.TLSVersion[name])
    with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
        shaken(Certificate(files(pair)), client)


def test_http_1_1_is_the_only_protocol_agreed_on(authority, pair):
    client = authority.client()
    client.set_alpn_protocols(["h2", "http/1.1"])
    assert shaken(Certificate(files(pair)), client).selected_alpn_protocol() == "http/1.1"
    assert shaken(Certificate(files(pair)), authority.client()).selected_alpn_protocol() is None


def test_a_client_that_names_no_host_is_shown_the_certificate_too(authority, pair):
    client = authority.client()
    client.check_hostname = False
    assert serial_of(shaken(Certificate(files(pair)), client, name=None)) == pair.serial


def test_weak_ciphers_are_not_agreed_on(authority, pair):
    for weak in (
        "AES128-SHA",
        "AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
    ):
        client = authority.client(version=ssl.TLSVersion.TLSv1_2)
        client.set_ciphers(f"{weak}:@SECLEVEL=0")
        with pytest.raises(ssl.SSLError, match=r"(?i)handshake failure"):
            shaken(Certificate(files(pair)), client)


# --- renewal


def test_a_renewed_pair_is_shown_after_a_reload_and_not_before(authority, pair):
    certificate, first = Certificate(files(pair)), pair.serial
    renewed = authority.issue("renewed")
    pair.put(renewed)
    assert serial_of(shaken(certificate, authority.client())) == first
    certificate.reload()
    assert serial_of(shaken(certificate, authority.client())) == renewed.serial


@pytest.mark.parametrize("broken", ["certificate", "key", "pair", "gone"])
def test_a_bad_pair_never_takes_the_place_of_a_good_one(authority, pair, broken):
    certificate = Certificate(files(pair))
    if broken == "gone":
        pair.key.unlink()
    elif broken == "pair":  # a renewal that is half done
        pair.certificate.write_bytes(authority.issue("half").certificate.read_bytes())
    else:
        getattr(pair, broken).write_bytes(b"-----BEGIN")
    with pytest.raises(CertificateError):
        certificate.reload()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        end = shaken(certificate, authority.client(version=version))
        assert serial_of(end) == pair.serial


def test_a_session_goes_on_over_a_renewal(authority, pair):
    certificate = Certificate(files(pair))
    client = authority.client(version=ssl.TLSVersion.TLSv1_2)
    session = shaken(certificate, client).session
    pair.put(authority.issue("renewed-later"))
    certificate.reload()
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    again = client.wrap_bio(to_client, to_server, server_hostname="localhost", session=session)
    far = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for end in (again, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert again.version() == "TLSv1.2"


# --- files that don't do


def refusal(found):
    with pytest.raises(CertificateError) as refused:
        Certificate(found)
    assert "PRIVATE KEY-----\n" not in str(refused.value)
    return str(refused.value)


def test_files_that_cannot_be_read_are_told_by_setting_and_name(pair, tmp_path):
    nothing = tmp_path / "nothing.pem"
    told = refusal(TlsFiles(nothing, pair.key))
    assert (
        told == f"tls.certificate (--tls-cert) {nothing}: can't be read (No such file or directory)"
    )
    told = refusal(TlsFiles(pair.certificate, nothing))
    assert told == f"tls.key (--tls-key) {nothing}: can't be read (No such file or directory)"
    assert "Is a directory" in refusal(TlsFiles(tmp_path, pair.key))


def test_a_key_of_somebody_else_is_told(pair):
    pair.key.chmod(0)
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)  # root reads everything
    try:
        assert "Permission denied" in refusal(files(pair))
    finally:
        os.seteuid(was)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x30\x82",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n",
    ],
)
def test_a_certificate_that_is_no_pem_is_told(pair, text):
    pair.certificate.write_bytes(text)
    told = refusal(files(pair))
    assert told == f"tls.certificate (--tls-cert) {pair.certificate}: holds no certificate in PEM"


def test_the_two_files_the_wrong_way_round_are_told(pair):
    told = refusal(TlsFiles(pair.key, pair.certificate))
    assert told.startswith(f"tls.certificate (--tls-cert) {pair.key}: holds no certificate")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "holds no private key in PEM"),
        (b"\x30\x82", "holds no private key in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "can't be used with"),
    ],
)
def test_a_key_that_is_none_is_told(pair, text, says):
    pair.key.write_bytes(text)
    told = refusal(files(pair))
    assert told.startswith(f"tls.key (--tls-key) {pair.key}: {says}")


def test_a_key_of_another_certificate_is_told(authority, pair):
    other = authority.issue("other")
    told = refusal(TlsFiles(pair.certificate, other.key))
    assert told == (
        f"tls.key (--tls-key) {other.key}: does not belong to the certificate in {pair.certificate}"
    )


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_a_password(authority):
    pair = authority.issue("encrypted", password=b"a long enough password")
    told = refusal(files(pair))
    assert told.startswith(f"tls.key (--tls-key) {pair.key}: is encrypted")


def test_one_file_may_hold_both(authority, pair):
    pair.key.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    end = shaken(Certificate(TlsFiles(pair.key, pair.key)), authority.client())
    assert serial_of(end) == pair.serial


# --- what an operator should know


def test_an_expired_certificate_is_a_warning(authority):
    pair = authority.issue("expired", days=(-30, -1))
    (warning,) = Certificate(files(pair)).warnings
    assert warning.startswith(f"tls.certificate (--tls-cert) {pair.certificate}: expired on ")


def test_a_certificate_of_tomorrow_is_a_warning(authority):
    (warning,) = Certificate(files(authority.issue("tomorrow", days=(1, 30)))).warnings
    assert "is valid from" in warning


def test_a_key_for_everybody_is_a_warning(pair):
    assert Certificate(files(pair)).warnings == ()
    pair.key.chmod(0o644)
    (warning,) = Certificate(files(pair)).warnings
    assert f"chmod 600 {pair.key}" in warning
