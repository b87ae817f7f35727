"""Everything that a training run learns from, gathered from packs and from folders of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from im2dem.core.errors import InputError, UsageError

from .chips import Chips, load_chips
from .pairs import find_pairs, read_pair

HELD_OUT = "val-"
# Packs larger than this are mapped into memory instead of read.
MAPPED_FROM_BYTES = 1 << 30


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from and is judged by.

    Parameters
    ----------
    real, rendered
        Packs of pairs to train on.
    held_out
        Packs of real pairs that choose the best weights.
    files
        Where these came from, for going on with the run.
    """

    real: Sequence[Chips] = ()
    rendered: Sequence[Chips] = ()
    held_out: Sequence[Chips] = ()
    files: Sequence[str] = ()


def find_training_data(paths: Sequence[Path]) -> TrainingData:
    """Read packs and pairs.

    Parameters
    ----------
    paths
        Each a pack, a folder of packs, or a folder of pairs. Packs named ``val-*`` and pairs of the split "val" are
        held out; pairs of the split "train" under a licence that is not free are left out (pack them by name if
        they are wanted).

    Raises
    ------
    InputError
        Nothing to train on, or a file that is no pack.
    """
    real: list[Chips] = []
    rendered: list[Chips] = []
    held_out: list[Chips] = []
    for path in paths:
        packs = [path] if path.is_file() else sorted(path.glob("*.npz"))
        for pack in packs:
            chips = load_chips(pack, mapped=pack.stat().st_size > MAPPED_FROM_BYTES)
            is_real = chips.provenance.get("kind") == "real"
            kind = held_out if pack.name.startswith(HELD_OUT) else real if is_real else rendered
            kind.append(chips)
        if not packs:
            _add_pairs(path, real, held_out)
    if not real and not rendered:
        raise InputError(
            f"nothing to train on in {', '.join(map(str, paths))}: packs (.npz, made by `im2dem dataset pack` or "
            "`synth`) or a folder of pairs are wanted"
        )
    return TrainingData(real, rendered, held_out, [str(path.resolve()) for path in paths])


def _add_pairs(folder: Path, real: list[Chips], held_out: list[Chips]) -> None:
    try:
        pairs = find_pairs(folder)
    except UsageError as error:
        raise InputError(f"{folder} holds neither packs nor pairs: {error}") from error
    for pair in pairs:
        split = pair.meta.get("split")
        if split == "val":
            held_out.append(read_pair(pair))
        elif split == "train" and pair.is_free:
            real.append(read_pair(pair, drop_clouds="-s2-" in pair.name))
