"""The embedded servers and their supervisor: started, stopped, killed, and found as any of those left them."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from factories import chain, node
from served import ENVIRONMENT, Served, kill
from stack import Process, until
from stepwire.embedded.home import jwt_secret, locked_home
from stepwire.embedded.parent import exit_with_parent
from stepwire.embedded.process import ServiceFailed, working_in
from stepwire.embedded.services import embedded_services
from stepwire.embedded.sockets import socket_folder
from stepwire.embedded.supervisor import BACKOFF_SECONDS, _Revival
from stepwire.embedded.valkey import EmbeddedValkey
from stepwire.settings import Settings

LINK = re.compile(r"http://\S+/studio/#code=(?P<code>\S+)")
HELLO = chain(node("hello", "core.log", {}))
# A life that ends with SIGKILL, of whose end the kernel does not tell the servers.
LEAVES_ORPHANS = """
import os, signal, sys
from pathlib import Path
from stepwire.embedded import unprivileged
from stepwire.embedded.services import embedded_services
from stepwire.settings import Settings
unprivileged._PR_SET_PDEATHSIG = 9999
with embedded_services(home := Path(sys.argv[1]), Settings(home=home)):
    os.kill(os.getpid(), signal.SIGKILL)
"""
# What root in a container may not do, under Docker's defaults: above all, see where others' processes work.
AS_IN_A_CONTAINER = """
import ctypes, os, sys
for capability in set(range(64)) - {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}:
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="about what root does")


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


def is_alive(pid: int) -> bool:
    """Whether it does anything yet: one whose parent does not ask how it ended stays listed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


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
    processes = served.all()

    assert run["status"] == "completed"
    assert len(processes) > 4
    assert served.process.stop() == 0
    assert [pid for pid in processes if is_alive(pid)] == []
    assert left_in(served.home) == []


def test_killing_the_supervisor_ends_everything_and_the_next_start_goes_on(tmp_path: Path) -> None:
    served = Served(tmp_path)
    waits = served.api.start(served.api.publish(chain(node("w", "core.delay", {"duration": 4}))))
    steps = f"/api/v1/runs/{waits['id']}/steps"
    until(lambda: served.api.http.get(steps).json()["items"][0]["status"] == "waiting", "the run being at rest")
    processes = served.all()
    served.process.kill()
    until(lambda: not any(is_alive(pid) for pid in processes), "the end of every process")
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


@pytest.mark.parametrize("command", ["serve", "token"])
def test_a_folder_that_cannot_be_one_is_named_with_its_setting(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = Process(command, ENVIRONMENT | {"STEPWIRE_HOME": str(tmp_path / "file")}, tmp_path / "log")

    assert process.popen.wait(30) == 78
    assert "STEPWIRE_HOME" in (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_url_that_is_none_of_redis_is_named_with_its_setting(home: Path, tmp_path: Path) -> None:
    environment = ENVIRONMENT | {"STEPWIRE_HOME": str(home), "REDIS_URL": "http://:secret@127.0.0.1"}
    process = Process("serve", environment, tmp_path / "log")

    assert process.popen.wait(60) == 78
    assert "REDIS_URL" in (tmp_path / "log").read_text()
    assert "secret" not in (tmp_path / "log").read_text()


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


@pytest.fixture(scope="module")
def kept(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running ``stepwire serve``, to be killed in parts."""
    folder = tmp_path_factory.mktemp("kept")
    _copy(prepared, folder / "home")
    served = Served(folder)
    yield served
    served.api.http.close()
    assert served.process.stop() == 0


@pytest.mark.parametrize("command", ["api", "worker"])
def test_a_part_that_dies_is_started_again(command: str, kept: Served) -> None:
    served = kept
    before = served.child(command)
    kill(before)
    until(lambda: served.child(command) != before, "a new process")
    until(served.api.is_ready, "the API being ready again")
    run = served.api.execute(HELLO)

    assert run["status"] == "completed"


