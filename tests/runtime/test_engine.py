import math
import threading
import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from fakes import (
    CountingReader,
    FunctionModel,
    IdentityModel,
    InterruptingModel,
    MemoryWriter,
    NullWriter,
    OffsetGainModel,
    RampModel,
    SlowModel,
    VirtualReader,
    picture,
)
from im2dem.core.errors import ModelError, NoDataError, OutputError, UsageError
from im2dem.core.tiles import TilePlan
from im2dem.runtime.engine import ApplyOptions, apply_model

PLAIN = ApplyOptions(level=False, centre=False)


def relief(shape, seed=0, bands=1):
    """Smooth random heights with a spread of 100."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.normal(size=(bands, *shape)), (0, 9, 9), mode="wrap")
    return 100 * field / max(field.std(), 1e-9)


def apply(reader, model, options=None, progress=None):
    writer = MemoryWriter()
    report = apply_model(reader, model, writer, options, progress)
    return writer.data, report


SHAPES = [(1, 1), (1, 200), (200, 1), (5, 7), (63, 64), (65, 65), (100, 333), (700, 531)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("options", [PLAIN, ApplyOptions()], ids=["one pass", "two passes"])
def test_identity_comes_back_everywhere(shape, options):
    data = np.random.default_rng(1).normal(500, 100, (3, *shape)).astype(np.float32)
    (height, sigma), report = apply(picture(data), IdentityModel(), options)
    expected = data[0] - (data[0].mean(dtype=np.float64) if options.centre else 0)
    # A few roundings of float32 at 1000: 6e-5 each; levelling adds the rounding of its offsets.
    assert np.abs(height - expected).max() < 4e-4
    np.testing.assert_allclose(sigma, 0.1, rtol=1e-5)
    assert report.tiles == len(TilePlan(shape, 64, 16))
    assert report.skipped == 0


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_batches_do_not_change_the_result(batch):
    data = relief((150, 300))
    out, _ = apply(picture(data), IdentityModel(), ApplyOptions(batch=batch))
    single, _ = apply(picture(data), IdentityModel(), ApplyOptions())
    np.testing.assert_array_equal(out, single)


def test_each_pixel_is_read_once_in_rows_of_full_width():
    reader = CountingReader(picture(relief((300, 200), bands=3)))
    apply(reader, IdentityModel())
    stops = [w.row_stop for w in reader.windows]
    assert [w.row_off for w in reader.windows] == [0, *stops[:-1]]
    assert stops[-1] == 300
    assert {(w.col_off, w.width) for w in reader.windows} == {(0, 200)}


@pytest.mark.parametrize(
    ("shape", "min_px", "side"),
    [((1, 1), 1, 32), ((1, 1), 64, 64), ((33, 20), 1, 64), ((90, 70), 64, 96), ((500, 90), 64, 128)],
)
def test_small_pictures_are_padded_to_what_the_model_takes(shape, min_px, side):
    sides = set()

    def watch(batch):
        sides.add(batch.shape[2])
        return batch[:, 0]

    model = FunctionModel(tile_px=128, overlap_px=16, min_px=min_px, function=watch)
    data = relief(shape)
    out, _ = apply(picture(data), model, PLAIN)
    assert sides == {side}
    np.testing.assert_allclose(out[0], data[0], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(("tile_px", "side"), [(None, 100), (100, 100), (70, 96), (200, 224)])
def test_the_models_own_side_is_kept_and_others_are_rounded_up(tile_px, side):
    sides = set()
    model = FunctionModel(tile_px=100, function=lambda batch: sides.add(batch.shape[2]) or batch[:, 0])
    out, _ = apply(picture(relief((300, 250))), model, ApplyOptions(tile_px=tile_px, level=False, centre=False))
    assert sides == {side}
    assert out.shape == (2, 300, 250)


def test_padding_mirrors_the_picture():
    seen = []
    model = FunctionModel(function=lambda batch: seen.append(batch[0, 0]) or batch[:, 0])
    apply(picture(np.array([[1.0, 2.0, 3.0]])), model, PLAIN)
    np.testing.assert_array_equal(seen[0][5, :7], [1, 2, 3, 3, 2, 1, 1])


@pytest.mark.parametrize("options", [PLAIN, ApplyOptions()], ids=["one pass", "two passes"])
def test_no_data_stays_no_data_and_empty_tiles_are_skipped(options):
    data = relief((300, 260), bands=3)
    data[1, 100:120, 40:70] = np.nan  # one band is enough
    data[:, 150:, 130:] = np.nan
    data[:, :70] = np.nan  # the first row of tiles altogether
    model = IdentityModel()
    out, report = apply(picture(data), model, options)
    invalid = ~np.isfinite(data).all(axis=0)
    np.testing.assert_array_equal(np.isnan(out), [invalid, invalid])
    plan = TilePlan((300, 260), 64, 16)
    empty = sum(invalid[t.window.slices()].all() for t in plan)
    assert report.skipped == empty > 8
    assert model.calls == len(plan) - empty
    shift = np.nanmean((out[0] - data[0])[~invalid])
    # Disconnected parts may each have their own level only when tiles disagree; here they do not.
    assert np.abs((out[0] - data[0])[~invalid] - shift).max() < 1e-3


def test_one_valid_pixel_is_enough():
    data = np.full((3, 200, 150), np.nan)
    data[:, 120, 60] = 7.0
    out, report = apply(picture(data), IdentityModel(), PLAIN)
    assert out[0, 120, 60] == pytest.approx(7, rel=1e-6)
    assert np.isfinite(out[0]).sum() == 1
    centred, _ = apply(picture(data), IdentityModel())
    assert centred[0, 120, 60] == pytest.approx(0, abs=1e-5)
    assert report.tiles - report.skipped in (1, 2, 4)


@pytest.mark.parametrize("options", [PLAIN, ApplyOptions()], ids=["one pass", "two passes"])
def test_nothing_is_written_for_a_picture_without_data(options):
    writer, model = MemoryWriter(), IdentityModel()
    with pytest.raises(NoDataError, match="200 x 100"):
        apply_model(picture(np.full((3, 200, 100), np.nan)), model, writer, options)
    assert writer.row == 0
    assert model.calls == 0


def test_the_mean_of_the_result_is_zero():
    data = relief((250, 333)) + 800
    data[:, 30:90, 200:] = np.nan
    out, _ = apply(picture(data), OffsetGainModel(log_gain=0.2, noise=1.0))
    assert np.nanmean(out[0], dtype=np.float64) == pytest.approx(0, abs=1e-3)


def test_sigma_follows_the_gain():
    """Where a tile's heights are stretched, so is its uncertainty."""
    data = relief((64, 250))
    model = OffsetGainModel(log_gain=0.5, offset=0)
    (height, sigma), report = apply(picture(data), model)
    plan = TilePlan((64, 250), 64, 16)
    for tile, (_, gain) in zip(plan, model.given, strict=True):
        # Columns 16 to 47 of a tile belong to it alone.
        cols = slice(tile.window.col_off + 24, tile.window.col_off + 40)
        slope = np.polyfit(data[0][:, cols].ravel(), height[:, cols].ravel(), 1)[0]
        np.testing.assert_allclose(sigma[:, cols], 0.1 * slope / gain, rtol=1e-3)
    assert report.levels.gain_max > 1.2


