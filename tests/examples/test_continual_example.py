"""examples/continual.py, run as a user runs it, with a model so small that an arm takes a second.

Replay has its share on any number of processes. Each arm continues exactly where pre-training
ended. A run that is killed and resumed is the same run, bit for bit. Bad input prints one line and
changes nothing.
"""

import csv
import json
import os
import pathlib
import shutil
import signal
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

SCRIPT = processes.ROOT / "examples" / "continual.py"
AT, NEW = 24, 20
TINY = (
    f"--width 16 --depth 1 --heads 2 --context 16 --batch-size 8 --steps {AT} --new-steps {NEW} "
    "--eval-batches 2 --eval-every 5 --checkpoint-every 8"
).split()
ARMS = ["constant low rate", "re-warm, 25% replay"]
TIMEOUT = 900  # seconds; a run takes about 6 on an idle machine


@pytest.fixture(scope="module")
def example():
    """The modules of the example, imported for tests that need no separate process."""
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other packages, while they are imported
            import continual
        yield continual
    finally:
        sys.path.remove(str(SCRIPT.parent))


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """An old text, modules of the standard library, and a new one, licenses."""
    place = tmp_path_factory.mktemp("texts")
    for name, pattern, count in (("old", "[a-c]*.py", 12), ("new", "[s-u]*.py", 12)):
        (place / name).mkdir()
        for path in sorted(pathlib.Path(os.__file__).parent.glob(pattern))[:count]:
            shutil.copy(path, place / name)
    return place


@pytest.fixture
def quick_compiler():
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def command(texts, out, *arguments, arms=ARMS):
    usual = ["--data", texts / "old", "--new", texts / "new", "--out", out, *TINY]
    return [*map(str, [*usual, *arguments]), "--arms", *arms]


def start(*arguments):
    environment = processes.environment() | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process, status=0):
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    assert process.returncode == status, err
    assert "Traceback" not in err
    return out, err


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ── a whole run ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def straight(texts, tmp_path_factory):
    """An uninterrupted run: (folder, printed text)."""
    out = tmp_path_factory.mktemp("straight") / "runs"
    return out, finish(start(*command(texts, out)))[0]


@pytest.mark.slow
def test_the_printed_table_matches_the_records(straight):
    out, printed = straight
    with open(out / "table.csv", newline="") as file:
        rows = {
            row["arm"]: {key: float(row[key]) for key in ("old", "new", "average", "forgotten")}
            for row in csv.DictReader(file)
        }
    assert list(rows) == ["pre-trained", *ARMS]
    for name, row in rows.items():
        line = next(line for line in printed.splitlines() if line.startswith(f"{name}  "))
        assert [float(cell) for cell in line.removeprefix(name).split()] == pytest.approx(list(row.values()), abs=6e-5)
        assert row["average"] == pytest.approx((row["old"] + row["new"]) / 2)
        assert row["forgotten"] == pytest.approx(row["old"] - rows["pre-trained"]["old"], abs=1e-9)
    assert (out / "continual.png").read_bytes().startswith(b"\x89PNG")

    replayed = olrs.Run.read(out / "new" / "re-warm-25-replay" / "run.npz")
    np.testing.assert_array_equal(replayed.steps, np.arange(AT, AT + NEW))
    np.testing.assert_allclose(replayed.lrs, replayed.schedule.at(replayed.steps), rtol=1e-6)
    assert np.isfinite(replayed.losses).all()
    looks = replayed.notes["validation"]
    assert [done for done, _, _ in looks] == [AT, 25, 30, 35, 40, AT + NEW]
    # Before the first update it is the pre-trained model, bit for bit.
    assert looks[0][1:] == [rows["pre-trained"]["old"], rows["pre-trained"]["new"]]
    assert looks[-1][1:] == [rows[ARMS[1]]["old"], rows[ARMS[1]]["new"]]
    assert rows[ARMS[1]]["new"] < rows[ARMS[0]]["new"] < rows["pre-trained"]["new"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL])
