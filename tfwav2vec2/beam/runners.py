"""Where a batch's pipeline runs: in this process, in several on this machine, or wherever Apache Beam can."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner, create_runner

from tfwav2vec2.processors import processors

IN_MEMORY, MULTI_PROCESS = "in-memory", "multi-process"


def open_runner(
    name: str, workers: int | None, given: Sequence[str]
) -> tuple[PipelineRunner, PipelineOptions, int, int | None]:
    """The runner of this name.

    Args:
        name: ``in-memory``, ``multi-process``, or what Apache Beam calls a runner.
        workers: processes of ``multi-process``; by default one for each processor.
        given: Apache Beam's own options, such as ``--flink_master=localhost:8081``.

    Returns:
        The runner, its options, how many workers it has as far as is known, and the threads that each of them should use;
        None where that is its own business.

    Raises:
        ValueError: for an unknown runner or option, and for workers of a runner that has its own.
        ImportError: where the runner needs a package that is not installed.
    """
    if workers is not None and name != MULTI_PROCESS:
        raise ValueError(
            f"--workers goes with --runner {MULTI_PROCESS} alone; {name} "
            + ("has one" if name == IN_MEMORY else "has options of its own, behind --")
        )
    options = _options(given)
    if name not in (IN_MEMORY, MULTI_PROCESS):
        return _named(name), options, 1, None
    # Beam's DirectRunner would first look for another runner on the network.
    if name == IN_MEMORY:
        return FnApiRunner(), options, 1, None
    workers = workers or processors()
    direct = {"direct_running_mode": "multi_processing", "direct_num_workers": workers}
    options = PipelineOptions(list(given), **direct)
    return FnApiRunner(), options, workers, max(1, processors() // workers)


def _options(given: Sequence[str]) -> PipelineOptions:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = PipelineOptions(list(given))
            known = options.get_all_options()
    except SystemExit as error:
        message = said.getvalue().strip().rpartition("error: ")[2]
        raise ValueError(f"Apache Beam cannot read its options: {message}") from error
    unknown = options.get_all_options(retain_unknown_options=True).keys() - known.keys()
    if unknown:
        raise ValueError(f"Apache Beam has no option --{min(unknown)}")
    return options


def _named(name: str) -> PipelineRunner:
    try:
        return create_runner(name)
    except ImportError as error:
        raise ImportError(f"The runner {name} cannot be imported: {error}") from error
    except (ValueError, AttributeError, TypeError) as error:
        known = [name for name in StandardOptions.KNOWN_RUNNER_NAMES if not name.startswith("Test")]
        raise ValueError(
            f"There is no runner {name}: name {IN_MEMORY}, {MULTI_PROCESS}, or one of Apache Beam's, {', '.join(known)}"
        ) from error
