"""examples/pretrain.py, run as a user runs it, with a model so small that a run takes seconds.

A run that is stopped or killed and then resumed is the same run, bit for bit, also with checkpoints
at other steps. A mesh and several processes change only the rounding. Bad input prints one line and
changes nothing.
"""

import json
import math
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import optax_lrs as olrs
import processes

pytest.importorskip("grain")
pytest.importorskip("tqdm")

SCRIPT = processes.ROOT / "examples" / "pretrain.py"
STEPS = 240
CONSTANT = "Constant(value=0.01)"
WSD = f"WSD(peak=0.01, total_steps={STEPS}, decay_steps=60, warmup_steps=12)"
TINY = "--width 32 --depth 1 --heads 4 --context 32 --batch-size 8 --eval-every 50 --eval-batches 2".split()
TIMEOUT = 900  # seconds; a run takes about 10 on an idle machine


@pytest.fixture(scope="module")
def example():
    """The modules of the example, imported for tests that need no separate process."""
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other packages, while they are imported
            import pretrain
        yield pretrain
    finally:
        sys.path.remove(str(SCRIPT.parent))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A little real text: forty modules of the standard library."""
    folder = tmp_path_factory.mktemp("corpus")
    for path in sorted(pathlib.Path(os.__file__).parent.glob("[a-d]*.py"))[:40]:
        shutil.copy(path, folder)
    return folder


def start(*arguments, **popen):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.Popen(
        command, env=processes.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen
    )


def finish(process, status=0):
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    assert process.returncode == status, err
    return out, err


def pretrain(corpus, out, *arguments, schedules=(CONSTANT, WSD), steps=STEPS, status=0):
    return finish(start(*command(corpus, out, *arguments, schedules=schedules, steps=steps)), status)


def command(corpus, out, *arguments, schedules=(CONSTANT, WSD), steps=STEPS):
    return ["--data", corpus, "--out", out, "--steps", steps, *TINY, *arguments, "--schedule", *schedules]


def wait_for_checkpoint(folder, running):
    """Waits for a complete checkpoint.

    Returns a function that lists the steps of all checkpoints.
    """

    def saved_steps():
        return [int(path.name) for path in (folder / "checkpoints").glob("*") if path.name.isdigit()]

    deadline = time.monotonic() + TIMEOUT
    while not saved_steps():
        assert all(process.poll() is None for process in running) and time.monotonic() < deadline
        time.sleep(0.01)
    return saved_steps


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def columns(folder):
    run = olrs.Run.read(folder / "run.npz")
    return {"losses": run.losses, "lrs": run.lrs, "val_losses": run.val_losses}


def assert_same_run(a, b):
    """Asserts the same record and the same final state, bit for bit."""
    records = columns(a), columns(b)
    for name in records[0]:
        np.testing.assert_array_equal(records[0][name], records[1][name], err_msg=name)
    states = final_state(a), final_state(b)
    assert states[0].keys() == states[1].keys()
    assert any("params" in key for key in states[0]) and any("mu" in key for key in states[0])
    for key in states[0]:
        np.testing.assert_array_equal(states[0][key], states[1][key], err_msg=key)


def final_state(folder):
    import jax
    import orbax.checkpoint as ocp

    last = max(int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit())
    path = (folder / "checkpoints" / str(last) / "state").absolute()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        handler = ocp.PyTreeCheckpointer()
        tree = handler.metadata(path).item_metadata.tree
        restored = handler.restore(
            path, restore_args=jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
        )
    return {jax.tree_util.keystr(key): leaf for key, leaf in jax.tree_util.tree_leaves_with_path(restored)}


@pytest.fixture(scope="module")
def straight(corpus, tmp_path_factory):
    """An uninterrupted run of two schedules, saved only at the end: (folder, printed text)."""
    out = tmp_path_factory.mktemp("straight") / "runs"
    printed, _ = pretrain(corpus, out, "--checkpoint-every", 10_000)
    return out, printed


# ── a whole run ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_records_are_complete(straight):
    out, _ = straight
    for name, text in [("constant", CONSTANT), ("wsd", WSD)]:
        run = olrs.Run.read(out / name / "run.npz")
        assert run.schedule == olrs.parse(text)
        np.testing.assert_array_equal(run.steps, np.arange(STEPS))
        assert np.isfinite(run.losses).all()
        np.testing.assert_allclose(run.lrs, run.schedule.at(run.steps), rtol=1e-6)
        seen = {49, 99, 149, 199, STEPS - 1}  # after every 50 updates, and at the end
        assert set(np.flatnonzero(np.isfinite(run.val_losses))) == seen
        assert run.notes["seed"] == 0 and run.notes["model"]["width"] == 32


@pytest.mark.slow
def test_it_learns_and_reports_it(straight):
    out, printed = straight
    lines = [line.split() for line in printed.splitlines()]
    entropy = next(float(line[2]) for line in lines if line[:2] == ["unigram", "entropy"] and len(line) == 3)
    ends = {line[0]: float(line[1]) for line in lines if line[0] in ("constant", "wsd")}
    for name, end in ends.items():
        run = olrs.Run.read(out / name / "run.npz")
        assert end == pytest.approx(run.val_losses[-1], abs=1e-4)
        assert entropy == pytest.approx(run.notes["unigram_entropy"], abs=1e-4)
        assert end < entropy - 0.3
    assert (out / "pretrain.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def short(corpus, tmp_path_factory):
    """Two schedules with the same rates, 30 steps on a mesh of eight devices: the folder."""
    out = tmp_path_factory.mktemp("short")
    mesh = "--virtual-devices", 8, "--mesh", "data=4,model=2"
    same = f"WSD(peak=0.01, total_steps={STEPS}, decay_steps=0)"
    pretrain(corpus, out, *mesh, schedules=(CONSTANT, same), steps=30)
    return out


@pytest.mark.slow
def test_schedules_share_parameters_and_data(straight, short):
    out, _ = straight
    constant, wsd = (olrs.Run.read(out / name / "run.npz") for name in ("constant", "wsd"))
    assert constant.losses[0] == pytest.approx(wsd.losses[0], rel=1e-6)
    # The first update of this WSD has rate zero, so the second loss is that of the second batch at
    # the first parameters.
    assert wsd.losses[1] != wsd.losses[0]
    # Two schedules with the same rates give the same run under any name.
    constant, same = (olrs.Run.read(short / name / "run.npz") for name in ("constant", "wsd"))
    np.testing.assert_allclose(same.losses, constant.losses, rtol=1e-4)


@pytest.mark.slow
def test_finished_runs_are_not_run_again(straight, corpus, tmp_path):
    """With --overwrite they are, and another seed gives another run."""
    out = tmp_path / "runs"
    shutil.copytree(straight[0], out)
    before = {path: seen for path, seen in snapshot(out).items() if path.name != "pretrain.png"}
    printed, _ = pretrain(corpus, out, "--resume")
    after = snapshot(out)
    assert {path: after[path] for path in before} == before
    assert printed.count("finished before") == 2

    pretrain(corpus, out, "--overwrite", "--seed", 1, schedules=(CONSTANT,), steps=20)
    other = olrs.Run.read(out / "constant" / "run.npz")
    assert len(other.steps) == 20
    constant = olrs.Run.read(straight[0] / "constant" / "run.npz")
    assert np.isclose(other.losses, constant.losses[:20], rtol=1e-3).mean() < 0.5
    assert {path: seen for path, seen in snapshot(out / "wsd").items()} == {
        path: seen for path, seen in before.items() if path.is_relative_to(out / "wsd")
    }


# ── stopped, killed, resumed ──────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_interrupted_and_resumed_is_the_same_run(straight, corpus, tmp_path, number):
    arguments = "--checkpoint-every", 20
    process = start(*command(corpus, tmp_path, *arguments))
    saved_steps = wait_for_checkpoint(tmp_path / "wsd", [process])  # of the second schedule
    process.send_signal(number)
    status = 128 + number if number == signal.SIGTERM else -number
    printed, err = finish(process, status)
    assert "Traceback" not in err
    assert 0 < max(saved_steps()) < STEPS and not (tmp_path / "wsd" / "run.npz").exists()
    if number == signal.SIGTERM:
        assert "--resume" in printed.splitlines()[-1]

    first = snapshot(tmp_path / "constant")
    pretrain(corpus, tmp_path, *arguments, "--resume")
    assert snapshot(tmp_path / "constant") == first
    for name in ("constant", "wsd"):
        assert_same_run(tmp_path / name, straight[0] / name)


# ── meshes and processes ──────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_mesh_changes_only_the_rounding(straight, short):
    losses = columns(short / "constant")["losses"]
    np.testing.assert_allclose(losses, columns(straight[0] / "constant")["losses"][:30], rtol=1e-3)


@pytest.mark.slow
def test_two_processes_agree_stop_together_and_resume_as_one(straight, corpus, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    together = "--distributed", "--coordinator", f"127.0.0.1:{port}", "--num-processes", 2, "--virtual-devices", 2
    saving = "--checkpoint-every", 20
    running = [
        start(*command(corpus, tmp_path, *saving, *together, "--process-id", i, schedules=(CONSTANT,))) for i in (0, 1)
    ]
    saved_steps = wait_for_checkpoint(tmp_path / "constant", running)
    running[1].send_signal(signal.SIGTERM)  # to only one of them
    (printed, _), (silent, _) = [finish(process, 128 + signal.SIGTERM) for process in running]
    assert "mesh data=4, model=1" in printed and "--resume" in printed.splitlines()[-1]
    by_gloo = ("[Gloo]", "peer ranks")  # its C++ threads write into each other's lines
    assert [line for line in silent.splitlines() if not any(word in line for word in by_gloo)] == []
    assert 0 < max(saved_steps()) < STEPS

    pretrain(corpus, tmp_path, *saving, "--resume", schedules=(CONSTANT,))
    losses, expected = (columns(folder / "constant")["losses"] for folder in (tmp_path, straight[0]))
    np.testing.assert_allclose(losses[:20], expected[:20], rtol=1e-3)
    np.testing.assert_allclose(
        losses[-20:].mean(), expected[-20:].mean(), rtol=0.03
    )  # rounding errors have grown by then


@pytest.mark.slow
def test_parameters_and_moments_are_sharded_and_stay_so(example):
    import jax
    from training import sharded_step
    from training.transformer import Size

    if jax.device_count() != 8:
        pytest.skip("needs the eight devices of conftest.py")
    mesh = sharded_step.make_mesh({"data": 4, "model": 2})
    with jax.set_mesh(mesh):
        model = sharded_step.Model(Size(width=32, depth=1, heads=4, context=16), mesh, seed=0)
        training = sharded_step.make_training(model, olrs.parse(WSD), steps=4)
        state = training.init()
        batch = sharded_step.put_batch(mesh, np.ones((8, 17), np.uint8), 8)
        for step in range(3):
            state, loss, lr = training.step(state, step, batch)
        assert training.step._cache_size() == 1
    assert np.isfinite(float(loss)) and float(lr) == pytest.approx(0.01 * 2 / 12)
    adam = next(part for part in state.opt_state if hasattr(part, "mu"))
    for tree in (state.params, adam.mu, adam.nu):
        for leaf in jax.tree.leaves(tree):
            share = math.prod(leaf.addressable_shards[0].data.shape) / leaf.size
            # The embedding has no `model` axis; scales are one row on each device.
            assert share == {1: 1, 2: 1 / 8, 3: 1 / 8, 4: 1 / 8}[leaf.ndim] or (
                leaf.shape == (256, 32) and share == 1 / 4
            )
    for leaf in jax.tree.leaves((state.opt_state[-1], state.record)):
        assert leaf.is_fully_replicated


# ── data ──────────────────────────────────────────────────────────────────────────────────────────


def test_batches_do_not_depend_on_who_reads_them(example, corpus):
    from training.byte_text import read_text, training_batches

    text = read_text([str(corpus)])
    options = dict(context=32, batch_size=8, seed=3)
    whole = training_batches(text, **options, rows=range(8))
    halves = [training_batches(text, **options, rows=rows) for rows in (range(4), range(4, 8))]
    for _ in range(3):
        np.testing.assert_array_equal(next(whole), np.concatenate([next(half) for half in halves]))
    position = json.loads(json.dumps(whole.get_state()))
    expected = [next(whole) for _ in range(3)]
    again = training_batches(text, **options, rows=range(8))
    again.set_state(position)
    for batch in expected:
        np.testing.assert_array_equal(next(again), batch)


def test_every_file_is_in_one_split(example, corpus):
    from training.byte_text import read_text

    text = read_text([str(corpus)])
    train, validation = text.train.tobytes(), text.validation.tobytes()
    for path in corpus.iterdir():
        assert (path.read_bytes() in train) != (path.read_bytes() in validation), path
    assert 0.05 <= len(validation) / (len(train) + len(validation)) < 0.5


def test_unigram_entropy_and_a_single_file(example, tmp_path):
    from training.byte_text import read_text

    (tmp_path / "one.txt").write_text("abcd" * 1000)
    text = read_text([str(tmp_path / "one.txt")])
    assert len(text.train) == 3801 and len(text.validation) == 200
    assert text.unigram_entropy() == pytest.approx(math.log(4), rel=0.02)


def test_a_damaged_checkpoint_is_named_or_passed_over(example, tmp_path):
    import jax.numpy as jnp

    schedule, state = olrs.parse(WSD), {"w": jnp.ones(3)}
    make = lambda **options: example.RunFolder(tmp_path, {}, schedule=schedule, **options)  # noqa: E731
    folder = make()
    for step in (20, 40):
        folder.save(step, state, {"batch": step})
    folder.close()
    assert make().restore(state)[::2] == (40, {"batch": 40})
    (tmp_path / "checkpoints" / "40" / "position" / "metadata").write_text('{"batch": 41}')
    with pytest.raises(olrs.checkpoint.CheckpointError, match="checkpoints, step 40: position/metadata is damaged"):
        make().restore(state)
    with pytest.warns(UserWarning, match="fell back to step 20 from step 40"):
        assert make(fallback=True).restore(state)[::2] == (20, {"batch": 20})


# ── arguments ─────────────────────────────────────────────────────────────────────────────────────


def test_schedules_from_reprs_and_files(example, tmp_path):
    other = olrs.parse(WSD.replace("decay_steps=60", "decay_steps=30"))
    (tmp_path / "other.json").write_text(other.to_json())
    options = example.arguments(["--schedule", WSD, CONSTANT, "--schedule-file", str(tmp_path / "other.json")])
    chosen = example.chosen_schedules(options)
    assert chosen == {"wsd": olrs.parse(WSD), "constant": olrs.parse(CONSTANT), "wsd-2": other}


def test_default_schedules_differ_only_in_their_decay(example):
    chosen = example.chosen_schedules(example.arguments(["--steps", "400"]))
    assert list(chosen) == ["constant", "cosine", "wsd"]
    for schedule in chosen.values():
        assert schedule.at(10) == pytest.approx(example.PEAK / 2) and schedule.at(20) == example.PEAK
    assert [schedule.at(399) < example.PEAK / 50 for schedule in chosen.values()] == [False, True, True]


# ── bad input ─────────────────────────────────────────────────────────────────────────────────────

BAD = {
    "unknown schedule": (["--schedule", "WDS(peak=1.0)"], "WDS"),
    "bad field": (["--schedule", "WSD(peak=1.0, total_steps=10, decay_steps=20)"], "20"),
    "not a schedule": (["--schedule", "import os"], "import os"),
    "missing schedule file": (["--schedule-file", "{tmp}/nowhere.json"], "nowhere.json"),
    "schedule file of something else": (["--schedule-file", "{tmp}/prose.txt"], "prose.txt"),
    "missing path": (["--data", "{tmp}/nowhere"], "nowhere: no such file"),
    "empty folder": (["--data", "{tmp}/empty"], "empty: an empty folder"),
    "binary file": (["--data", "{tmp}/binary.dat"], "binary.dat: not a text file"),
    "binary folder": (["--data", "{tmp}/binaries"], "only binary files"),
    "too little text": (["--data", "{tmp}/prose.txt"], "too little text"),
    "mesh too large": (["--mesh", "data=64,model=2"], "takes 128 devices"),
    "mesh of unknown axes": (["--mesh", "rows=8"], "rows=8"),
    "batch does not fit the mesh": (["--batch-size", "6"], "--batch-size 6"),
    "heads do not fit the mesh": (["--mesh", "data=1,model=8"], "--heads 4"),
    "width does not fit the heads": (["--width", "30"], "width 30"),
    "no steps": (["--steps", "0"], "--steps"),
    "not a number": (["--steps", "many"], "many"),
    "unknown flag": (["--stepps", "3"], "--stepps"),
    "a run is there": ([], "--resume"),
    "another model": (["--resume", "--width", "64"], "model.width is 32 there and 64 here"),
    "another schedule": (["--resume", "--schedule", "Constant(value=0.5)"], "value=0.01"),
    "another seed": (["--resume", "--seed", "7"], "seed is 0 there and 7 here"),
    "other text": (["--resume", "--data", "{tmp}/words"], "text is"),
    "something else is there": (["--overwrite", "--schedule", "Cosine(peak=1.0, total_steps=9)"], "not a run"),
    "out is a file": (["--out", "{tmp}/prose.txt"], "is a file"),
    "half a cluster": (["--process-id", "1"], "need --distributed"),
    "resume and overwrite": (["--resume", "--overwrite"], "--overwrite"),
    "fallback alone": (["--fallback"], "--fallback needs --resume"),
}


@pytest.fixture
def bad_place(tmp_path, corpus, example):
    """A folder with every kind of problem, and an unfinished run with the usual settings."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "binaries").mkdir()
    (tmp_path / "words").mkdir()
    (tmp_path / "prose.txt").write_text("Call me Ishmael.")
    (tmp_path / "words" / "many.txt").write_text("Call me Ishmael. " * 1000)
    for path in ("binary.dat", "binaries/a.bin"):
        (tmp_path / path).write_bytes(bytes(range(256)))
    out = tmp_path / "runs"
    plan = example.make_plan(example.arguments(list(map(str, command(corpus, out, schedules=(CONSTANT,))))))
    plan.folders["constant"].claim(overwrite=False)
    (out / "cosine").mkdir()
    (out / "cosine" / "thesis.tex").write_text("years of work")
    return tmp_path


