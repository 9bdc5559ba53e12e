"""The embedded model as a SavedModel, behind a server, and as a LiteRT file: each reads the demo's clips as the model does.

In the place of TensorFlow Serving, which needs docker, stands the one of the tests, which answers the same requests.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.serving.stand_in_server import stand_in_server
from tfwav2vec2.serving.engines import Engine, open_engine


def show_exports(transcriber: Any, clips: Sequence[Path]) -> None:
    """Export a transcriber's model both ways, and print what every engine hears in the clips.

    Raises:
        SystemExit: where one hears something else than the model.
    """
    from tfwav2vec2 import EngineTranscriber
    from tfwav2vec2.serving.litert import export_litert
    from tfwav2vec2.serving.saved_model import export_saved_model

    print("\nThe same clips, by the model and by what it is exported to")
    with tempfile.TemporaryDirectory() as folder:
        paths = {"SavedModel": Path(folder, "digits", "1"), "LiteRT": Path(folder, "digits.tflite")}
        export_saved_model(transcriber.model, transcriber.processor, paths["SavedModel"])
        export_litert(transcriber.model, transcriber.processor, paths["LiteRT"])
        heard = {}
        with stand_in_server(paths["SavedModel"], "digits") as server, ExitStack() as opened:
            sources: dict[str, Any] = {
                **paths,
                "REST": f"{server.rest}/v1/models/digits",
                "gRPC": f"grpc://{server.grpc}/digits",
            }
            engines: dict[str, Engine] = {"Keras": transcriber.engine}
            engines |= {name: opened.enter_context(open_engine(source)) for name, source in sources.items()}
            for name, engine in engines.items():
                started = time.perf_counter()
                heard[name] = [found.text for found in EngineTranscriber(engine).transcribe(clips)]
                seconds = time.perf_counter() - started
                size = f", {_megabytes(paths[name]):.1f} MB" if name in paths else ""
                print(f"  {name:<10}  {' '.join(heard[name])}   ({seconds:.2f} s{size})")
    different = [name for name, texts in heard.items() if texts != heard["Keras"]]
    if different:
        raise SystemExit(f"Error: {', '.join(different)} hears something else than the model")
    print("  all engines give the same text")


def _megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
