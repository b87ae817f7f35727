"""`im2dem bench`."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from im2dem.core.errors import UsageError
from im2dem.pipeline.predict import DEFAULT_MODEL
from im2dem.pipeline.speed import Choice, Speed, measure_choices, pick
from im2dem.runtime.card import find_model, load_card
from im2dem.runtime.providers import available_providers

from . import console


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("bench")(bench)


def bench(
    size: Annotated[int | None, typer.Option(help="Side of a tile in pixels; default: the model's and half.")] = None,
    model: Annotated[str, typer.Option(help="Name (see `im2dem models list`) or path of a model.")] = DEFAULT_MODEL,
    rounds: Annotated[int, typer.Option(help="Turns of all; the median counts.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON summary.")] = False,
) -> None:
    """Measure how fast this machine runs a model: megapixels a second by provider, threads, tile and batch."""
    card = load_card(find_model(model))
    if size is not None and (size < card.min_px or size % 32):
        raise UsageError(f"--size wants a multiple of 32 of at least {card.min_px} for {card.name}, got {size}")
    sides = [size] if size else [card.tile_px, max(card.min_px, card.tile_px // 2)]
    cores = os.cpu_count() or 1
    choices = [
        Choice(provider, threads, side, batch)
        for provider in available_providers()
        for threads in sorted({1, cores})
        for side, batch in [(sides[0], 1), (sides[0], 2), *((side, 1) for side in sides[1:])]
    ]
    speeds = measure_choices(model, choices, rounds)
    best = max(speeds, key=lambda speed: speed.mpix_s)
    if as_json:
        console.say_json(
            {"model": card.name, "cores": cores, "speeds": [_plain(s) for s in speeds], "fastest": pick(speeds)}
        )
        return
    console.say(f"model    {card.name}, network alone, {cores} cores")
    console.say("provider  threads  tile px  batch  MPix/s")
    for speed in sorted(speeds, key=lambda speed: -speed.mpix_s):
        c = speed.choice
        console.say(f"{c.provider:<9} {c.threads:>7} {c.tile_px:>8} {c.batch:>6} {speed.mpix_s:>7.3f}")
    c = best.choice
    console.say(f"fastest  --provider {c.provider} --threads {c.threads} --tile {c.tile_px} --batch {c.batch}")


def _plain(speed: Speed) -> dict[str, Any]:
    c = speed.choice
    return {
        "provider": c.provider,
        "threads": c.threads,
        "tile_px": c.tile_px,
        "batch": c.batch,
        "mpix_s": round(speed.mpix_s, 4),
    }
