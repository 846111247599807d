"""The embedded servers and their supervisor: started, stopped, killed, and found as any of those left them."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from factories import chain, node
from served import ENVIRONMENT, Served, kill
from stack import Process, until
from stepwire.embedded.home import jwt_secret, locked_home
from stepwire.embedded.process import working_in
from stepwire.embedded.services import embedded_services
from stepwire.settings import Settings

HELLO = chain(node("hello", "core.log", {}))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that was served from and stopped, to copy: making a data folder takes seconds."""
    home = tmp_path_factory.mktemp("prepared") / "home"
    with embedded_services(home, Settings(home=home)):
        pass
    return home


@pytest.fixture
def home(prepared: Path, tmp_path: Path) -> Path:
    return _copy(prepared, tmp_path / "home")


def _copy(prepared: Path, to: Path) -> Path:
    shutil.copytree(prepared, to, ignore=shutil.ignore_patterns("*.sock", ".s.PGSQL*"))
    for root, folders, files in os.walk(prepared):
        for name in (".", *folders, *files):
            source = Path(root) / name
            target = to / source.relative_to(prepared)
            if target.exists():
                os.chown(target, source.stat().st_uid, source.stat().st_gid)
    return to


def left_in(home: Path) -> list[int]:
    return [*working_in(home / "postgres"), *working_in(home / "valkey")]


def comes_up(home: Path) -> None:
    """Start the servers, which raises where one does not answer, and stop them; nothing is left of them."""
    with embedded_services(home, Settings(home=home)) as environment:
        assert environment["DATABASE_URL"].startswith("postgresql://stepwire:")
        assert len(left_in(home)) > 2
    assert left_in(home) == []


def test_serve_comes_up_runs_and_leaves_nothing_behind_when_it_is_stopped(tmp_path: Path) -> None:
    served = Served(tmp_path)
    run = served.api.execute(HELLO)
    served.api.http.close()

    assert run["status"] == "completed"
    assert served.process.stop() == 0
    assert left_in(served.home) == []


def test_killing_the_supervisor_ends_everything_and_the_next_start_goes_on(tmp_path: Path) -> None:
    served = Served(tmp_path)
    waits = served.api.start(served.api.publish(chain(node("w", "core.delay", {"duration": 1.5}))))
    served.process.kill()
    until(lambda: not left_in(served.home), "the end of the servers")
    served.start()
    ended = served.api.finished(waits["id"])
    served.api.http.close()

    assert ended["status"] == "completed"
    assert served.process.stop() == 0


def test_the_second_serve_in_a_folder_says_so_and_ends(home: Path, tmp_path: Path) -> None:
    with locked_home(home):
        second = Process("serve", ENVIRONMENT | {"STEPWIRE_HOME": str(home)}, tmp_path / "log")
        code = second.popen.wait(30)

    assert code == 2
    assert f"process {os.getpid()}" in (tmp_path / "log").read_text()


def test_a_port_that_is_taken_is_named_with_its_setting(home: Path, tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process = Process("serve", ENVIRONMENT | {"STEPWIRE_HOME": str(home), "STEPWIRE_PORT": port}, tmp_path / "log")
        code = process.popen.wait(60)

    assert code == 78
    assert "STEPWIRE_PORT" in (tmp_path / "log").read_text()
    assert left_in(home) == []


@pytest.mark.parametrize("command", ["api", "worker"])
def test_a_part_that_dies_is_started_again(command: str, tmp_path: Path, prepared: Path) -> None:
    _copy(prepared, tmp_path / "home")
    served = Served(tmp_path)
    before = served.child(command)
    kill(before)
    until(lambda: served.child(command) != before, "a new process")
    until(served.api.is_ready, "the API being ready again")
    run = served.api.execute(HELLO)
    served.api.http.close()

    assert run["status"] == "completed"
    assert served.process.stop() == 0


def test_half_a_data_folder_is_never_used(tmp_path: Path) -> None:
    half = tmp_path / "home" / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")

    comes_up(tmp_path / "home")
    assert not half.exists()


def test_a_stale_pid_file_that_names_a_living_process_does_not_matter(home: Path) -> None:
    pid_file = home / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{os.getppid()}\n{home / 'postgres'}\n0\n5432\n/tmp\n\n  1 1\nready\n")

    comes_up(home)


def test_what_valkey_cannot_read_is_put_aside(home: Path) -> None:
    logs = list((home / "valkey" / "appendonlydir").iterdir())
    for log in logs:
        log.write_bytes(b"\x00garbage\xff" * 100)

    comes_up(home)
    assert [path.name for path in home.iterdir() if path.name.startswith("valkey.2")]


@pytest.mark.parametrize("name", ["with spaces and ünïcode", "long " + "x" * 120])
def test_any_path_will_do(name: str, tmp_path: Path) -> None:
    comes_up(tmp_path / name / "home")


def test_a_private_folder_stays_private(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    comes_up(private / "home")

    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    for folder in (private / "home", private / "home" / "postgres", private / "home" / "valkey"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    assert stat.S_IMODE((private / "home" / "postgres.password").stat().st_mode) == 0o600


def test_servers_are_found_again_through_a_link(home: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(home)
    with embedded_services(link, Settings(home=link)):
        assert len(left_in(home)) == len(left_in(link)) > 2

    assert left_in(link) == []


def test_secrets_are_made_once(tmp_path: Path) -> None:
    first = jwt_secret(tmp_path / "new")

    assert len(first) >= 43
    assert jwt_secret(tmp_path / "new") == first
    assert stat.S_IMODE((tmp_path / "new" / "jwt.secret").stat().st_mode) == 0o600
