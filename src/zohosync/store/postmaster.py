"""One Postgres server process in one directory: made, started, watched and stopped by its reaper.

Only the reaper (see embedded.py) builds a Postmaster; everybody may ask a Home whether it answers.
"""

# ruff: noqa: S603, TID251 - the reaper is a process of its own: it starts others, on real time

import contextlib
import ctypes
import hashlib
import os
import pwd
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from zohosync.errors import EmbeddedPostgresError

PORT = 5432  # only the name of the socket file; nothing listens on a network
LOG_MAX_BYTES = 16_000_000
ENSURE_S = 300.0  # recovery of a big write-ahead log takes minutes; the server is never cut short
RELAUNCH_S = 15.0  # how long processes of a killed server may hold its shared memory
SOCKET_PATH_MAX = 103  # sockaddr_un: 108 bytes on Linux, 104 on macOS, one for the end
LINUX = sys.platform == "linux"
STARTUP = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
TERMINATE = b"X\0\0\0\4"
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}  # no PGPORT, PGDATA, TZ


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as when we are root, which it refuses to be."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Home:
    """The directory of an embedded Postgres and what can be seen of it from outside."""

    root: Path

    @property
    def data(self) -> Path:
        """The cluster; it exists only when it is complete."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.root / "postgres.log"

    @property
    def socket_dir(self) -> Path:
        """Where the socket is: `root`, or a short name for it when that path is too long."""
        if len(os.fsencode(self.root / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_MAX:
            return self.root
        short = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path("/tmp") / f"zohosync-{short}"  # noqa: S108 - 0700 and its owner is checked

    @property
    def socket(self) -> Path:
        """The socket itself."""
        return self.socket_dir / f".s.PGSQL.{PORT}"

    def account(self) -> Account | None:
        """The owner of the data, `postgres` or `nobody` when we are root; else None: ourselves."""
        if os.geteuid() != 0:
            return None
        with contextlib.suppress(FileNotFoundError):
            owner = self.data.stat()
            if owner.st_uid:
                return Account(f"uid {owner.st_uid}", owner.st_uid, owner.st_gid)
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                return Account(name, entry.pw_uid, entry.pw_gid)
        raise EmbeddedPostgresError(
            "Postgres refuses to run as root, and there is no user postgres or nobody to run it",
            next_step="run as an ordinary user, or set ZOHOSYNC_DATABASE_URL",
        )

    def answers(self) -> bool:
        """Whether a real connection gets in; a pid file or an open port proves nothing."""
        reply = b""
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(5.0)
                link.connect(str(self.socket))
                link.sendall(struct.pack("!i", len(STARTUP) + 4) + STARTUP + TERMINATE)
                while piece := link.recv(4096):
                    reply += piece
        except OSError:
            return False
        return reply[:1] == b"R" or b"C53300\0" in reply  # let in, or full, which is alive too

    def postmaster_pid(self) -> int | None:
        """The server's process id, None when it is dead, a zombie or somebody else by now."""
        pid = self.noted_pid()
        if pid is None:
            return None
        if not LINUX:
            return pid if _is_alive(pid) else None
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()  # of a zombie it is empty
        except OSError:
            return None
        return pid if os.fsencode(self.data) in command.split(b"\0") else None

    def noted_pid(self) -> int | None:
        """The process id in postmaster.pid, dead or alive."""
        try:
            return int((self.data / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None


class Postmaster:
    """The server of one Home, as its reaper sees it."""

    def __init__(self, home: Home, bin_dir: Path, *, fsync: bool) -> None:
        """`bin_dir` holds postgres and initdb."""
        self._home = home
        self._bin_dir = bin_dir
        self._fsync = fsync
        self._account = home.account()
        self._child: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """See to directories, binaries and a cluster; raises EmbeddedPostgresError."""
        self._open_the_way()
        self._rotate_log()
        major = self._major()
        if not self._may_run(self._bin_dir / "postgres"):
            self._bin_dir = self._staged()
        made_by = self._home.data / "PG_VERSION"
        if not made_by.exists():
            self._make_cluster(major)
        elif (version := made_by.read_text().strip()) != str(major):
            raise EmbeddedPostgresError(
                f"The data was made by Postgres {version}, the binaries are Postgres {major}",
                place=str(self._home.data),
                next_step=f"dump it with Postgres {version} and restore it into a new directory",
            )

    def is_well(self) -> bool:
        """Whether the server lives and can be reached; cheap, connects to nothing."""
        return self._pid() is not None and self._home.socket.exists()

    def ensure(self) -> None:
        """Bring the server up and return once it answers; right after any kill -9, too."""
        began, launched = time.monotonic(), False
        while not self._home.answers():
            waited_s = time.monotonic() - began
            if self._pid() is None:
                if launched:  # a server that had served and died is no failed start
                    self._judge_exit(waited_s)
                self._forget_stranger()
                self._launch()
                launched = True
            elif self._lost_its_socket():
                self.stop()
            elif waited_s > ENSURE_S:
                raise EmbeddedPostgresError(f"Postgres did not answer within {ENSURE_S:.0f} s")
            time.sleep(0.01 if waited_s < 1.0 else 0.1)

    def stop(self) -> None:
        """Stop the server: cleanly, else at once (the next start recovers), else by force."""
        for order, patience_s in ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (9, 5.0)):
            give_up = time.monotonic() + patience_s
            if (pid := self._pid()) is None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, order)
            while self._pid() is not None and time.monotonic() < give_up:
                time.sleep(0.01)
        if self._home.socket_dir != self._home.root:
            with contextlib.suppress(OSError):
                self._home.socket_dir.rmdir()

    def _pid(self) -> int | None:
        """The living server's process id; None when there is none."""
        if self._child is not None and self._child.poll() is None:  # poll also buries the dead
            return self._child.pid
        return self._home.postmaster_pid()

    def _lost_its_socket(self) -> bool:
        """A server that is up but whose socket file somebody cleaned away (/tmp) is deaf."""
        with contextlib.suppress(OSError):
            status = (self._home.data / "postmaster.pid").read_text().rstrip()
            return status.endswith("ready") and not self._home.socket.exists()
        return False

    def _judge_exit(self, waited_s: float) -> None:
        """The server left while starting: leftovers of a killed one pass, all else is an error."""
        text = self._last_words(4)
        passing = "shared memory block" in text or "lock file" in text
        if not passing or waited_s > RELAUNCH_S:
            raise EmbeddedPostgresError(f"Postgres left while starting: {text}")
        time.sleep(0.1)

    def _last_words(self, lines: int) -> str:
        said = self._home.log.read_text(errors="replace").splitlines()[-lines:]
        return " / ".join(line.split("] ", 1)[-1] for line in said)  # without time and pid

    def _forget_stranger(self) -> None:
        """Drop a pid file whose number now belongs to another program (restarted containers).

        Postgres refuses to start then. Only when no process of the old server is left: the file
        also guards the shared memory of orphaned backends.
        """
        pid = self._home.noted_pid()
        if not LINUX or pid is None or not _is_alive(pid):
            return
        own_uid = self._account.uid if self._account else os.geteuid()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").readlink() == self._home.data:
                    return
            except PermissionError:
                with contextlib.suppress(OSError):
                    if process.stat().st_uid == own_uid:
                        return
            except OSError:
                continue
        (self._home.data / "postmaster.pid").unlink(missing_ok=True)

    def _launch(self) -> None:
        """Start the server process; whether it comes up is seen later."""
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._home.socket_dir),
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self._fsync:
            options |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self._home.log.open("ab") as log:
            self._child = self._start(
                ["postgres", "-D", str(self._home.data), "-p", str(PORT), *settings],
                log,
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )

    def _make_cluster(self, major: int) -> None:
        """Run initdb under another name and rename: a half-made cluster never looks real."""
        fresh = self._home.root / "data.init"
        shutil.rmtree(fresh, ignore_errors=True)
        locale = ["--locale=C.UTF-8" if LINUX else "--locale=C"]
        if major >= 17:  # its own C.UTF-8, whatever the machine has
            locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        sync = [] if self._fsync else ["--no-sync"]
        with self._home.log.open("ab") as log:
            made = self._start(
                [
                    *("initdb", "-D", str(fresh), "-U", "postgres", "-A", "trust", "-E", "UTF8"),
                    *(*locale, *sync, "--no-instructions"),
                ],
                log,
            ).wait()
        if made != 0:
            raise EmbeddedPostgresError(f"initdb failed: {self._last_words(5)}")
        mark = self._home.root / "no-fsync"
        mark.unlink(missing_ok=True) if self._fsync else mark.touch()
        fresh.rename(self._home.data)
        if self._fsync:  # else a power cut could bring the old name back, which is cleared away
            above = os.open(self._home.root, os.O_RDONLY)
            os.fsync(above)
            os.close(above)

    def _start(self, command: list[str], log: IO[bytes], **how: Any) -> subprocess.Popen[bytes]:
        """Start one of the binaries as the account that may run it."""
        return subprocess.Popen(
            [str(self._bin_dir / command[0]), *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=ENVIRONMENT,
            **self._as_account(),
            **how,
        )

    def _as_account(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {"user": self._account.uid, "group": self._account.gid, "extra_groups": []}

    def _may_run(self, path: Path) -> bool:
        """Whether the account can reach and execute that path."""
        if self._account is None:
            return True
        test = ["test", "-x", str(path)]
        ran = subprocess.run(test, cwd="/", env=ENVIRONMENT, check=False, **self._as_account())
        return ran.returncode == 0

    def _open_the_way(self) -> None:
        """Give the account its directories; the ones above `root` are never touched."""
        home, account = self._home, self._account
        if account is not None:
            for above in reversed(home.root.parents):
                if not self._may_run(above):
                    raise EmbeddedPostgresError(
                        f"Postgres has to run as {account.name}, who cannot enter {above}",
                        place=str(home.root),
                        next_step="name a directory elsewhere, such as /var/lib/zohosync, "
                        "or run as an ordinary user",
                    )
        with contextlib.suppress(FileExistsError):
            home.socket_dir.mkdir(mode=0o700)
        for place in {home.root, home.socket_dir}:
            found = place.lstat()
            allowed = {os.geteuid(), account.uid if account else os.geteuid()}
            if not stat.S_ISDIR(found.st_mode) or found.st_uid not in allowed:
                raise EmbeddedPostgresError(
                    "The directory belongs to another user",
                    place=str(place),
                    next_step="name another directory, or run as the user who made it",
                )
            place.chmod(0o700)
            if account is not None:
                os.chown(place, account.uid, account.gid)

    def _rotate_log(self) -> None:
        """Keep the log of the run before when it has grown, and give the account the new one."""
        log = self._home.log
        if log.exists() and log.stat().st_size > LOG_MAX_BYTES:
            log.rename(log.with_suffix(".log.1"))
        log.touch(mode=0o600)
        if self._account is not None:
            os.chown(log, self._account.uid, self._account.gid)

    def _major(self) -> int:
        said = subprocess.run(
            [str(self._bin_dir / "postgres"), "--version"],
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            check=True,
        ).stdout  # "postgres (PostgreSQL) 18.6 (Debian …)"
        return int(said.split("(PostgreSQL) ")[1].split(".")[0].split()[0])

    def _staged(self) -> Path:
        """Copy binaries that the account cannot reach (a venv under /root) beside the data."""
        install = self._bin_dir.parent  # <package>/pginstall, with <package>.libs beside it
        package = install.parent
        dist = self._home.root / "dist"
        seen = (self._bin_dir / "postgres").stat()
        mark = f"{self._bin_dir} {seen.st_size} {seen.st_mtime_ns}"
        if not (dist / "origin").exists() or (dist / "origin").read_text() != mark:
            fresh = self._home.root / "dist.init"
            for old in (fresh, dist):
                shutil.rmtree(old, ignore_errors=True)
            target = fresh / package.name / install.name
            shutil.copytree(install, target, ignore=shutil.ignore_patterns("include"))
            libs = package.with_name(package.name + ".libs")
            if libs.exists():
                shutil.copytree(libs, fresh / libs.name)
            for place in (fresh, target.parent):
                place.chmod(0o755)
            (fresh / "origin").write_text(mark)
            fresh.rename(dist)
        return dist / package.name / install.name / "bin"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)  # somebody else's, and alive
    return True


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux: have the kernel stop the child (fast shutdown) when its parent is killed."""
    if not LINUX:
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(1, int(signal.SIGINT), 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask
