"""`regulars serve`: the server on one folder, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from regulars_server.cli import founding, workers
from regulars_server.cli.command import Run, command
from regulars_server.cli.founding import Company
from regulars_server.telemetry import wiring
from regulars_sync.errors import LocalError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from regulars_server.hub import Hub
    from regulars_server.service import Service

STOP_S_MAX = 30
"""What is under way when the server is told to stop may take so long."""
LOOK_S = 0.02
LAST_S_MAX = 0.5
"""So long a connection that was accepted last may take to say what it wants."""
BACKLOG = 2_048
ADMINISTRATOR = "admin"


def register(app: typer.Typer) -> None:
    default = Company()

    @command(
        app,
        "serve",
        "启动服务器。空目录会先建库，并显示一次管理员密码。Ctrl-C 或 SIGTERM 会先做完已收到的请求再停止。",
        [
            "regulars serve --data shop",
            "regulars serve --data shop --host 0.0.0.0 --port 8470",
            "regulars serve --data shop --port 0 --json     (a free port; the first line says which)",
            "regulars serve --database postgresql://regulars@db/hq --workers 4",
        ],
        new_loop=fast_loop,
    )
    async def serve(
        run: Run,
        host: Annotated[str | None, typer.Option(help="Address to listen at; 0.0.0.0 is all. 地址")] = None,
        port: Annotated[int | None, typer.Option(min=0, max=65_535, help="0 takes a free one. 端口")] = None,
        workers_: Annotated[
            int, typer.Option("--workers", min=1, max=64, help="Processes; several need PostgreSQL. 进程数")
        ] = 1,
        listening: Annotated[int | None, typer.Option(hidden=True)] = None,
        name: founding.Name = default.name,
        time_zone: founding.TimeZone = default.time_zone,
        country: founding.Country = default.country,
        currency: founding.Currency = default.currency,
    ) -> None:
        """Run the server of the chain in a folder. This is all that a shop needs.

        An empty folder is made a chain first (--name and so on count only then) and the administrator's
        password is shown once. SIGTERM and Ctrl-C end it after what was already accepted is done.
        """
        company = Company(name, time_zone, country.upper(), currency.upper())
        founding.check(run, company)
        settings = replace(
            run.settings,
            host=run.settings.host if host is None else host,
            port=run.settings.port if port is None else port,
        )
        run = replace(run, settings=settings)
        if workers_ == 1:
            await _serve(run, company, listening)
        elif settings.database:
            await _keep(run, company, workers_)
        else:
            run.terminal.refuse("多个进程需要 PostgreSQL（--database）。", "Several workers need --database.")


async def _serve(run: Run, company: Company, handle: int | None) -> None:
    from regulars_server.app import create_app
    from regulars_server.process import spare_the_collector, take_all_files

    settings = run.settings
    taken = listen(settings.host, settings.port) if handle is None else workers.inherited(handle)
    with contextlib.closing(taken) as listening:
        is_new = not await founding.is_founded(run)
        log_to_stderr(settings.log_level)
        told = wiring.of(settings, os.environ)
        async with run.chain(new=True, sweep=True, telemetry=told) as service:
            password = await founding.found(service, company, ADMINISTRATOR, None) if is_new else None
            app = create_app(settings, service)
            spare_the_collector()
            take_all_files()
            with wiring.page(settings, told, os.environ) as metrics:
                ready = partial(_tell, run, listening, password, metrics)
                await listen_and_serve(app, listening, ready, service)
        await asyncio.to_thread(told.close)
    run.terminal.line("已停止。", "Stopped.")


async def _keep(run: Run, company: Company, count: int) -> None:
    """Let others serve, and keep them."""
    settings, password = run.settings, None
    with contextlib.closing(listen(settings.host, settings.port)) as listening:
        log_to_stderr(settings.log_level)
        if not await founding.is_founded(run):
            async with run.chain(new=True) as service:
                password = await founding.found(service, company, ADMINISTRATOR, None)
        with wiring.gathered(settings) as (gathering, metrics):
            ready = partial(_tell, run, listening, password, metrics)
            await workers.keep(count, settings, listening, ready, gathering)
    run.terminal.line("已停止。", "Stopped.")


def _tell(run: Run, listening: socket.socket, password: str | None, metrics: str | None) -> None:
    """Where it serves; of a new chain also who may sign in."""
    terminal, urls = run.terminal, addresses(listening)
    said = {"urls": urls, "graphql": f"{urls[0]}/graphql", "data": run.place, "metrics": metrics}
    terminal.data({**said, "login": ADMINISTRATOR if password else None, "password": password})
    if password:
        terminal.line(f"已新建连锁，管理员：{ADMINISTRATOR}", f"A new chain. Login: {ADMINISTRATOR}")
        founding.show_once(run, password)
    for url in urls:
        terminal.line(f"服务器 {url}   GraphQL {url}/graphql", f"Server {url}   GraphQL {url}/graphql")
    if metrics:
        terminal.line(f"指标 {metrics}", f"Metrics {metrics}")
    terminal.line(f"数据 {run.place}   Ctrl-C 停止", f"Data {run.place}   Ctrl-C stops it")


async def listen_and_serve(
    app: ASGIApp, listening: socket.socket, ready: Callable[[], None], service: Service
) -> None:
    """Serve on this socket until a signal; requests that were accepted are answered first.

    Whoever listens for ever is told then.
    """
    await server(leaving(app, service.hub), ready, service).serve([listening])


def leaving(app: ASGIApp, hub: Hub) -> ASGIApp:
    """The app; once its server leaves, each answer ends its connection, so that none is cut off later."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def closing(message: Message) -> None:
            if hub.is_leaving and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await app(scope, receive, closing if scope["type"] == "http" else send)

    return answer


