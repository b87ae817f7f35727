"""The report of an evaluation: whole, alone, safe, and telling the truth."""

from __future__ import annotations

import base64
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid
from im2dem.core.metrics_tile import TileTruth, score_tile
from im2dem.pipeline.evaluation_gallery import Exhibit, Gallery
from im2dem.pipeline.evaluation_table import Evaluation, TileScore, aggregate, paired
from im2dem.pipeline.report import ReportFacts, build_report
from im2dem.pipeline.report_charts import Axes, Bar, Curve, bars, curves
from im2dem.pipeline.report_tables import best_rival, inverted_list
from im2dem.pipeline.report_tiles import error_colours, four_pictures

NASTY = '<script>alert("x")</script>&\'"'


def hills(seed, std=100.0, side=64):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), 4)
    return (500 + std * field / field.std()).astype(np.float32)


def evaluation(n=6, scene="place", gallery=2):
    """Tiles of a model that is good on even tiles and upside down on odd ones, beside brightness and a plane."""
    found, kept = [], Gallery(gallery)
    for i in range(n):
        z, rng = hills(i), np.random.default_rng(100 + i)
        p = (z if i % 2 == 0 else -z) + rng.normal(0, 30 + i, z.shape).astype(np.float32)
        truth = TileTruth(z, (30.0, 30.0), i)
        for method, answer in (("mine", p), ("brightness", rng.random(z.shape)), ("best plane", 0 * z + 500)):
            for alignment, figures in score_tile(answer, truth, sigma=np.full(z.shape, 30.0)).items():
                score = TileScore(method, alignment, f"{scene}{i % 3}", f"{scene}{i % 3}", 64 * i, 0, 100.0, figures)
                found.append(score)
                if method == "mine":
                    image = np.repeat(z[None], 3, axis=0)
                    kept.offer(score, lambda z=z, p=p, image=image: exhibit_of(z, p, image))
    scores = paired(found, "mine")
    return Evaluation(aggregate(scores, draws=50), ("a note & more",), tuple(scores), kept)


def exhibit_of(dem, pred, image=None, lonlat=(138.75, -36.5)):
    return {"lonlat": lonlat, "pixel_size_m": (30.0, 30.0), "image": image, "dem": dem, "pred": pred}


