"""Writes files whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file whole or not at all.

    Readers see the old contents or the new ones, even after a crash.

    The data are written to a draft in the same folder and flushed to the disk; then the draft
    replaces the file. A symbolic link keeps pointing to its target. A pipe or a device such as
    ``/dev/stdout`` is written to directly.

    Raises:
        OSError: if the file cannot be written. The old file is then unchanged, and the draft is
            removed.
    """
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        with open(path, "wb") as device:
            device.write(data)
        return
    target = Path(os.path.realpath(path))
    draft = target.with_name(
        f"{target.name}.{os.urandom(4).hex()}.part"
    )  # the draft of another writer has a different name
    try:
        with open(draft, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
