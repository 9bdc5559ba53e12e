import threading
import time

import pytest

pytest.importorskip("apache_beam", reason="needs the extra beam: pip install 'tfwav2vec2[beam]'")

from apache_beam.options.pipeline_options import DirectOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from tfwav2vec2.beam import runners
from tfwav2vec2.beam.runners import open_runner
from tfwav2vec2.beam.watch import WorkerDiedError, run_watched


def test_in_memory_is_one_worker_of_this_process():
    runner, options, workers, threads = open_runner("in-memory", None, [])
    assert isinstance(runner, FnApiRunner)
    assert options.view_as(DirectOptions).direct_running_mode == "in_memory"
    assert (workers, threads) == (1, None)


@pytest.mark.parametrize(("asked", "workers", "threads"), [(None, 6, 1), (2, 2, 3), (4, 4, 1), (9, 9, 1)])
def test_processes_share_the_processors(monkeypatch, asked, workers, threads):
    monkeypatch.setattr(runners, "processors", lambda: 6)
    runner, options, *found = open_runner("multi-process", asked, [])
    assert isinstance(runner, FnApiRunner)
    assert options.view_as(DirectOptions).direct_running_mode == "multi_processing"
    assert options.view_as(DirectOptions).direct_num_workers == workers
    assert found == [workers, threads]


def test_runners_of_beams_own_take_its_options():
    runner, options, workers, threads = open_runner("flinkrunner", None, ["--flink_master=here:1"])
    assert type(runner).__name__ == "FlinkRunner"
    assert options.get_all_options()["flink_master"] == "here:1"
    assert (workers, threads) == (1, None)


@pytest.mark.parametrize(
    ("name", "workers", "given", "message"),
    [
        ("nonsense", None, [], "There is no runner nonsense: name in-memory, multi-process, or one of"),
        ("in-memory", 2, [], "--workers goes with --runner multi-process alone; in-memory has one"),
        ("FlinkRunner", 2, [], "FlinkRunner has options of its own, behind --"),
        ("in-memory", None, ["--nonsense=1"], "Apache Beam has no option --nonsense"),
        ("in-memory", None, ["--direct_num_workers=x"], "cannot read its options: .*invalid int value: 'x'$"),
        ("json.Missing", None, [], r"There is no runner json\.Missing"),
    ],
)
def test_what_there_is_not(name, workers, given, message):
    with pytest.raises(ValueError, match=message):
        open_runner(name, workers, given)


def test_a_runner_whose_package_is_missing():
    with pytest.raises(ImportError, match=r"The runner missing_package\.Runner cannot be imported"):
        open_runner("missing_package.Runner", None, [])


def test_work_is_watched_until_it_ends():
    ticks = []
    assert run_watched(lambda: time.sleep(0.3) or 42, lambda: ticks.append(1)) == 42
    assert ticks
    with pytest.raises(KeyError, match="lost"):
        run_watched(lambda: {}["lost"], lambda: None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_death_of_a_worker_ends_the_wait(monkeypatch):
    """As Beam notes it: an error in the thread that waits for the process, and in no other."""
    monkeypatch.setattr(threading, "excepthook", lambda trouble: None)
    before = threading.excepthook
    done = threading.Event()

    def wait_for_worker():
        raise RuntimeError("Worker subprocess exited with return code -9")

    def work():
        threading.Thread(target=wait_for_worker).start()
        done.wait(30)

    started = time.monotonic()
    with pytest.raises(WorkerDiedError, match="return code -9"):
        run_watched(work, lambda: None)
    done.set()
    assert time.monotonic() - started < 10
    assert threading.excepthook is before