@pytest.mark.parametrize("case", BAD)
def test_bad_input_costs_one_line(example, corpus, bad_place, capsys, case):
    arguments, words = BAD[case]
    arguments = [argument.format(tmp=bad_place) for argument in arguments]
    schedules = () if any(argument.startswith("--schedule") for argument in arguments) else ("--schedule", CONSTANT)
    before = snapshot(bad_place)
    try:
        usual = ["--data", corpus, "--out", bad_place / "runs", "--steps", STEPS, *TINY]
        status = example.main([*map(str, usual), *arguments, *schedules])
    except SystemExit as exit:
        status = exit.code
    printed = capsys.readouterr()
    assert status == 2
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1 and printed.err.startswith("pretrain.py: error: ")
    assert words in printed.err
    assert snapshot(bad_place) == before


@pytest.mark.slow
def test_bad_input_and_help_from_the_shell(corpus, tmp_path):
    out, err = pretrain(corpus, tmp_path / "runs", "--mesh", "data=3", status=2)
    assert out == "" and len(err.splitlines()) == 1 and "data=3" in err
    assert not (tmp_path / "runs").exists()
    out, err = finish(start("--help"))
    assert err == ""
    for flag in ("--schedule", "--resume", "--mesh", "--virtual-devices", "--distributed"):
        assert flag in out