class Page(HTMLParser):
    """Tags that are open, attributes that load something, and the text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.loads, self.tags, self.text = [], [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for key, value in attrs if key in ("src", "href", "srcset", "data", "action")]
        if tag not in ("meta", "img", "br", "line", "circle", "polyline", "link", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
            self.open.pop()

    def handle_data(self, data):
        self.text += data


FACTS = ReportFacts("mine on the split", "mine", "im2dem evaluate --model mine", ({"licence": "Apache-2.0"},))


def test_the_page_is_whole_alone_and_small():
    html = build_report(evaluation(), FACTS)
    page = Page(html)
    assert page.open == []
    # Nothing is loaded but the pictures inside, and nothing runs.
    assert page.loads
    assert all(load.startswith("data:image/jpeg;base64,") for load in page.loads)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert "http" not in re.sub(r'http-equiv="[^"]*"', "", html).replace("base64", "")
    assert len(html) < 600_000
    for load in page.loads:
        picture = Image.open(io.BytesIO(base64.b64decode(load.partition(",")[2])))
        assert picture.size == (64, 64)
    for said in ("mine on the split", "Apache-2.0", "im2dem evaluate --model mine", "a note & more", "place0"):
        assert said in page.text
    assert "$" not in page.text
    assert "prefers-color-scheme: dark" in html
    assert html == build_report(evaluation(), FACTS)
    sized = replace(evaluation(), models=({"model": "mine", "parameters": 1538162, "gmac": 1.68, "side_px": 256},))
    text = Page(build_report(sized, FACTS)).text
    assert "1,538,162" in text
    assert "GMAC for a tile of 256 px1.68" in text


def test_what_comes_from_files_is_escaped():
    bad = evaluation(scene=NASTY)
    tiles = tuple(replace(tile, method=NASTY if tile.method == "brightness" else tile.method) for tile in bad.tiles)
    facts = ReportFacts(NASTY, "mine", NASTY, ({NASTY: [NASTY]},), (NASTY,))
    html = build_report(
        Evaluation(aggregate(tiles, draws=20), (NASTY,), tiles, bad.gallery, ({"model": NASTY},)), facts
    )
    page = Page(html)
    assert "script" not in page.tags
    assert page.open == []
    assert page.text.count(NASTY) > 10
    assert "<script" not in html


def test_the_verdict_follows_the_interval():
    good, rows = evaluation(), []
    html = build_report(good, FACTS)
    rows = [row for row in good.rows if row["alignment"] == "A2" and row["group"] == "all"]
    rival = best_rival(rows, "mine")
    assert rival["method"] == "brightness"  # the plane is told the truth
    for low, high, word in ((-0.2, -0.1, "beats"), (0.1, 0.2, "loses to"), (-0.1, 0.1, "cannot be told apart from")):
        told = tuple(
            row | {"delta_mae_unit_lo": low, "delta_mae_unit_hi": high} if row is rival else row for row in good.rows
        )
        assert f"<b>mine</b> {word} the best row" in build_report(replace(good, rows=told), FACTS)
    assert "6 tiles from 3 scenes in 3 regions, alignment A2" in html
    with pytest.raises(UsageError, match="no row 'yours'"):
        build_report(good, replace(FACTS, method="yours"))


def test_sigma_is_judged_on_heights_as_published_in_every_table():
    good = evaluation()
    of = {(r["alignment"], r["group"]): r["ece_pooled"] for r in good.rows if r["method"] == "mine"}
    page = build_report(good, FACTS)
    for group in ("all", "std 100-300 m", "region place0"):
        assert abs(of["A1", group] - of["A2", group]) > 1e-3
    above = page.split("All figures, alignment A0")[0]  # what is below shows every alignment
    assert f"{of['A1', 'region place0']:.3f}" in above.split("By region")[1]
    assert f"(ECE {of['A1', 'all']:.3f}, A1)" in above


def test_inverted_tiles_are_listed_with_their_share():
    tiles = [t for t in evaluation().tiles if t.method == "mine" and t.alignment == "A2"]
    text = inverted_list(tiles)
    # Tiles 1, 3 and 5 are upside down; scenes go 0, 1, 2, 0, 1, 2.
    assert text.count("<td>1</td><td>2</td><td>50 %</td>") == 3
    for row in (64, 192, 320):
        assert f"row {row}, column 0" in text
    assert "row 128" not in text
    assert "All 3 inverted" in text
    assert "None of 2" in inverted_list(tiles[::2][:2])
    assert "The first 2 of 3" in inverted_list(tiles, limit=2)


def test_the_gallery_keeps_best_and_worst_and_no_more():
    gallery = Gallery(2)
    made = []

    def offer(i, r, relief=50.0, alignment="A2"):
        def arrays():
            made.append(i)
            return exhibit_of(np.zeros((2, 2)), np.zeros((2, 2)))

        gallery.offer(TileScore("m", alignment, "s", "s", i, 0, relief, {"pearson_r": r}), arrays)

    for i, r in enumerate((0.1, 0.9, -0.5, 0.5, 0.3, -0.9)):
        offer(i, r)
    offer(6, 0.99, relief=1.0)
    offer(7, 0.99, alignment="A3")
    offer(8, math.nan)
    assert [e.score.row_off for e in gallery.best] == [1, 3]
    assert [e.score.row_off for e in gallery.worst] == [5, 2]
    assert max(made) == 5
    few = Gallery(5)
    for i, r in enumerate((0.1, 0.9)):
        score = TileScore("m", "A2", "s", "s", i, 0, 50.0, {"mae_unit": r, "pearson_r": r})
        few.offer(score, lambda: exhibit_of(np.zeros((2, 2)), np.zeros((2, 2))))
    assert len(few.worst) == 2
    assert few.best == ()
    by_error = Gallery(1, "-mae_unit")
    for i, error in enumerate((0.1, 0.9, 0.5)):
        score = TileScore("m", "A2", "s", "s", i, 0, 50.0, {"mae_unit": error})
        by_error.offer(score, lambda: exhibit_of(np.zeros((2, 2)), np.zeros((2, 2))))
    assert (by_error.best[0].score.row_off, by_error.worst[0].score.row_off) == (0, 1)


def test_relief_upside_down_is_shown_upside_down():
    z = hills(0)
    score = TileScore("m", "A2", "s", "s", 0, 0, 100.0, {})
    upright = dict(four_pictures(Exhibit(score, **exhibit_of(z, z / 7))))
    turned = dict(four_pictures(Exhibit(score, **exhibit_of(z, -z))))
    (truth,) = (picture for label, picture in upright.items() if label.startswith("truth"))
    (same,) = (picture for label, picture in upright.items() if label.startswith("predicted"))
    (other,) = (picture for label, picture in turned.items() if label.startswith("predicted"))
    # Shading is drawn in 8 bits; the scale of a seventh is made good.
    assert np.abs(truth.astype(int) - same).max() <= 1
    assert np.corrcoef(truth.ravel(), other.ravel())[0, 1] < -0.5
    assert len(upright) == 3
    assert len(four_pictures(Exhibit(score, **exhibit_of(z, z, np.repeat(z[None], 3, axis=0))))) == 4


def test_error_colours():
    low, right, high, none = error_colours(np.array([[-9.0, 0.0, 9.0, np.nan]]), 5.0)[0].astype(int)
    assert low[2] > low[0] + 80
    assert high[0] > high[2] + 80
    assert right.min() > 230
    assert tuple(none) == (128, 128, 128)


def test_charts_place_what_they_are_given():
    axes = Axes("x", "y", ((0.0, "0"), (1.0, "1")), ((0.0, "0"), (1.0, "1")), diagonal=True)
    html = curves("t", [Curve("one", ((0.0, 0.0), (0.5, math.nan), (0.7, 2.0), (1.0, 1.0)), "s1")], axes)
    (points,) = re.findall(r'polyline points="([^"]*)"', html)
    (x0, y0), (x1, y1) = ([float(v) for v in p.split(",")] for p in points.split())
    assert x0 < x1
    assert y0 > y1  # upwards; what is beyond the axis is left out
    assert re.search(rf'<line class="rule" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"', html)
    html = bars("t", [Bar("a", 0.5, 0.4, 0.6, "s1"), Bar("b", -0.5, math.nan, math.nan, "s2")], percent=True)
    assert "50 %" in html
    assert "-50 %" in html
    assert html.count('class="ci"') == 1
    left, right = (float(v) for v in re.findall(r'fill" style="left:([\d.]+)%', html))
    assert left > right  # zero lies inside, negative bars end there


def test_a_place_without_reference_system_has_no_coordinates():
    assert Grid.local((4, 4), 30.0).lonlat(1, 1) is None
    score = TileScore("m", "A2", "s", "s", 0, 0, 100.0, {"pearson_r": 0.5})
    gallery = Gallery(1)
    gallery.offer(score, lambda: exhibit_of(hills(1), hills(2), lonlat=None))
    page = build_report(replace(evaluation(), gallery=gallery), FACTS)
    assert "\N{DEGREE SIGN} E" not in page
    assert "138.75\N{DEGREE SIGN} E" in build_report(evaluation(), FACTS)
    assert "36.50\N{DEGREE SIGN} S" in build_report(evaluation(), FACTS)