def seam_ratio(error, plan):
    """RMS of the height error's gradient where tiles overlap over the same elsewhere."""
    count = np.zeros(plan.shape, int)
    for tile in plan:
        count[tile.window.slices()] += 1
    steep = np.hypot(*np.gradient(error))
    return math.sqrt(np.mean(steep[count > 1] ** 2) / np.mean(steep[count == 1] ** 2))


@pytest.mark.parametrize(("log_gain", "before"), [(0.0, 5.0), (0.4, 1.5)])
def test_levelling_removes_the_seams(log_gain, before):
    shape, truth = (400, 500), relief((400, 500))[0]
    plan = TilePlan(shape, 64, 16)

    def run(level):
        model = OffsetGainModel(log_gain=log_gain, noise=0.5)
        out, report = apply(picture(truth), model, ApplyOptions(level=level))
        # The scene's own gain is free, but where seams drown the relief a fit would only hide both.
        slope, offset = np.polyfit(out[0].ravel(), truth.ravel(), 1) if level else (1.0, 0.0)
        return slope * out[0] + offset - truth, report

    (rough, none), (smooth, report) = run(False), run(True)
    assert none.levels is None
    assert seam_ratio(rough, plan) > before
    assert seam_ratio(smooth, plan) < 1.1
    near = near_seams(plan)
    assert np.sqrt(np.mean(smooth[near] ** 2) / np.mean(smooth[~near] ** 2)) < 1.1
    assert np.std(smooth) < 0.05 * np.std(rough)
    assert report.levels.step_after < 0.05 * report.levels.step_before
    assert report.levels.offset_spread > 40
    assert report.levels.groups == 1