def server(app: ASGIApp, ready: Callable[[], None], service: Service) -> uvicorn.Server:
    import uvicorn

    from regulars_server.graph.live.socket import MESSAGE_BYTES_MAX

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            service.hub.is_leaving = True
            await self._wait(service.settings.drain_seconds, lambda: False)
            for listening in self.servers:
                listening.close()  # where others accept on this socket too, they do
            service.hub.close()
            await service.lines.close()
            await self._wait(LAST_S_MAX, self._all_have_asked)
            await super().shutdown(sockets)

        def _all_have_asked(self) -> bool:
            """Whether no connection is so new that its first request is still on its way."""
            connections = self.server_state.connections
            return all(getattr(connection, "cycle", connection) is not None for connection in connections)

        async def _wait(self, seconds_max: float, is_over: Callable[[], bool]) -> None:
            for _ in range(round(seconds_max / LOOK_S)):
                if is_over() or self.force_exit:
                    return
                await asyncio.sleep(LOOK_S)

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """uvicorn's own raises the signal again when it is done; here the end is an ordinary one.

            The handlers stay, so that a further signal can't cut off the closing of the files.
            """
            for stop in (signal.SIGINT, signal.SIGTERM):
                signal.signal(stop, self.handle_exit)
            yield

    config = uvicorn.Config(
        app,
        http="httptools",
        ws=patient_socket(),
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_per_message_deflate=False,  # a window for each idle socket would be most of what it holds
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=STOP_S_MAX,
    )
    return Server(config)


def patient_socket() -> type[asyncio.Protocol]:
    """uvicorn's WebSocket on the protocol without I/O; a peer that takes nothing is given up."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    class PatientSocket(WebSocketsSansIOProtocol):
        async def run_asgi(self) -> None:
            await super().run_asgi()
            self.loop.call_later(self.close_timeout, self.transport.abort)

        def keepalive_timeout(self) -> None:
            super().keepalive_timeout()
            self.loop.call_later(self.close_timeout, self.transport.abort)

    return PatientSocket


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; `LocalError("address_taken")` when another program does."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise LocalError("address_invalid", host=host, port=port, reason=error.strerror) from error
    try:
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise LocalError("address_taken", host=host, port=port) from error
        raise LocalError("address_invalid", host=host, port=port, reason=error.strerror) from error
    listening.set_inheritable(False)
    return listening


def addresses(listening: socket.socket) -> list[str]:
    """The addresses at which a socket can be reached, this machine's own name for it first."""
    host, port, *_ = listening.getsockname()
    if host not in {"0.0.0.0", "::"}:
        return [_url(host, port)]
    found = {"127.0.0.1": None}
    with contextlib.suppress(OSError):
        for *_, address in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM):
            if not str(address[0]).startswith(("fe80", "127.")):
                found[str(address[0])] = None
    return [_url(one, port) for one in found]


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def fast_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def log_to_stderr(level: str) -> None:
    """Every log line as JSON on stderr, uvicorn's too."""
    from regulars_server.web import JsonLines

    names = logging.getLevelNamesMapping()
    if level.upper() not in names:
        raise LocalError("setting_invalid", name="REGULARS_LOG_LEVEL", value=level[:80])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=names[level.upper()], handlers=[handler], force=True)
    for noisy in ("uvicorn", "tortoise", "asyncio", "aiosqlite"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
