"""The guard: what is public, what an operator may open, and that what is dialled is what was checked."""

from collections.abc import Sequence
from ipaddress import ip_address

import httpcore
import httpx
import pytest

from stepwire.errors import Misconfigured
from stepwire.steps.guard import AddressRefused, Allow, GuardedBackend, guarded_client, is_public, parse_allow

REFUSED = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "100.127.255.255", "192.0.0.192"),
    *("192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "192.88.99.1", "168.63.129.16"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *(
        "::",
        "::1",
        "::7f00:1",
        "::808:808",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
    ),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "100::1", "ff02::1"),
    *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2002:7f00:1::", "2002:a9fe:a9fe::1"),
    *("2002:c0a8:101::1", "2001::1", "2001:0:7f00:1::", "2001:10::1", "2001:db8::1", "3fff::1", "2606:4700::1%eth0"),
]
PUBLIC = [
    *(
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "126.255.255.255",
        "128.0.0.1",
    ),
    *("172.15.255.255", "172.32.0.1", "192.0.1.1", "198.17.255.255", "198.20.0.1", "223.255.255.255", "168.63.129.17"),
    *(
        "2606:4700:4700::1111",
        "2001:4860:4860::8888",
        "2a00::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::",
    ),
]


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_on_the_internet_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("allow", "host", "port", "address"),
    [
        ("localhost", "LOCALHOST", 80, "127.0.0.1"),
        ("localhost", "localhost.", 80, "::1"),
        (" a.internal , Localhost:8080 ", "localhost", 8080, "127.0.0.1"),
        ("10.0.0.0/8", "anything", 80, "10.1.2.3"),
        ("127.0.0.1", "127.0.0.1", 80, "::ffff:127.0.0.1"),
        ("127.0.0.1:9000", "x", 9000, "127.0.0.1"),
        ("::1", "x", 80, "::1"),
        ("[::1]:9000", "x", 9000, "::1"),
        ("[::1]", "x", 9000, "::1"),
        ("fd00::/8", "x", 80, "fd00:ec2::254"),
        ("", "example.com", 443, "93.184.215.14"),
    ],
)
def test_what_is_allowed_is_permitted(allow: str, host: str, port: int, address: str) -> None:
    assert parse_allow(allow).permits(host, port, ip_address(address))


@pytest.mark.parametrize(
    ("allow", "host", "port", "address"),
    [
        ("", "localhost", 80, "127.0.0.1"),
        ("localhost", "127.0.0.1", 80, "127.0.0.1"),
        ("localhost", "sub.localhost", 80, "127.0.0.1"),
        ("localhost:8080", "localhost", 8081, "127.0.0.1"),
        ("127.0.0.1:9000", "x", 9001, "127.0.0.1"),
        ("10.0.0.0/8", "x", 80, "127.0.0.1"),
        ("127.0.0.1", "x", 80, "::1"),
        ("127.0.0.1", "x", 80, "64:ff9b::7f00:1"),
    ],
)
def test_what_is_not_allowed_is_not_permitted(allow: str, host: str, port: int, address: str) -> None:
    assert not parse_allow(allow).permits(host, port, ip_address(address))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "*",
            "*.internal",
            "http://localhost",
            "localhost/path",
            "a b",
            "local_host:",
            "localhost:0",
            "localhost:65536",
        ),
        *(
            "localhost:http",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0",
            "10.0.0.300",
            "0x7f.1",
            "2130706433",
            "[::1",
            "::zz",
        ),
        *("-a.internal", "a..b", "münchen.internal", "localhost; 10.0.0.0/8", "user@localhost"),
    ],
)
def test_garbage_in_the_setting_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="STEPWIRE_HTTP_ALLOW"):
        parse_allow(f"localhost,{text}")


def test_an_empty_setting_opens_nothing() -> None:
    assert parse_allow(" , ") == Allow()


