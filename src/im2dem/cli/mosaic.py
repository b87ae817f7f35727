"""`im2dem predict INDEX --out DIR`: the part of the command that makes mosaics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from im2dem.core.errors import UsageError

from . import console

if TYPE_CHECKING:
    from im2dem.pipeline.mosaic import MosaicReport
    from im2dem.pipeline.prediction import PredictOptions


@dataclass(frozen=True)
class MosaicChoice:
    """What was said on the command line about a mosaic; all None: nothing."""

    out: Path | None
    block_px: int | None
    bbox: str | None
    scheduler: str | None
    workers: int | None

    def check(self, output: Path | None) -> None:
        """Raise unless exactly one of a file and a folder is asked for, and the rest goes with it.

        Raises
        ------
        UsageError
            Neither or both, or an option of mosaics without ``--out``.
        """
        if output is not None and self.out is not None:
            raise UsageError("--output writes one file, --out a folder with a mosaic; give one of them")
        if self.out is not None:
            return
        if output is None:
            # of typer's errors the one that it exports; its text is preceded by the line of usage
            raise typer.BadParameter(
                "missing: the GeoTIFF to write; or --out, the folder of a mosaic", param_hint="--output (-o)"
            )
        given = [
            name
            for name, value in (
                ("--block-px", self.block_px),
                ("--bbox", self.bbox),
                ("--scheduler", self.scheduler),
                ("--workers", self.workers),
            )
            if value is not None
        ]
        if given:
            raise UsageError(f"{given[0]} is for mosaics; give --out DIR instead of --output")


def run_mosaic(index: str, choice: MosaicChoice, predict: PredictOptions, as_json: bool) -> None:
    """Predict a mosaic and tell what was made."""
    from im2dem.pipeline.mosaic import MosaicOptions, predict_mosaic, summary

    if choice.out is None:
        raise UsageError("a mosaic needs the folder to write (--out)")
    options = MosaicOptions(
        predict,
        MosaicOptions.block_px if choice.block_px is None else choice.block_px,
        bounds=None if choice.bbox is None else _bounds(choice.bbox),
        scheduler=choice.scheduler,
        workers=choice.workers,
    )
    with console.progress_bar() as progress:
        report = predict_mosaic(index, choice.out, options, progress)
    if as_json:
        console.say_json(summary(report))
    else:
        _tell(report)


def _tell(report: MosaicReport) -> None:
    console.say(f"mosaic   {report.folder / 'mosaic.vrt'}  ({report.valid / 1e6:.4g} million pixels, halos counted)")
    resumed = f", {report.resumed} taken over" if report.resumed else ""
    console.say(
        f"blocks   {report.blocks} of {report.scenes} scene{'s' if report.scenes > 1 else ''}: {report.predicted} "
        f"predicted{resumed}, {report.empty} without data; {report.joined} files written, {report.kept} kept"
    )
    before, after = report.levels["step_before"], report.levels["step_after"]
    if before is not None:
        levelled = "" if "anchor" in report.job else f", levelled {after:.3g} m"
        console.say(f"levels   step between neighbours {before:.3g} m{levelled}")
    if "anchor" in report.job:
        datum = report.vertical_datum or "the prior's own, unnamed datum"
        console.say(f"heights  metres above {datum}, each block anchored to the prior")
    else:
        console.say("heights  relative, in metres by the model's guess of the amplitude; mean of the mosaic 0")
    console.say(f"model    {report.job['model']['name']}, {report.job['model']['licence']}")


def _bounds(text: str) -> tuple[float, float, float, float]:
    try:
        left, bottom, right, top = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--bbox wants left,bottom,right,top in the unit of the scenes' CRS, e.g. 500000,4100000,540000,4140000; "
            f"got {text!r}"
        ) from error
    return left, bottom, right, top