def near_seams(plan, px=8):
    """True within `px` of a tile's side inside the scene."""
    near = np.zeros(plan.shape, bool)
    for tile in plan:
        w = tile.window
        for row in {w.row_off, w.row_stop} - {0, plan.shape[0]}:
            near[max(row - px, 0) : row + px] = True
        for col in {w.col_off, w.col_stop} - {0, plan.shape[1]}:
            near[:, max(col - px, 0) : col + px] = True
    return near


def test_offsets_alone_when_gains_are_not_wanted():
    _, report = apply(picture(relief((200, 200))), OffsetGainModel(log_gain=0.3), ApplyOptions(level_gain=False))
    assert (report.levels.gain_min, report.levels.gain_max) == (1, 1)


def test_a_ramp_in_every_tile_becomes_one_ramp():
    """Tiles that know only their own slope join to one slope over the scene."""
    out, _ = apply(picture(np.zeros((64, 400))), RampModel())
    assert np.abs(np.diff(out[0], axis=1) - 1).max() < 1e-3


def interrupted(folder, at, data):
    options = ApplyOptions(scratch=folder, resume=True, fingerprint="x")
    writer = MemoryWriter()
    with pytest.raises(KeyboardInterrupt):
        apply_model(picture(data), InterruptingModel(at=at), writer, options)
    assert writer.row == 0
    return options


@pytest.mark.parametrize("at", [0, 3, 4, 13, 19])
def test_resumed_equals_uninterrupted_byte_for_byte(tmp_path, at):
    data = relief((230, 180), bands=3)
    data[:, 40:80, :50] = np.nan
    whole, report = apply(picture(data), IdentityModel())
    options = interrupted(tmp_path, at, data)
    model = IdentityModel()
    resumed, again = apply(picture(data), model, options)
    assert resumed.tobytes() == whole.tobytes()
    assert again.resumed == at // 4 * 4
    assert model.calls == 20 - again.resumed
    assert again.levels == report.levels


def test_resuming_a_finished_run_predicts_nothing(tmp_path):
    data = relief((230, 180))
    options = ApplyOptions(scratch=tmp_path, resume=True)
    first, _ = apply(picture(data), IdentityModel(), options)
    model, reader = IdentityModel(), CountingReader(picture(data))
    again, report = apply(reader, model, options)
    assert (model.calls, reader.windows, report.resumed) == (0, [], report.tiles)
    assert again.tobytes() == first.tobytes()


def test_another_fingerprint_starts_over(tmp_path):
    data = relief((230, 180))
    interrupted(tmp_path, 13, data)
    model = IdentityModel()
    apply(picture(data), model, ApplyOptions(scratch=tmp_path, resume=True, fingerprint="y"))
    assert model.calls == 20


def test_without_a_scratch_folder_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        apply_model(picture(relief((230, 180))), InterruptingModel(at=5), NullWriter())
    apply_model(picture(relief((230, 180))), IdentityModel(), NullWriter())
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_reader_come_through():
    class Broken(VirtualReader):
        def read(self, window):
            if window.row_off > 100:
                raise OSError("the cable was pulled")
            return super().read(window)

    with pytest.raises(OSError, match="cable"):
        apply_model(Broken((300, 100)), IdentityModel(), NullWriter())


@pytest.mark.parametrize("options", [PLAIN, ApplyOptions()], ids=["one pass", "two passes"])
def test_answers_that_cannot_be(options):
    model = FunctionModel(function=lambda batch: np.where(batch[:, 0] > 50, np.nan, 0))
    with pytest.raises(ModelError, match=r"tile .* not finite"):
        apply_model(picture(relief((100, 100))), model, NullWriter(), options)

    class Cropping(IdentityModel):
        def __call__(self, batch):
            return super().__call__(batch)[..., 1:]

    with pytest.raises(ModelError, match="wanted"):
        apply_model(picture(relief((100, 100))), Cropping(), NullWriter(), options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tile_px": 32}, "at least 64"),
        ({"overlap_px": 64}, "overlap"),
        ({"batch": 0}, "batch"),
        ({"resume": True}, "scratch"),
    ],
)
def test_settings_that_do_not_go_together(options, match):
    with pytest.raises(UsageError, match=match):
        apply_model(picture(relief((100, 100))), IdentityModel(min_px=64), NullWriter(), ApplyOptions(**options))


