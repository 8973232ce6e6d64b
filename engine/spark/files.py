"""Every file system that Spark knows (hdfs://, s3a://, abfss://, file:), through the Hadoop classes of its driver."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any

from engine.batch.sources import SUFFIXES, State
from engine.errors import InputError, RunError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CHUNK = 256 * 1024
_HIDDEN = ("_", ".")


class SparkFiles:
    """A path without a scheme is of the file system that the cluster has by default (`fs.defaultFS`)."""

    def __init__(self, spark: SparkSession) -> None:
        self._java: Any = spark.sparkContext._jvm
        self._settings = spark.sparkContext._jsc.hadoopConfiguration()
        self._status = cache(self._asked)

    # ------------------------------------------------------------ as a listing needs it

    def is_folder(self, path: str) -> bool:
        """Whether it is a folder. Raises InputError: a path that no file system here has, or that may not be read."""
        status = self._status(path)
        return status is not None and bool(status.isDirectory())

    def below(self, folder: str) -> list[str]:
        """All files below, named as the caller names the folder."""
        root, system = self._at(folder)
        own = system.getFileStatus(root).getPath().toString().rstrip("/")
        found, held = [], system.listFiles(root, True)
        while held.hasNext():
            path = held.next().getPath().toString()
            if path.endswith(SUFFIXES):
                found.append(folder.rstrip("/") + path.removeprefix(own))
        return sorted(found)

    def state(self, path: str) -> State | None:
        """The state of a file. Raises InputError for one that Spark would pass over."""
        status = self._status(path)
        if status is None:
            return None
        whole = status.getPath().toString()
        if not status.isDirectory() and whole.rpartition("/")[2].startswith(_HIDDEN):
            raise InputError(f"`{path}`: Spark reads no file whose name begins with `_` or `.`: rename it")
        return State(whole, whole, status.getLen(), status.getModificationTime() * 1_000_000)

    def matches(self, pattern: str) -> list[str]:
        """What a pattern of Hadoop means (`*`, `?`, `[a-c]`, `{a,b}`)."""
        path, system = self._at(pattern)
        return sorted(status.getPath().toString() for status in system.globStatus(path) or ())

    def beside(self, file: str, name: str) -> str:
        return f"{file.rpartition('/')[0]}/{name}" if "/" in file else name

    def read(self, path: str) -> bytes:
        with self.open(path) as stream:
            return stream.read()

    # ------------------------------------------------------------ beyond it

    def open(self, path: str) -> io.BufferedReader:
        """The bytes of a file, to look at its beginning."""
        at, system = self._at(path)
        return io.BufferedReader(_Stream(self._java, system.open(at), system.getFileStatus(at).getLen()), _CHUNK)

    def write(self, path: str, content: bytes) -> None:
        """A new file."""
        at, system = self._at(path)
        system.setWriteChecksum(False)     # on a disk here it would be a file beside it
        stream = system.create(at, True)
        stream.write(bytearray(content))
        stream.close()

    def remove(self, path: str) -> None:
        """A file, or a folder with all that is in it, if it is there."""
        at, system = self._at(path)
        system.delete(at, True)

    def rename(self, old: str, new: str) -> None:
        """Gives a file or folder its name. Raises RunError."""
        at, system = self._at(old)
        if not system.rename(at, self._path(new)):
            raise RunError(f"`{new}` cannot be written: its file system refused the name")

    def _path(self, path: str) -> Any:
        try:
            return self._java.org.apache.hadoop.fs.Path(path)
        except Exception as error:         # of Java
            raise InputError(f"`{path}` is no path of a file system that Spark knows") from error

    def _at(self, path: str) -> tuple[Any, Any]:
        at = self._path(path)
        try:
            return at, at.getFileSystem(self._settings)
        except Exception as error:         # of Java: no class for the scheme, no credentials, no host
            raise InputError(f"`{path}`: Spark knows no such file system, or does not reach it") from error

    def _asked(self, path: str) -> Any:
        at, system = self._at(path)
        try:
            return system.getFileStatus(at)
        except Exception as error:
            if "FileNotFoundException" in str(getattr(error, "java_exception", error)):
                return None
            raise InputError(f"`{path}` cannot be read") from error


class _Stream(io.RawIOBase):
    """A stream of Java. Only so much is read as is there: an array of Java has its length before it is filled."""

    def __init__(self, java: Any, stream: Any, size: int) -> None:
        self._take = java.org.apache.commons.io.IOUtils.toByteArray
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self._left)
        if count:
            buffer[:count] = self._take(self._stream, count)
            self._left -= count
        return count

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
