"""`im2dem dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from im2dem.core.errors import UsageError
from im2dem.dataset.cells import SPLITS
from im2dem.dataset.chips import save_chips
from im2dem.dataset.pairs import find_dem_sources, find_pairs, read_pair
from im2dem.dataset.seed_pack import pack_seed_npz
from im2dem.dataset.synth import SynthOptions, make_chips
from im2dem.dataset.unpack import Lost, unpack
from im2dem.io.atomic import check_target

from . import console, dataset_area, dataset_build

app = typer.Typer(help="Training and evaluation pairs.", no_args_is_help=True)
dataset_area.add_to(app)
dataset_build.add_to(app)

Out = Annotated[Path, typer.Option("--out", "-o", help="Where to write.")]


@app.command("synth")
def synth(
    out: Out,
    dem: Annotated[
        list[Path] | None, typer.Option("--dem", help="Height model, or a folder of them; may be repeated.")
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[,NAME...]",
            help="Artificial country instead, or as half of the chips beside --dem: recipes of `im2dem terrain`, or "
            "all; may be repeated.",
        ),
    ] = None,
    count: Annotated[int, typer.Option(help="Number of chips.")] = 1000,
    size: Annotated[int, typer.Option(help="Side of a chip in pixels.")] = 256,
    gsd: Annotated[str, typer.Option(metavar="LOW,HIGH", help="Range of pixel sizes, metres.")] = "8,240",
    seed: Annotated[int, typer.Option(help="Seed of all chance.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
) -> None:
    """Render pairs from height models or artificial terrain: pictures with exact labels, the same for the same seed.

    One .npz pack.
    """
    # compiled code takes a second to load: other commands need not wait for it
    from im2dem.dataset.landscapes import choose_recipes, make_land_chips

    if not dem and not recipe:
        raise UsageError("nothing to render: give height models by --dem, recipes of artificial terrain by --recipe")
    recipes = choose_recipes(recipe) if recipe else ()
    if count < 1 or size < 32:
        raise UsageError(f"--count of at least 1 and --size of at least 32 are wanted, got {count} and {size}")
    try:
        low, high = (float(part) for part in gsd.split(","))
    except ValueError as error:
        raise UsageError(f"--gsd wants two numbers LOW,HIGH in metres, such as 10,60; got {gsd!r}") from error
    target = check_target(out, overwrite)
    sources = [source for path in dem or () for source in find_dem_sources(path)]
    options = SynthOptions(count, size, seed, gsd_range_m=(low, high))
    with console.progress_bar() as progress:
        chips = (
            make_land_chips(recipes, options, sources, progress)
            if recipes
            else make_chips(sources, options, lambda done, total: progress("rendering", done, total))
        )
    save_chips(target, chips)
    console.say(f"pack     {target}  ({len(chips)} rendered chips of {size} px)")


@app.command("pack")
def pack(
    data: Annotated[Path, typer.Argument(help="Folder of pairs.")],
    out: Out,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    layout: Annotated[
        str,
        typer.Option(
            "--format",
            help="packs: one pack a pair in the folder --out, what `train` reads. npz: one file with the arrays of "
            "ImageToDEM, the research prototype.",
        ),
    ] = "packs",
    free: Annotated[bool, typer.Option(help="Leave out pairs under a non-commercial licence.")] = True,
    spikes: Annotated[
        float | None,
        typer.Option(help="Leave out heights farther than this from the median around them, metres.", min=0.0),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace packs that are there.")] = False,
) -> None:
    """Pack real pairs for training. Clouds are dropped from the train split of packs."""
    if layout not in ("packs", "npz"):
        raise UsageError(f"--format is packs or npz, got {layout!r}")
    if layout == "packs":
        out.mkdir(parents=True, exist_ok=True)
    pairs = find_pairs(data, split, free_only=free)
    with console.progress_bar() as progress:
        if layout == "npz":
            made = pack_seed_npz(pairs, out, overwrite=overwrite, progress=progress)
            low, high = made.height_range_m
            console.say(f"pack     {made.path}  ({made.tiles} tiles; levels 0 to 255 are {low:.0f} to {high:.0f} m)")
            if made.too_small:
                console.tell_error(f"im2dem: {made.too_small} pairs hold no tile of 256 x 256 px with heights")
            return
        for i, pair in enumerate(pairs):
            target = check_target(out / f"{split}-{pair.name}.npz", overwrite)
            save_chips(target, read_pair(pair, split == "train" and "-s2-" in pair.name, spikes))
            progress("packing", i + 1, len(pairs))
    console.say(f"packs    {out}  ({len(pairs)} pairs)")


@app.command("unpack")
def unpack_pack(
    pack_file: Annotated[
        Path, typer.Argument(metavar="PACK", help="Pack (.npz), or a data file of ImageToDEM, the research prototype.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder of pairs.")],
    split: Annotated[str, typer.Option(help="train, val or test, where the pack does not say.")] = "train",
    gsd: Annotated[float | None, typer.Option(help="Metres a pixel, for data files that do not say.")] = None,
    height_range: Annotated[
        str | None, typer.Option(metavar="LOW,HIGH", help="Metres of the levels 0 and 255, for data files.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Licence in words, for data files.")] = None,
) -> None:
    """A pack as a folder of pairs: rgb.tif, dem.tif and meta.json, to look at, to correct, to evaluate on."""
    if split not in SPLITS:
        raise UsageError(f"--split is {', '.join(SPLITS)}, got {split!r}")
    if gsd is not None and not gsd > 0:
        raise UsageError(f"--gsd wants metres above 0, got {gsd}")
    lost = Lost(gsd, dataset_build.pair(height_range, "--height-range") if height_range else None, licence)
    count = unpack(pack_file, out, split, lost)
    console.say(f"pairs    {out}  ({count})")
