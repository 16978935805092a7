"""Finds a Python with the TPU's compiler, or makes a virtual environment with it once."""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys

NO_COMPILER = 3  # the exit status without a compiler: neither success (0) nor a bar that does not hold (1)
PACKAGES = ("jax[tpu]>=0.10", "optax>=0.2.8", "numpy>=2.0", "lazy_loader>=0.4")  # 1 GB on disk, of which libtpu 0.7
SETTINGS = {
    "JAX_PLATFORMS": "cpu",  # programs are compiled for a TPU, but nothing runs on it
    "TPU_SKIP_MDS_QUERY": "1",  # otherwise libtpu queries the machine it is on
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # otherwise a second process fails because of a lock file
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5p-8",  # otherwise it warns that they are unknown
    "TPU_STDERR_LOG_LEVEL": "3",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
_INSIDE = "OPTAX_LRS_PODS_INSIDE"


class NoCompiler(RuntimeError):
    """There is no compiler for TPUs here. The message is the reason, in one line."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that locate the compiler."""
    parser.add_argument(
        "--python",
        type=pathlib.Path,
        help="a Python with jax[tpu] and optax to use instead of the environment in --cache",
    )
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "optax_lrs"
    parser.add_argument(
        "--cache",
        type=pathlib.Path,
        default=home,
        metavar="DIR",
        help="where the environment is created and kept (default: %(default)s)",
    )


def inside() -> bool:
    """Whether this process has the compiler."""
    return _INSIDE in os.environ


def run_there(args: argparse.Namespace, script: pathlib.Path, argv: list[str]) -> int:
    """Runs the script again in the environment.

    Its exit status, or NO_COMPILER after a line that says why.
    """
    try:
        python = _checked(args.python) if args.python else _made(args.cache / "pods")
    except NoCompiler as error:
        print(f"{script.name}: no TPU compiler: {error}", file=sys.stderr)
        return NO_COMPILER
    paths = [str(script.resolve().parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | SETTINGS | {_INSIDE: "1", "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run([python, script, *argv], env=env).returncode


def _made(folder: pathlib.Path) -> pathlib.Path:
    python = folder / "bin" / "python"
    if python.exists():
        try:
            return _checked(python)
        except NoCompiler:
            print(f"{folder} is incomplete: made again", file=sys.stderr)
    print(f"making {folder} with {', '.join(PACKAGES)}: a few minutes, once", file=sys.stderr)
    for command in (
        [sys.executable, "-m", "venv", "--clear", folder],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
    ):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            raise NoCompiler(f"{' '.join(str(word) for word in command[:4])} failed: {last[-1]}")
    return _checked(python)


def _checked(python: pathlib.Path) -> pathlib.Path:
    code = "import libtpu, jax, optax, lazy_loader"
    try:
        done = subprocess.run([python, "-c", code], env=os.environ | SETTINGS, capture_output=True, text=True)
    except OSError as error:
        raise NoCompiler(f"{python}: {error.strerror}") from None
    if done.returncode:
        last = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise NoCompiler(f"{python} -c '{code}': {last[-1]}")
    return python
