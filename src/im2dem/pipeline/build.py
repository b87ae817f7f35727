"""Build a training set: plan, read in parallel, keep what is good, go on where a former run stopped."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from im2dem._version import __version__
from im2dem.core.errors import InputError, MissingDependencyError, NoDataError, RemoteError, UsageError
from im2dem.dataset.encode import Recipe
from im2dem.dataset.file_source import FileSource
from im2dem.dataset.plan import Block
from im2dem.dataset.rules import REASONS
from im2dem.dataset.sources import Log, PairSource, work, work_whole
from im2dem.dataset.store import FORMAT, EncodedChip, Outcome, Store
from im2dem.io.environment import quiet_georeference

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class BuildOptions:
    """How a set is built.

    Parameters
    ----------
    recipe
        Rules, split, depth of the pictures.
    threads
        Blocks that are worked on at a time on this machine.
    scheduler
        Address of a Dask scheduler, e.g. "tcp://10.0.0.1:8786": blocks are worked on there, files are written here.
    overwrite
        Throw away a set that is there and was made by another request.
    """

    recipe: Recipe = field(default_factory=Recipe)
    threads: int = 4
    scheduler: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise UsageError(f"at least 1 thread is wanted, got {self.threads}")


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Parameters
    ----------
    output
        The folder.
    planned, done_before
        Chips in the plan, and those that a former run had dealt with.
    counts
        Chips by what became of them: "kept", or why not.
    splits
        Kept chips by split.
    events
        Scenes read, failed, repeated ...
    problems
        The first few in words.
    """

    output: Path
    planned: int
    done_before: int
    counts: dict[str, int]
    splits: dict[str, int]
    events: dict[str, int]
    problems: tuple[str, ...]

    @property
    def failed(self) -> int:
        """Chips that could not be read; the next run tries them again."""
        return self.counts.get("failed", 0)


