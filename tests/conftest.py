"""Configures JAX for all tests before it starts, and keeps one test from affecting another.

The tests see eight CPU devices. Set ``JAX_COMPILATION_CACHE_DIR`` to keep what they compile for
the next run. Most of their time is compilation, so XLA generates code for them with its older
emitters, which are faster. Set ``OPTAX_LRS_OPTIMIZED=1`` to compile as users do.
"""

import collections
import gc
import os
import pathlib
import shutil
import sys

import pytest

# Without the emitters that build LLVM code through MLIR a compilation takes little more than half
# the time. The passes over HLO, which decide what is fused, and LLVM's optimizations stay the same:
# at LLVM's level 0 equal formulas in two programs would no longer have equal bits.
QUICK = "--xla_cpu_use_fusion_emitters=false"
if not os.environ.get("OPTAX_LRS_OPTIMIZED"):
    os.environ["XLA_FLAGS"] = f"{QUICK} {os.environ.get('XLA_FLAGS', '')}"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
if os.environ.get("JAX_COMPILATION_CACHE_DIR"):  # by default JAX keeps only what took a second to compile
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def pytest_addoption(parser):
    parser.addoption("--sample", type=int, default=1, metavar="N", help="run only every N-th case of each test")


def pytest_collection_modifyitems(config, items):
    """Keeps every N-th case of each test and at least one, for a quick check on a second Python."""
    every, seen, kept, left = config.getoption("--sample"), collections.Counter(), [], []
    for item in items:
        test = item.nodeid.split("[")[0]
        (left if seen[test] % every else kept).append(item)
        seen[test] += 1
    items[:] = kept
    config.hook.pytest_deselected(items=left)


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """The folders of ``checkpoint_folders.written``, once per session. Do not change them."""
    from matrices import checkpoint_folders

    return checkpoint_folders.written(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def folder(saved, tmp_path):
    """Copies one of the saved folders, for tests that change it."""
    return lambda name="live": pathlib.Path(shutil.copytree(saved / name, tmp_path / name))


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """pyplot keeps every figure until it is closed, and warns at the twenty-first."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="module", autouse=True)
def no_program_stays(request):
    """Frees what a module of tests compiled: gigabytes in a whole session."""
    yield
    if "jax" in sys.modules and "tests" in request.path.parts:
        sys.modules["jax"].clear_caches()
        gc.collect()