def test_links_to_the_studio_are_printed_at_the_start_and_whenever_one_is_asked_for(
    kept: Served, tmp_path: Path
) -> None:
    at_start = until(lambda: LINK.search(kept.log.read_text()), "the link being printed")
    command = [sys.executable, "-m", "stepwire", "studio"]
    asked = subprocess.run(command, env={**os.environ, **kept.environment}, capture_output=True, text=True, check=True)
    elsewhere = subprocess.run(
        command, env={**os.environ, **kept.environment, "STEPWIRE_HOME": str(tmp_path)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    codes = [each.group("code") for each in (at_start, LINK.search(asked.stdout)) if each is not None]
    answers = [kept.api.http.post("/studio/sign-in", json={"code": code}) for code in codes]

    assert asked.stdout.startswith(f"{kept.api.url}/studio/#")
    assert [each.status_code for each in answers] == [200, 200]
    assert (elsewhere.returncode, "stepwire serve" in elsewhere.stderr) == (2, True)


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


@pytest.mark.parametrize("name", ["with spaces, commas and ünïcode", "long " + "x" * 150])
def test_any_path_will_do(name: str, tmp_path: Path, crowded: Path) -> None:
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


def run_python(program: str, *arguments: str) -> int:
    return subprocess.run([sys.executable, "-c", program, *arguments], check=False, timeout=60).returncode


def test_orphans_are_ended_the_way_that_loses_nothing(home: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(home)
    assert run_python(LEAVES_ORPHANS, str(tmp_path / "link")) == -signal.SIGKILL
    assert len(left_in(home)) > 2

    comes_up(home)
    log = (home / "postgres.log").read_text()
    assert log.count("database system is shut down\n") == 3
    assert "not properly shut down" not in log


def test_helpers_of_a_killed_postmaster_do_not_stand_in_the_way(home: Path) -> None:
    assert run_python(LEAVES_ORPHANS, str(home)) == -signal.SIGKILL
    kill(int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0]))

    comes_up(home)


@as_root
def test_a_container_that_hides_where_processes_work_does_not_hide_orphans(home: Path) -> None:
    assert run_python(AS_IN_A_CONTAINER, "-c", LEAVES_ORPHANS, str(home)) == -signal.SIGKILL
    orphans = left_in(home)
    again = LEAVES_ORPHANS.replace("os.kill(os.getpid(), signal.SIGKILL)", "pass")

    assert run_python(AS_IN_A_CONTAINER, "-c", again, str(home)) == 0
    assert len(orphans) > 2
    assert left_in(home) == []


def test_somebody_who_looks_around_in_a_data_folder_is_left_alone(home: Path) -> None:
    with subprocess.Popen(["sleep", "60"], cwd=home / "postgres") as visitor:
        try:
            comes_up(home)
            assert visitor.poll() is None
        finally:
            visitor.kill()


def test_a_lost_password_is_told_as_that(home: Path) -> None:
    (home / "postgres.password").unlink()

    with pytest.raises(ServiceFailed, match=r"another password than .*postgres\.password"):
        comes_up(home)
    assert left_in(home) == []


def test_what_valkey_stored_stays_in_its_place_when_it_is_not_the_reason(home: Path) -> None:
    stored = sorted(path.name for path in (home / "valkey").rglob("*"))
    valkey = EmbeddedValkey(home)
    valkey._server._command.extend(["--no-such-setting", "1"])

    with pytest.raises(ServiceFailed, match="no-such-setting"):
        _start(valkey)
    assert sorted(path.name for path in (home / "valkey").rglob("*")) == stored
    assert [path.name for path in home.iterdir() if path.name.startswith("valkey.2")] == []


def _start(valkey: EmbeddedValkey) -> None:
    valkey.start()
    valkey.wait(threading.Event())


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of short name, as everybody's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


def test_a_link_in_place_of_the_folder_for_sockets_is_not_followed(crowded: Path) -> None:
    long = crowded / ("x" * 150)
    folder = socket_folder(long)
    folder.rmdir()
    (crowded / "elsewhere").mkdir()
    (crowded / "elsewhere").chmod(0o755)
    folder.symlink_to(crowded / "elsewhere")

    with pytest.raises(ServiceFailed, match="not ours"):
        socket_folder(long)
    assert folder.parent == crowded
    assert stat.S_IMODE((crowded / "elsewhere").stat().st_mode) == 0o755


@as_root
def test_a_folder_for_sockets_of_another_user_is_refused(crowded: Path) -> None:
    folder = socket_folder(crowded / ("x" * 150))
    os.chown(folder, 12345, 12345)

    with pytest.raises(ServiceFailed, match="somebody else"):
        socket_folder(crowded / ("x" * 150))
    assert folder.stat().st_uid == 12345


def test_serve_stops_when_it_is_told_to_while_it_starts(home: Path, tmp_path: Path) -> None:
    process = Process("serve", ENVIRONMENT | {"STEPWIRE_HOME": str(home)}, tmp_path / "log")
    until(lambda: left_in(home), "the servers being started")

    assert process.stop() == 0
    assert left_in(home) == []
    assert not (home / "url").exists()


def test_what_keeps_dying_is_started_later_and_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("stepwire.embedded.supervisor.time.monotonic", lambda: now)
    revival, waits = _Revival(), []
    for _ in range(7):
        died_at = now
        while not revival.is_due("It died"):
            now += 0.1
        waits.append(now - died_at)
        revival.started()
    now += 60
    died_at = now
    while not revival.is_due("It died"):
        now += 0.1

    assert waits == pytest.approx([0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0], abs=0.11)
    assert now - died_at == BACKOFF_SECONDS[0]


def test_a_setting_inherited_without_its_pipe_ends_nobody(tmp_path: Path) -> None:
    before = threading.active_count()
    with (tmp_path / "file").open("w") as file:
        exit_with_parent(file.fileno())
    exit_with_parent(987)
    exit_with_parent(None)

    assert threading.active_count() == before
