"""Eight CPU devices for the tests that shard, set before JAX starts."""

import collections
import os
import pathlib
import shutil
import sys

import pytest

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")


def pytest_addoption(parser):
    parser.addoption("--sample", type=int, default=1, metavar="N", help="of each test's cases only every N-th")


def pytest_collection_modifyitems(config, items):
    """Every N-th case of each test, and so every test at least once: for a second Python, in a fraction of the time."""
    every, seen, kept, left = config.getoption("--sample"), collections.Counter(), [], []
    for item in items:
        test = item.nodeid.split("[")[0]
        (left if seen[test] % every else kept).append(item)
        seen[test] += 1
    items[:] = kept
    config.hook.pytest_deselected(items=left)


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """The folders of ``checkpoint_folders.written``: once for all files that look at them."""
    from matrices import checkpoint_folders

    return checkpoint_folders.written(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of one of them, to be damaged."""
    return lambda name="live": pathlib.Path(shutil.copytree(saved / name, tmp_path / name))


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """pyplot keeps every figure until it is closed, and warns at the twenty-first."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
