"""A program's own part in each process that serves: what it starts there has a lifetime."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, cast

from aionet.place import Listen

if TYPE_CHECKING:
    from aionet.server import Server

App = Callable[..., Any]

_STOPS = "stops the server; see draining"
_OURS: dict[int, str] = {signal.SIGTERM: _STOPS, signal.SIGINT: _STOPS}
# Of a process that has a parent, which replaces it.
OF_WORKERS: dict[int, str] = {
    signal.SIGHUP: "goes to the parent of workers, which replaces them: the app is entered anew",
    signal.SIGQUIT: "tells a worker that another one has replaced it",
    signal.SIGALRM: "is the watchdog's of a worker",
}


class Worker:
    """A process that serves, as its program sees it.

    number: from 0 up; the one that replaces it has the same. draining: set when it begins to stop.
    server: what serves in it; raises RuntimeError until the program has said what that is.
    """

    def __init__(self, number: int, taken: dict[int, str] | None = None) -> None:
        self.number = number
        self._taken = {**_OURS, **(taken or {})}
        self.draining = asyncio.Event()
        self._server: Any = None
        self._signals: list[int] = []

    @property
    def server(self) -> Server:
        if self._server is None:
            raise RuntimeError("there is no server yet: it is made of what the program yields")
        return cast("Server", self._server)

    def serves(self, server: Any) -> None:
        self._server = server

    def on_signal(self, number: int, callback: Callable[..., object], *arguments: Any) -> None:
        """Call `callback` on the loop when this process gets that signal, such as SIGHUP.

        Raises ValueError for those that mean something here already: SIGTERM and SIGINT, in a
        worker SIGHUP, SIGQUIT and SIGALRM, too; and for what is no signal.
        """
        if number in self._taken:
            raise ValueError(f"{signal.Signals(number).name} {self._taken[number]}")
        asyncio.get_running_loop().add_signal_handler(number, callback, *arguments)
        self._signals.append(number)

    def hears(self, number: int) -> bool:
        return number in self._signals


def is_app(what: Any) -> bool:
    """Whether it is a function of `contextlib.asynccontextmanager`, and so no handler."""
    if not callable(what) or inspect.isasyncgenfunction(what):  # without that it is nothing
        return False
    return inspect.isasyncgenfunction(inspect.unwrap(what))


class CannotLoadError(ValueError):
    """There is nothing of that name. module: the one that is missing, if it is a module."""

    def __init__(self, said: str, module: str | None = None) -> None:
        super().__init__(said)
        self.module = module


def load(name: str) -> Any:
    """What `module:object` names, imported here and now; `object` may have dots.

    Raises CannotLoadError, and whatever the module itself raises.
    """
    module, _, path = name.partition(":")
    if not module or not path:
        raise CannotLoadError(f"{name!r} names nothing; write it as module:object")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # something that it imports
        said = f"there is no module {error.name!r} in this folder"
        raise CannotLoadError(said, error.name) from None
    for part in path.split("."):
        if not hasattr(found, part):
            raise CannotLoadError(f"{module} has no {path}")
        found = getattr(found, part)
    return found


def loading(name: str) -> App:
    """An app of `module:object`, which each process imports by itself: after a change, anew.

    The object is an app, a class of a service, or what is served itself.
    """

    async def app(worker: Worker) -> Any:
        try:
            what = load(name)
        except CannotLoadError as error:
            raise SystemExit(f"cannot serve {name}: {error}") from None
        if is_app(what):
            return what(worker) if _takes_worker(what) else what()
        return what() if inspect.isclass(what) else what

    return app


async def enter(app: Callable[..., Any], worker: Worker, stack: AsyncExitStack) -> Any:
    """What `app` serves: it is called, with the worker if it takes that, awaited, and entered."""
    what = app(worker) if _takes_worker(app) else app()
    if inspect.isawaitable(what):
        what = await what
    if isinstance(what, AbstractAsyncContextManager) and not hasattr(what, "receive_data"):
        try:
            what = await stack.enter_async_context(what)
        except RuntimeError as error:
            if str(error) == "generator didn't yield":
                raise ValueError("the app came to its end and yielded nothing to serve") from None
            raise
    return what


def _takes_worker(app: Callable[..., Any]) -> bool:
    if inspect.isclass(app):
        return False
    try:
        inspect.signature(app).bind()
    except TypeError:
        return True
    except ValueError:  # nobody knows
        return False
    return False


def assign(what: Any, places: list[Listen]) -> list[Listen]:
    """The places with their service, if `what` maps addresses to what is served there.

    Raises ValueError for an address that is not listened at, or has nothing.
    """
    if not isinstance(what, Mapping):
        return places
    named = {str(Listen(address).address): service for address, service in what.items()}
    asked = {place.name for place in places}
    for address in named.keys() - asked:
        raise ValueError(f"{address} is served and not listened at; those are {', '.join(asked)}")
    for address in asked - named.keys():
        raise ValueError(f"nothing is served at {address}")
    return [place.serving(named[place.name]) for place in places]