def test_progress_counts_up_to_the_end():
    calls = []
    _, report = apply(picture(relief((230, 180))), IdentityModel(), None, lambda *args: calls.append(args))
    stages = {stage: [(done, total) for s, done, total in calls if s == stage] for stage, _, _ in calls}
    assert list(stages) == ["predict", "level", "write"]
    assert stages["predict"] == [(i + 1, report.tiles) for i in range(report.tiles)]
    assert stages["level"] == [(0, 1), (1, 1)]
    assert stages["write"][-1] == (230, 230)
    assert sorted(stages["write"]) == stages["write"]


def test_reading_happens_while_the_model_works():
    """The model answers for a row only after the next one was asked for: without a second thread, never."""
    asked = [threading.Event() for _ in range(6)]

    class Telling(VirtualReader):
        def read(self, window):
            next(event for event in asked if not event.is_set()).set()
            return super().read(window)

    class Waiting(IdentityModel):
        def __call__(self, batch):
            assert asked[min(self.calls + 1, 5)].wait(10)
            return super().__call__(batch)

    _, report = apply(Telling((300, 64)), Waiting(), PLAIN)
    assert report.tiles == 6


def test_the_report_says_where_time_went():
    _, report = apply(VirtualReader((64, 160)), SlowModel(seconds=0.02))
    assert report.tiles == 3
    assert 0.06 <= report.seconds["model"] <= report.seconds["wall"]
    assert set(report.seconds) == {"read", "model", "level", "spool", "blend", "write", "wall"}


def test_a_flat_sea_is_levelled_too():
    out, report = apply(picture(np.zeros((200, 200))), OffsetGainModel())
    assert report.levels.step_before > 10
    np.testing.assert_allclose(out[0], 0, atol=1e-3)


@pytest.mark.parametrize("most", [1, 3])
def test_calls_of_the_model_at_once(most):
    """As many as the model says, whichever comes back first; the answers stay in order."""
    lock, turn, under_way, seen = threading.Lock(), iter(range(1000)), 0, []

    def answer(batch):
        nonlocal under_way
        with lock:
            under_way += 1
            seen.append(under_way)
            wait = 0.03 if next(turn) % 3 == 0 else 0.002
        time.sleep(wait)
        with lock:
            under_way -= 1
        return batch[:, 0]

    model = FunctionModel(function=answer)
    model.calls_at_once = most
    data = relief((150, 300))
    out, report = apply(picture(data), model, PLAIN)
    np.testing.assert_allclose(out[0], data[0], atol=1e-3)
    assert max(seen) == most
    assert report.seconds["model"] <= report.seconds["wall"]


def test_the_model_works_on_while_rows_are_written():
    """The writer waits for the model to be two tiles further: one after the other, it would wait in vain."""
    calls, begun, total = [], threading.Condition(), len(TilePlan((300, 64), 64, 16))

    def answer(batch):
        with begun:
            calls.append(threading.get_ident())
            begun.notify_all()
        return batch[:, 0]

    class Waiting(MemoryWriter):
        threads = []  # noqa: RUF012

        def write(self, window, data):
            self.threads.append(threading.get_ident())
            wanted = min(len(self.threads) + 2, total)
            with begun:
                assert begun.wait_for(lambda: len(calls) >= wanted, timeout=60)
            super().write(window, data)

    reader, writer = picture(relief((300, 64), bands=3)), Waiting()
    apply_model(reader, FunctionModel(function=answer), writer, PLAIN)
    np.testing.assert_allclose(writer.data[0], reader.data[0], atol=1e-3)
    assert len(calls) == len(writer.threads) == total
    assert len({*writer.threads, *calls, threading.get_ident()}) == 3


def test_what_the_writer_says_reaches_the_caller_and_ends_the_run():
    class Full(NullWriter):
        windows = 0

        def write(self, window, data):
            self.windows += 1
            raise OutputError("the disk is full")

    for options in (PLAIN, ApplyOptions()):
        writer = Full()
        with pytest.raises(OutputError, match="disk is full"):
            apply_model(picture(relief((300, 200), bands=3)), IdentityModel(), writer, options)
        assert writer.windows == 1
    assert not [t for t in threading.enumerate() if t.name.startswith("im2dem-")]
