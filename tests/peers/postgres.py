"""PostgreSQL with full durability, as a child of the test, which may kill it and start it again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peers.build import MissingError
from peers.server import Server, as_user, free_port

USER = "nobody"  # the server refuses to be root
ROLE = "endplate"
PROGRAMS = ("initdb", "postgres", "pg_isready", "psql", "createdb", "dropdb")


def programs() -> Path:
    """The folder of initdb and postgres, which distributions keep out of the path. Raises MissingError."""
    places = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise MissingError("needs `postgres` (PostgreSQL's server)")


class Postgres:
    """A cluster of databases."""

    def __init__(self, folder: Path, port: int, server: Server) -> None:
        self.folder = folder
        self.port = port
        self.server = server

    def url(self, database: str = "postgres", driver: str = "") -> str:
        """The address of a database, with the driver that SQLAlchemy is to use."""
        return f"postgresql{f'+{driver}' if driver else ''}://{ROLE}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, driver: str = "") -> str:
        """A new, empty database; its address."""
        self.run("createdb", database)
        return self.url(database, driver)

    def drop(self, database: str) -> None:
        self.run("dropdb", "--force", "--if-exists", database)

    def query(self, sql: str, database: str = "postgres") -> str:
        """What psql prints: rows as lines, columns between `|`."""
        return self.run("psql", "--no-psqlrc", "--tuples-only", "--no-align", "-c", sql, database)

    def run(self, program: str, *arguments: str) -> str:
        """A client program of PostgreSQL on this cluster."""
        command = [str(programs() / program), "-h", "127.0.0.1", "-p", str(self.port), "-U", ROLE, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self) -> None:
        self.server.start(60)

    def stop(self) -> None:
        self.server.stop()

    def kill(self) -> None:
        """kill -9 of the whole cluster: what was committed must be there after start()."""
        self.server.kill()


@contextmanager
def own_postgres(*options: str) -> Iterator[Postgres]:
    """A new cluster, gone afterwards. Options are settings: `max_connections=20`. Raises MissingError."""
    place, port = programs(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="endplate-postgres-"))  # temporary folders of tests are closed to other users
    account = as_user(USER)
    try:
        if account:
            os.chown(folder, account["user"], account["group"])
        data = folder / "data"
        initdb = [
            str(place / "initdb"), "-D", str(data), "-U", ROLE, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
            "--no-sync",
        ]  # fmt: skip
        subprocess.run(initdb, check=True, capture_output=True, stdin=subprocess.DEVNULL, **account)
        settings = ("listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=on", *options)
        command = [str(place / "postgres"), "-D", str(data), "-p", str(port)]
        command += [part for setting in settings for part in ("-c", setting)]
        ready = [str(place / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]

        def probe() -> bool:
            return subprocess.run(ready, check=False).returncode == 0

        server = Server(command, folder, probe=probe, stop=signal.SIGINT, user=USER)
        postgres = Postgres(folder, port, server)
        try:
            postgres.start()
            yield postgres
        finally:
            server.stop(how=signal.SIGQUIT)  # at once: nobody reads it any more
    finally:
        shutil.rmtree(folder, ignore_errors=True)
