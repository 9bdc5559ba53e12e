"""``tfwav2vec2 serve``: a model on a small server, with a page to speak to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfwav2vec2.cli.quiet import quiet_imports

if TYPE_CHECKING:
    from tfwav2vec2.web.opening import OpenedModel
    from tfwav2vec2.web.options import ServerOptions

MEGABYTE = 10**6

DIGITS_ONLY = (
    "Serving the embedded model, which knows strings of English digits only. "
    "For open speech name a model: tfwav2vec2 serve facebook/wav2vec2-base-960h"
)


@click.command(
    short_help="Serve a model: a page to speak to, uploads, live sound, TensorFlow Serving's REST paths.",
    epilog="""\b
Examples:
  tfwav2vec2 serve
  tfwav2vec2 serve facebook/wav2vec2-base-960h --port 8080
  curl --data-binary @clip.flac http://127.0.0.1:8000/transcribe""",
)
@click.argument("model", metavar="[MODEL]", required=False)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen at; 0.0.0.0 for all."
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="0 takes a free one."
)
@click.option("--name", help="What the model is called in /v1/models/NAME; by default its own name.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Batches that are computed at the same time; by default one for each processor where the model is a small .tflite file, "
    "otherwise one.",
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(0, min_open=True),
    help="The longest recording that is taken (120).",
)
@click.option(
    "--max-megabytes", type=click.FloatRange(0, min_open=True), help="The largest request that is taken (33)."
)
@click.option(
    "--max-requests", type=click.IntRange(min=1), help="Requests at the same time; beyond them, 429 (128)."
)
@click.option("--max-live", type=click.IntRange(min=1), help="Live sessions at the same time (16).")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), help="Seconds in which a request is answered (60)."
)
@click.option("--max-batch", type=click.IntRange(min=1), help="Recordings that are computed together (8).")
@click.option(
    "--allow-host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A name under which the server may be asked, besides this machine's own; may be repeated. Where --host is not this "
    "machine alone and none is given, all are.",
)
@click.option(
    "--allow-origin",
    "origins",
    metavar="URL",
    multiple=True,
    help="Another server whose pages may send requests, such as https://example.org; may be repeated.",
)
@click.option(
    "--browser-runtime",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="LiteRT.js, with which the page runs the model in the browser: npm install @litertjs/core, then "
    "node_modules/@litertjs/core. By default what TFWAV2VEC2_LITERTJS names.",
)
def serve(
    model: str | None,
    host: str,
    port: int,
    name: str | None,
    workers: int | None,
    max_seconds: float | None,
    max_megabytes: float | None,
    max_requests: int | None,
    max_live: int | None,
    timeout: float | None,
    max_batch: int | None,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    browser_runtime: Path | None,
) -> None:
    """Answer for MODEL, a folder or a name on the hub, a .tflite file or the folder of a SavedModel, until Ctrl-C.

    Without MODEL it is the embedded one, which knows English digits only. The server can be reached from this machine alone
    unless --host says otherwise; it asks for no password.
    """
    max_bytes = None if max_megabytes is None else max(1, round(max_megabytes * MEGABYTE))
    chosen = {
        "max_audio_seconds": max_seconds,
        "max_body_bytes": max_bytes,
        "max_requests": max_requests,
        "max_live": max_live,
        "request_seconds": timeout,
        "max_batch": max_batch,
    }
    try:
        with quiet_imports():
            from tfwav2vec2.web import require_packages

            require_packages()
            from tfwav2vec2.web.opening import open_model
            from tfwav2vec2.web.options import LOOPBACK_HOSTS, ServerOptions
            from tfwav2vec2.web.running import bind, bracketed, is_loopback

        listening = bind(host, port)
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"{host}:{port} cannot be listened at ({error.strerror or error}): choose another --host or --port"
        ) from error
    names = (*LOOPBACK_HOSTS, bracketed(host), *hosts) if hosts or is_loopback(host) else ()
    if model is None:
        click.echo(DIGITS_ONLY, err=True)
    with listening:
        try:
            with quiet_imports():
                opened = open_model(model, workers=workers)
            options = ServerOptions(
                name=name or opened.name,
                hosts=names,
                origins=origins,
                # What all requests may hold together grows with what one may.
                max_buffered_bytes=max(ServerOptions.max_buffered_bytes, 2 * (max_bytes or 0)),
                max_pending_seconds=max(ServerOptions.max_pending_seconds, 2 * (max_seconds or 0.0)),
                **{option: value for option, value in chosen.items() if value is not None},
            )
            _serve(opened, options, listening, host, browser_runtime)
        except (OSError, ValueError, TypeError, ImportError) as error:
            raise click.ClickException(str(error)) from error


def _serve(
    opened: OpenedModel, options: ServerOptions, listening: object, host: str, runtime: Path | None
) -> None:
    from tfwav2vec2.web.app import create_app
    from tfwav2vec2.web.litert_runtime import find_runtime
    from tfwav2vec2.web.running import address_of, is_loopback, serve

    app = create_app(
        opened.engines,
        opened.processor,
        options,
        browser_source=opened.source,
        browser_runtime=find_runtime(runtime),
    )
    address = address_of(listening, host)

    def announce() -> None:
        if not is_loopback(host):
            click.echo(f"Anyone who reaches {host} can use this server: it asks for no password", err=True)
        click.echo(f"{options.name} is served at {address}/ (Ctrl-C stops)")

    serve(app, options, listening, announce)
    click.echo("Stopped", err=True)
    opened.close()