def build(
    source: PairSource,
    blocks: Sequence[Block],
    output: str | Path,
    request: dict[str, Any],
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Read the chips of a plan and store them as a training set.

    Parameters
    ----------
    source
        Where pixels come from.
    blocks
        The plan.
    output
        Folder of the set; one that an interrupted run of the same request left is completed.
    request
        All that decides about the content, as JSON can hold it.
    options
        Rules, parallelism.
    progress
        Called with (stage, done, total).

    Raises
    ------
    UsageError
        The folder holds something else.
    RemoteError
        Not one chip could be read.
    OutputError
        The disk is full or not writable.
    """
    options = options or BuildOptions()
    store = Store(output)
    store.begin(_manifest(source, request, options), options.overwrite)
    done = store.done()
    todo = [rest for block in blocks if (rest := _without(block, done)) is not None]
    planned = sum(len(block.chips) for block in blocks)
    report, lock, log = _Meter(progress, planned, planned - sum(len(b.chips) for b in todo)), threading.Lock(), Log()

    def keep(results: Iterable[tuple[Outcome, EncodedChip | None]]) -> None:
        for outcome, chip in results:
            with lock:
                if chip is not None:
                    store.put(chip)
                store.note(outcome)
                report.step()

    if options.scheduler is None:
        # Once, here: GDAL's warnings about rasters in memory are silenced by threads that disturb each other.
        with quiet_georeference():
            _on_threads(source, todo, options, store.parts / "cache", keep, log)
    else:
        _on_dask(source, todo, options, keep, log)
    return _finish(store, planned, planned - sum(len(b.chips) for b in todo), log)


def build_from_files(
    source: FileSource,
    output: str | Path,
    size_px: int = 256,
    gsd_m: float | None = None,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """A training set from a picture and a height model of one's own; see `build`."""
    blocks = source.plan(size_px, gsd_m)
    if not blocks:
        raise InputError(f"{source.image}: smaller than one chip of {size_px} px; ask for smaller chips (--size)")
    files = {key: _file_name(getattr(source, key)) for key in ("image", "dem")}
    request = {"source": "files", **asdict(source), **files, "size_px": size_px, "gsd_m": gsd_m}
    return build(source, blocks, output, request, options, progress)


def _file_name(path: str) -> str:
    """Name and size of a file: what tells it from another, without the folders of this machine."""
    file = Path(path)
    return f"{file.name} ({file.stat().st_size} bytes)" if file.is_file() else path


class _Meter:
    def __init__(self, progress: Progress | None, total: int, done: int) -> None:
        self._progress, self._total, self._done = progress, total, done

    def step(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress("chips", self._done, self._total)


def _manifest(source: PairSource, request: dict[str, Any], options: BuildOptions) -> dict[str, Any]:
    recipe = options.recipe
    return {
        "format": FORMAT,
        "made_by": f"im2dem {__version__}",
        "request": {**request, "rules": asdict(recipe.rules), "split": asdict(recipe.split), "depth": recipe.depth},
        "split": asdict(recipe.split),
        "provenance": source.provenance,
        "complete": False,
    }


def _without(block: Block, done: dict[str, str]) -> Block | None:
    chips = tuple((chip, window) for chip, window in block.chips if chip.name not in done)
    return replace(block, chips=chips) if chips else None


def _on_threads(
    source: PairSource,
    blocks: Sequence[Block],
    options: BuildOptions,
    cache: Path,
    keep: Callable[[Iterable[tuple[Outcome, EncodedChip | None]]], None],
    log: Log,
) -> None:
    """Blocks in a few threads; Ctrl-C and the first error end all of them after the chip that they are at."""
    stop = threading.Event()
    lock = threading.Lock()

    def until_stopped(items: Iterator[tuple[Outcome, EncodedChip | None]]) -> Iterator[Any]:
        for item in items:
            if stop.is_set():
                return
            yield item

    def one(block: Block) -> None:
        if stop.is_set():
            return
        own, folder = Log(), cache / block.name
        keep(until_stopped(work(source, block, options.recipe, folder, own)))
        with lock:
            log.merge(own)
        if not stop.is_set():
            shutil.rmtree(folder, ignore_errors=True)

    with ThreadPoolExecutor(options.threads, thread_name_prefix="im2dem-build") as pool:
        try:
            for future in _few_at_a_time((partial(pool.submit, one, block) for block in blocks), 2 * options.threads):
                future.result()
        except BaseException:
            stop.set()
            raise


def _on_dask(
    source: PairSource,
    blocks: Sequence[Block],
    options: BuildOptions,
    keep: Callable[[Iterable[tuple[Outcome, EncodedChip | None]]], None],
    log: Log,
) -> None:
    """Blocks on a Dask cluster; their files come back as bytes, so no disk need be shared."""
    try:
        import distributed
    except ImportError as error:
        raise MissingDependencyError(
            "a cluster needs packages that are not installed (distributed); run: pip install 'im2dem[dask]'"
        ) from error
    dask: Any = distributed
    try:
        client = dask.Client(options.scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise RemoteError(f"no Dask scheduler answers at {options.scheduler} ({error}); check the address") from error
    with client:
        waiting = iter(blocks)
        ahead = max(4, 2 * len(client.scheduler_info()["workers"]))
        futures = [client.submit(work_whole, source, b, options.recipe, pure=False) for b in _take(waiting, ahead)]
        queue = dask.as_completed(futures)
        for future in queue:
            results, own = future.result()
            log.merge(own)
            keep(results)
            future.release()
            for block in _take(waiting, 1):
                queue.add(client.submit(work_whole, source, block, options.recipe, pure=False))


def _take(items: Iterator[Block], count: int) -> list[Block]:
    return [block for _, block in zip(range(count), items, strict=False)]


def _few_at_a_time(starts: Iterator[Callable[[], Future[None]]], ahead: int) -> Iterator[Future[None]]:
    """Futures as they finish, never more than `ahead` under way: 10,000 blocks are not held at once."""
    pending: set[Future[None]] = set()
    for start in starts:
        if len(pending) >= ahead:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from finished
        pending.add(start())
    while pending:
        finished, pending = wait(pending, return_when=FIRST_COMPLETED)
        yield from finished


def _finish(store: Store, planned: int, done_before: int, log: Log) -> BuildReport:
    """Index, counts and what was survived go into the manifest; the cache goes away when nothing failed."""
    store.write_index()
    counts = store.counts()
    splits: dict[str, int] = {}
    for meta in store.metas():
        splits[meta["split"]] = splits.get(meta["split"], 0) + 1
    manifest = store.manifest()
    manifest["counts"] = counts
    manifest["reasons"] = {name: words for name, words in REASONS.items() if name in counts}
    manifest["splits"] = dict(sorted(splits.items()))
    events = manifest.get("events") or {}
    manifest["events"] = {key: events.get(key, 0) + log.counts.get(key, 0) for key in sorted({*events, *log.counts})}
    manifest["complete"] = "failed" not in counts
    store.write_manifest(manifest)
    shutil.rmtree(store.parts, ignore_errors=True)
    report = BuildReport(
        store.root,
        planned,
        done_before,
        counts,
        manifest["splits"],
        dict(sorted(log.counts.items())),
        tuple(log.problems),
    )
    if counts and set(counts) == {"failed"}:
        raise RemoteError(
            f"not one of the {planned} chips could be read: {log.problems[0] if log.problems else 'no reason told'}; "
            "run the same command again to go on"
        )
    if not counts:
        raise NoDataError("the plan has no chip; the area is empty")
    return report
