import logging
import os

import numpy as np
import pytest

from im2dem.core.errors import OutputError
from im2dem.core.levelling import OverlapStats
from im2dem.core.tiles import TilePlan
from im2dem.runtime.spool import RowRecord, Spool, TileRecord

PLAN = TilePlan((150, 100), 64, 16)
PAIR = OverlapStats(0, 1, 0.1, 1 / 3, 2.0, 3.0, 4.0, 0.5)


def tile_data(tile):
    data = np.random.default_rng(tile.index).normal(size=(2, *PLAN.tile_shape)).astype(np.float32)
    data[:, :3] = np.nan
    return data


def spool(folder, *, resume=True, fingerprint="a", durable=True):
    return Spool(folder, PLAN, 2, fingerprint=fingerprint, resume=resume, durable=durable)


def fill_rows(store, rows):
    for row in rows:
        for tile in PLAN.row(row):
            store.write(tile, tile_data(tile))
        records = tuple(TileRecord(t.index, 0.1 * t.index, 1 / 7) for t in PLAN.row(row))
        store.finish_row(RowRecord(row, records, (PAIR,)))


def test_tiles_and_records_come_back(tmp_path):
    with spool(tmp_path / "new" / "folder") as store:
        fill_rows(store, [0, 1])
    with spool(tmp_path / "new" / "folder") as again:
        assert again.rows == store.rows
        assert again.rows[0].pairs == (PAIR,)
        fill_rows(again, [2])
        for tile in PLAN:
            np.testing.assert_array_equal(again.read(tile), tile_data(tile))


@pytest.mark.parametrize("change", ["fingerprint", "no resume"])
def test_another_run_starts_over(tmp_path, caplog, change):
    with spool(tmp_path) as store:
        fill_rows(store, [0])
    with caplog.at_level(logging.WARNING, "im2dem"):
        if change == "fingerprint":
            other = spool(tmp_path, fingerprint="b")
            assert "starting over" in caplog.text
        else:
            other = spool(tmp_path, resume=False)
    with other:
        assert other.rows == []
    with spool(tmp_path, fingerprint="b" if change == "fingerprint" else "a") as last:
        assert last.rows == []


def test_another_plan_starts_over(tmp_path):
    with spool(tmp_path) as store:
        fill_rows(store, [0])
    with Spool(tmp_path, TilePlan((151, 100), 64, 16), 2, fingerprint="a", resume=True) as other:
        assert other.rows == []


@pytest.mark.parametrize("torn", [b'{"row":1,"til', b"\x00\xff\n", b'{"row":5,"tiles":[],"pairs":[]}\n', b"3\n"])
def test_a_torn_journal_counts_up_to_the_tear(tmp_path, torn):
    with spool(tmp_path) as store:
        fill_rows(store, [0])
    with (tmp_path / "journal.jsonl").open("ab") as journal:
        journal.write(torn)
    with spool(tmp_path) as again:
        assert again.rows == store.rows[:1]
        fill_rows(again, [1])
    with spool(tmp_path) as last:
        assert [r.row for r in last.rows] == [0, 1]


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_tiles_that_are_not_there_are_made_again(tmp_path, damage):
    with spool(tmp_path) as store:
        fill_rows(store, [0])
    if damage == "cut":
        os.truncate(tmp_path / "tiles.f32", 100)
    else:
        (tmp_path / "tiles.f32").unlink()
    with spool(tmp_path) as again:
        assert again.rows == []


def test_an_empty_journal_starts_over(tmp_path):
    (tmp_path / "journal.jsonl").write_bytes(b"")
    with spool(tmp_path) as store:
        assert store.rows == []


def test_reading_beyond_the_end_is_an_error(tmp_path):
    with spool(tmp_path) as store, pytest.raises(OutputError, match="cut off"):
        store.read(PLAN.tile(1, 1))


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="scratch"):
        spool(tmp_path / "file" / "folder")
