"""The environment of the Python processes that tests start."""

import functools
import os
import pathlib
import tempfile

ROOT = pathlib.Path(__file__).parents[1]
DEVICES = "--xla_force_host_platform_device_count=8"  # of conftest.py; a child chooses its own number


@functools.cache
def compiled():
    """A compilation cache for all children of this session, deleted at its end."""
    return tempfile.TemporaryDirectory(prefix="compiled")


def environment():
    """This process's environment with one CPU device and a compilation cache."""
    mine = {key: value for key, value in os.environ.items() if key != "PYTHONWARNINGS"}
    mine["XLA_FLAGS"] = mine.get("XLA_FLAGS", "").replace(DEVICES, "")
    mine |= {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    if "JAX_COMPILATION_CACHE_DIR" not in mine:
        mine |= {
            "JAX_COMPILATION_CACHE_DIR": compiled().name,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
    return mine