def test_killed_and_resumed_is_the_same_run(straight, texts, tmp_path, number):
    out = tmp_path / "runs"
    shutil.copytree(straight[0] / "pretrain", out / "pretrain")
    process = start(*command(texts, out, "--resume"))
    checkpoints = out / "new" / "re-warm-25-replay" / "checkpoints"
    deadline = time.monotonic() + TIMEOUT
    while not any(path.name.isdigit() for path in checkpoints.glob("*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(number)
    finish(process, -number)
    assert not (out / "new" / "re-warm-25-replay" / "run.npz").exists()
    first = snapshot(out / "new" / "constant-low-rate")

    printed, _ = finish(start(*command(texts, out, "--resume")))
    assert snapshot(out / "new" / "constant-low-rate") == first
    assert (out / "table.csv").read_text() == (straight[0] / "table.csv").read_text()
    for name in ("constant-low-rate", "re-warm-25-replay"):
        runs = [olrs.Run.read(folder / "new" / name / "run.npz") for folder in (straight[0], out)]
        for column in ("steps", "losses", "lrs", "val_losses"):
            np.testing.assert_array_equal(getattr(runs[0], column), getattr(runs[1], column), err_msg=column)
        assert runs[0].notes == runs[1].notes
    assert printed.splitlines()[-1].startswith("picture: ")


# ── where it continues from ───────────────────────────────────────────────────────────────────────


def test_arms_continue_from_their_pre_training_run(example):
    from new_data.arms import arms, beginnings

    begun = beginnings(0.01, 600)
    found = arms(begun, peak=0.01, at=600, steps=300)
    before, end = np.arange(600), 899
    for name, arm in found.items():
        lrs = arm.schedule.at(np.arange(901))
        if arm.start is None:
            assert arm.replay == pytest.approx(2 / 3)  # as many old and as many new tokens as the others
            continue
        np.testing.assert_array_equal(lrs[before], begun[arm.start].at(before), err_msg=name)
        assert lrs.max() == pytest.approx(0.01) and (lrs[600:] <= 0.01).all()
        if name == "merged":
            assert (lrs[600:] == 0.01).all()
        elif name != "constant low rate":
            assert lrs[end] < 0.0012
    rates = found["repeated cosine"].schedule.at(np.arange(600, 900))
    assert rates[1:3].max() == rates[151:153].max() == pytest.approx(0.01) and rates[149] < 0.0011
    assert [arm.replay for name, arm in found.items() if name.startswith("re-warm")] == [0, 0.01, 0.05, 0.25]
    # The infinite schedule and the WSD branch do not jump where the new data begin.
    for name in ("infinite", "WSD branch", "constant low rate"):
        lrs = found[name].schedule.at(np.arange(598, 603))
        assert np.ptp(lrs) < 1e-6


def test_a_schedule_that_ended_at_zero_continues_at_a_tenth(example):
    from new_data.arms import arms, beginnings

    begun = beginnings(0.01, 600) | {"annealed": olrs.Cosine(peak=0.01, total_steps=600)}
    low = arms(begun, peak=0.01, at=600, steps=300)["constant low rate"].schedule
    np.testing.assert_allclose(low.at([600, 700, 899]), 0.001)


def test_runs_of_pretrain_are_told_apart(example):
    from new_data.begin import part

    kinds = {
        "annealed": [olrs.Cosine(peak=1.0, total_steps=100), olrs.WSD(peak=1.0, total_steps=100, decay_steps=20)],
        "stable": [olrs.Constant(value=0.1), olrs.WSD(peak=1.0, total_steps=100, decay_steps=0, warmup_steps=5)],
        "plateau": [olrs.Infinite(peak=1.0, plateau=0.5, cooldown_steps=50)],
        None: [olrs.Cosine(peak=1.0, total_steps=1000)],  # in its middle it is neither
    }
    for kind, schedules in kinds.items():
        assert [part(schedule, 100) for schedule in schedules] == [kind] * len(schedules)


@pytest.mark.slow
def test_a_folder_of_pretrain_is_used(example, straight, texts, tmp_path):
    usual = command(texts, tmp_path / "runs", arms=["WSD branch", "infinite"])
    usual = [word for word in usual if word not in TINY] + "--eval-batches 2".split()
    options = example.arguments([*usual, "--from", str(straight[0] / "pretrain"), "--new-steps", "30"])
    plan = example.make_plan(options)
    assert plan.before.size.width == 16 and plan.before.steps == AT and plan.total_steps == AT + 30
    assert set(plan.before.schedules) == {"stable", "plateau"}  # the other one exists
    assert plan.begun["annealed"].folder.path == straight[0] / "pretrain" / "annealed"
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_continuing_equals_longer_pre_training(example, texts, quick_compiler):
    """With the same data and rate the updates are the same, Adam's moments and counts included."""
    import jax
    from jax.sharding import AxisType
    from new_data.loop import RECORDER
    from new_data.step import Continuation
    from training.byte_text import read_text, training_batches
    from training.sharded_step import Model, make_training, put_batch
    from training.transformer import Size

    lr = olrs.Linear(peak=0.01, total_steps=40, warmup_steps=3)
    size = Size(width=16, depth=1, heads=2, context=16)
    mesh = jax.make_mesh((1, 1), ("data", "model"), devices=jax.devices()[:1], axis_types=(AxisType.Auto,) * 2)
    text = read_text([str(texts / "old")])
    batches = training_batches(text, context=16, batch_size=4, seed=0, rows=range(4))
    with jax.set_mesh(mesh):
        model = Model(size, mesh, 0)
        before, after = make_training(model, lr, 20), Continuation(model, 20)
        state = before.init()
        for step in range(6):
            state, _, _ = before.step(state, step, put_batch(mesh, next(batches), 4))
        other = after.begin(lr, state, drop=RECORDER)
        for step in range(6, 12):
            batch = put_batch(mesh, next(batches), 4)
            state, loss, rate = before.step(state, step, batch)
            other, other_loss, other_rate = after.step(other, step + 1, batch)
            assert float(loss) == pytest.approx(float(other_loss), rel=1e-5)
            assert float(rate) == pytest.approx(float(other_rate), rel=1e-6) == pytest.approx(lr.at(step), rel=1e-6)
        for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(other.params), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
            assert a.sharding == b.sharding
        assert after.step._cache_size() == 1
        other = after.begin(olrs.Constant(value=0.5), state, drop=RECORDER)  # another schedule, the same program
        after.step(other, 13, batch)
        assert after.step._cache_size() == 1


def test_merging_takes_the_mean_of_the_last_checkpoints(example, tmp_path):
    """Also if a killed run passes the same steps again."""
    import types

    import jax.numpy as jnp
    from new_data.arms import Arm
    from new_data.loop import Merging

    arm = Arm(olrs.Constant(value=0.1), "stable", merge_steps=40)
    job = types.SimpleNamespace(arm=arm, end=100, folder=types.SimpleNamespace(path=tmp_path))
    path = {done: np.random.default_rng(done).normal(size=3) for done in range(101)}
    for first, last in ((51, 76), (70, 101)):
        merging = Merging(job)
        for done in range(first, last):
            merging.look(done, {"w": jnp.asarray(path[done], jnp.float32)})
        merging.close()
    assert merging.steps == merging.checkpoints.steps() == list(range(64, 101, 4))
    mean = merging.mean({"w": jnp.zeros(3)})["w"]
    np.testing.assert_allclose(mean, np.mean([path[done] for done in range(64, 101, 4)], axis=0), rtol=1e-5, atol=1e-7)
    Merging.clear(job.folder)
    assert Merging(job).checkpoints.steps() == []
    assert Merging(types.SimpleNamespace(arm=Arm(arm.schedule), end=100, folder=job.folder)).steps == []


# ── data ──────────────────────────────────────────────────────────────────────────────────────────


def two_texts():
    from training.byte_text import ByteText

    # Each byte identifies its text. Windows begin at multiples of the context, so bytes count them.
    return [
        ByteText(np.full(n, value, np.uint8), np.zeros(9, np.uint8), str(value), str(value))
        for n, value in ((5_001, 0), (7_001, 1))
    ]


@pytest.mark.parametrize("replay", [0.0, 0.01, 0.05, 0.25, 0.5, 2 / 3, 1.0])
def test_replay_has_its_share(example, replay):
    from new_data.data import mixed_batches

    batches = mixed_batches(*two_texts(), replay=replay, context=10, batch_size=8, seed=0, rows=range(8))
    is_old = np.concatenate([next(batches)[:, 0] == 0 for _ in range(250)])
    counts, n = np.cumsum(is_old), np.arange(1, 2001)
    assert np.abs(counts - n * replay).max() < 1 + 1e-3
    if replay < 1:  # evenly spread: in any hundred consecutive ones
        assert np.abs(counts[100:] - counts[:-100] - 100 * replay).max() < 1 + 1e-3


def test_mixed_batches_resume_split_and_differ_by_seed(example, texts):
    from new_data.data import mixed_batches
    from training.byte_text import read_text

    old, new = (read_text([str(texts / name)]) for name in ("old", "new"))

    def batches(seed=3, rows=range(8)):
        return mixed_batches(old, new, replay=0.25, context=32, batch_size=8, seed=seed, rows=rows)

    whole, halves = batches(), [batches(rows=rows) for rows in (range(4), range(4, 8))]
    for _ in range(3):
        np.testing.assert_array_equal(next(whole), np.concatenate([next(half) for half in halves]))
    position = json.loads(json.dumps(whole.get_state()))
    expected = [next(whole) for _ in range(3)]
    again = batches()
    again.set_state(position)
    for batch in expected:
        np.testing.assert_array_equal(next(again), batch)
    assert not np.array_equal(next(batches(seed=3)), next(batches(seed=4)))
    # Each window is from one text; none crosses the boundary.
    found = np.concatenate([next(again) for _ in range(50)])
    sources = [text.train.tobytes() for text in (old, new)]
    assert all(any(row.tobytes() in source for source in sources) for row in found)


def test_the_shifts_of_this_machine(example):
    from new_data.data import LEAST, SHIFTS, new_text

    found = {shift: new_text(shift) for shift in SHIFTS}
    for text in found.values():
        assert len(text.train) + len(text.validation) >= LEAST and len(text.validation) > 10_000
    assert "installed packages" in found["weak"].source
    assert found["weak"].fingerprint != found["strong"].fingerprint
    assert new_text("strong").fingerprint == found["strong"].fingerprint


def test_a_machine_without_texts_is_an_error(example, monkeypatch, tmp_path):
    from new_data import data as continual_data

    nowhere = [("moon rocks", lambda: continual_data.files_below(tmp_path, "*.h"))]
    monkeypatch.setitem(continual_data.SHIFTS, "strong", nowhere)
    with pytest.raises(ValueError, match=r"strong shift: 0 bytes in moon rocks; pass other text with --new PATH"):
        continual_data.new_text("strong")
    (tmp_path / "lone.txt").write_text("x = 1\n" * 100_000)
    monkeypatch.setitem(
        continual_data.SHIFTS, "strong", [*nowhere, ("notes", lambda: continual_data.files_below(tmp_path, "*.txt"))]
    )
    assert continual_data.new_text("strong").source == "1 files of notes"


# ── bad input ─────────────────────────────────────────────────────────────────────────────────────

BAD = {
    "unknown arm": (["--arms", "re-warm, 7% replay"], "there are constant low rate, repeated cosine"),
    "unknown shift": (["--shift", "sideways"], "sideways"),
    "shift and new": (["--shift", "weak"], "--shift and --new"),
    "missing new text": (["--new", "{tmp}/nowhere"], "nowhere: no such file"),
    "too little new text": (["--new", "{tmp}/prose.txt"], "too little text"),
    "new texts of one name": (["--new", "{tmp}/a/x", "{tmp}/b/x"], "must differ"),
    "a new text named as the pre-training": (["--new", "{tmp}/pretrain"], "must differ"),
    "too few steps": (["--new-steps", "7"], "--new-steps 7"),
    "no peak": (["--peak", "-1"], "--peak -1"),
    "from nowhere": (["--from", "{tmp}/nowhere"], "--width is set by the runs"),
    "resume and overwrite": (["--resume", "--overwrite"], "--overwrite"),
    "out is a file": (["--out", "{tmp}/prose.txt"], "is a file"),
    "something else is there": (["--out", "{tmp}/taken"], "not a run"),
    "width does not fit the heads": (["--width", "30", "--heads", "4"], "width 30"),
    "not a number": (["--steps", "many"], "many"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_costs_one_line(example, texts, tmp_path, capsys, case):
    arguments, words = BAD[case]
    (tmp_path / "prose.txt").write_text("Call me Ishmael.")
    (tmp_path / "taken" / "new" / "constant-low-rate").mkdir(parents=True)
    (tmp_path / "taken" / "new" / "constant-low-rate" / "thesis.tex").write_text("years of work")
    before = snapshot(tmp_path)
    usual = command(texts, tmp_path / "runs")
    try:
        status = example.main([*usual, *(argument.format(tmp=tmp_path) for argument in arguments)])
    except SystemExit as exit:
        status = exit.code
    printed = capsys.readouterr()
    assert status == 2
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1 and printed.err.startswith("continual.py: error: ")
    assert words in printed.err
    assert snapshot(tmp_path) == before


def test_from_a_folder_without_runs(example, texts, tmp_path, capsys):
    usual = ["--data", str(texts / "old"), "--new", str(texts / "new"), "--out", str(tmp_path / "runs")]
    assert example.main([*usual, "--from", str(tmp_path)]) == 2
    assert "holds no finished run of pretrain.py" in capsys.readouterr().err
