"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file so that a reader, or a crash in between, sees the old contents or the new ones,
    never a part.

    The data go to a draft in the same folder, to the disk, and then replace the file. A symbolic
    link keeps pointing to its target; a pipe or a device such as ``/dev/stdout`` is written to
    directly.

    Raises:
        OSError: if the file cannot be written; it is unchanged then, and the draft is removed.
    """
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        with open(path, "wb") as device:
            device.write(data)
        return
    target = Path(os.path.realpath(path))
    draft = target.with_name(f"{target.name}.{os.urandom(4).hex()}.part")  # another writer's draft has another name
    try:
        with open(draft, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