class Network:
    """A resolver with fixed answers, and httpcore's dialler replaced by a list of what was dialled."""

    def __init__(self, allow: str, answers: Sequence[str], *, dead: Sequence[str] = ()) -> None:
        self.dialled: list[tuple[str, int]] = []
        self.asked: list[str] = []
        self.backend = GuardedBackend(parse_allow(allow), self._resolve, dialler=_Dialler(self.dialled, dead))
        self._answers = answers

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers


class _Dialler(httpcore.AsyncMockBackend):
    def __init__(self, dialled: list[tuple[str, int]], dead: Sequence[str]) -> None:
        super().__init__([])
        self._dialled = dialled
        self._dead = dead

    async def connect_tcp(
        self, host: str, port: int, *options: object, **others: object
    ) -> httpcore.AsyncNetworkStream:
        self._dialled.append((host, port))
        if host in self._dead:
            raise httpcore.ConnectError("refused")
        return httpcore.AsyncMockStream([])


async def test_only_the_public_ones_of_a_names_addresses_are_dialled_in_order() -> None:
    network = Network("", ["10.0.0.1", "1.1.1.1", "::1", "2606:4700::1111"], dead=["1.1.1.1"])

    await network.backend.connect_tcp("mixed.example", 443, timeout=5)

    assert network.dialled == [("1.1.1.1", 443), ("2606:4700::1111", 443)]
    assert network.asked == ["mixed.example"]


async def test_a_name_with_private_addresses_only_is_refused_without_saying_which() -> None:
    network = Network("", ["10.11.12.13", "fe80::1%eth0"])

    with pytest.raises(AddressRefused) as caught:
        await network.backend.connect_tcp("sneaky.example", 80)

    assert network.dialled == []
    assert "sneaky.example" in str(caught.value)
    assert "10.11.12.13" not in str(caught.value)


async def test_a_name_is_resolved_again_for_every_connection() -> None:
    """A record that is public at first and private later (DNS rebinding) gets nothing out of it."""
    network = Network("", ["1.1.1.1"])

    await network.backend.connect_tcp("rebinding.example", 80)
    network._answers = ["127.0.0.1"]
    with pytest.raises(AddressRefused):
        await network.backend.connect_tcp("rebinding.example", 80)

    assert network.dialled == [("1.1.1.1", 80)]


async def test_when_no_address_answers_the_last_failure_is_told() -> None:
    network = Network("", ["1.1.1.1", "8.8.8.8"], dead=["1.1.1.1", "8.8.8.8"])

    with pytest.raises(httpcore.ConnectError):
        await network.backend.connect_tcp("down.example", 80)

    assert len(network.dialled) == 2


async def test_unix_sockets_are_refused() -> None:
    with pytest.raises(AddressRefused):
        await GuardedBackend(Allow()).connect_unix_socket("/var/run/docker.sock")


SPELLINGS = [
    *("127.0.0.1", "localhost", "127.1", "127.0.1", "2130706433", "017700000001", "0x7f.1", "0x7f000001"),
    *("0", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::7f00:1]", "[64:ff9b::7f00:1]"),
    *("[2002:7f00:1::]", "[::1%25lo]", "127。0。0。1", "169.254.169.254", "[fd00:ec2::254]", "user:pw@127.0.0.1"),
]


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_a_private_address_gets_past_the_systems_resolver(host: str) -> None:
    async with guarded_client() as client:
        with pytest.raises(AddressRefused):
            await client.get(f"http://{host}:9/")


@pytest.mark.parametrize("host", ["0177.0.0.1", "127.0.0.01", "①②⑦.0.0.1", "a..b", f"{'a' * 64}.example", "1.2.3.4.5"])
async def test_a_host_that_cannot_be_one_is_an_error_of_httpx(host: str) -> None:
    async with guarded_client() as client:
        with pytest.raises((httpx.InvalidURL, httpx.ConnectError)):
            await client.get(f"http://{host}:9/")


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async with guarded_client() as client:
        with pytest.raises(AddressRefused, match="localhost"):
            await client.get("http://localhost:9/")
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.get("ws://example.com/")
