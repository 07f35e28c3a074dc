"""--mean_value: numbers, .npy and .binaryproto files, and everything that is none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xportdnn import caffemodel
from xportdnn.errors import UsageError, WeightsError
from xportdnn.transformer import mean_from

CIFAR_MEAN = Path(__file__).parents[2] / "shared" / "models" / "cifar10_mean.binaryproto"


def noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


class TestMeanValue:
    @pytest.mark.parametrize(
        ("text", "channels", "values"),
        [
            pytest.param("104,117,123", 3, [104, 117, 123], id="three"),
            pytest.param("104.007, 116.669, 122.679", 3, [104.007, 116.669, 122.679], id="spaces"),
            pytest.param("127.5", 3, [127.5, 127.5, 127.5], id="one-for-all"),
            pytest.param("33.3", 1, [33.3], id="gray"),
            pytest.param("-1,.5", 2, [-1, 0.5], id="two"),
        ],
    )
    def test_numbers(self, text: str, channels: int, values: list[float]) -> None:
        mean, note = mean_from(text, channels, (5, 7))
        np.testing.assert_array_equal(mean, np.array(values, np.float32))
        assert (mean.dtype.name, note) == ("float32", None)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            pytest.param("104,117", "104,117 has 2 values; the network's input has 3 channels", id="two-for-three"),
            pytest.param("1,2,3,4", "has 4 values", id="four-for-three"),
            pytest.param("104;117;123", "104;117;123 is neither numbers separated by commas", id="semicolons"),
            pytest.param("104,117,", "104,117, is neither", id="empty-value"),
            pytest.param("", "is neither", id="empty"),
            pytest.param("mean.npz", "mean.npz is neither", id="other-file"),
            pytest.param("nan", "must be finite", id="nan"),
            pytest.param("1e39", "must be finite in float32", id="too-large"),
            pytest.param("gone.npy", "gone.npy cannot be read: No such file", id="no-file"),
        ],
    )
    def test_what_is_no_mean(self, text: str, said: str) -> None:
        with pytest.raises(UsageError, match=said):
            mean_from(text, 3, (5, 7))

    @pytest.mark.parametrize("shape", [(3,), (3, 1, 1), (1, 3, 1, 1)], ids=str)
    def test_a_file_of_one_value_per_channel(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        np.save(tmp_path / "mean.npy", np.array([1, 2, 3], np.float64).reshape(shape))
        mean, note = mean_from(str(tmp_path / "mean.npy"), 3, (5, 7))
        assert (mean.tolist(), mean.dtype.name, note) == ([1, 2, 3], "float32", None)

    @pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)], ids=str)
    def test_a_file_of_one_value(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        np.save(tmp_path / "mean.npy", np.full(shape, 7, np.uint8))
        assert mean_from(str(tmp_path / "mean.npy"), 3, (5, 7))[0].tolist() == [7, 7, 7]

    @pytest.mark.parametrize("shape", [(3, 5, 7), (1, 3, 5, 7)], ids=str)
    def test_a_file_of_the_inputs_size(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        values = noise(*shape)
        np.save(tmp_path / "mean.npy", values)
        mean, note = mean_from(str(tmp_path / "mean.npy"), 3, (5, 7))
        np.testing.assert_array_equal(mean, values.reshape(3, 5, 7))
        assert note is None

    def test_a_gray_file_needs_no_axis_for_its_channel(self, tmp_path: Path) -> None:
        np.save(tmp_path / "mean.npy", noise(5, 7))
        assert mean_from(str(tmp_path / "mean.npy"), 1, (5, 7))[0].shape == (1, 5, 7)

    def test_a_larger_file_is_cropped_to_its_centre(self, tmp_path: Path) -> None:
        values = noise(3, 8, 11)
        np.save(tmp_path / "mean.npy", values)
        mean, note = mean_from(str(tmp_path / "mean.npy"), 3, (5, 7))
        # data_transformer.cpp: h_off = (8 - 5) / 2 and w_off = (11 - 7) / 2 in whole numbers.
        np.testing.assert_array_equal(mean, values[:, 1:6, 2:9])
        assert note is not None
        assert note.endswith("mean.npy: the centre 3x5x7 of the 3x8x11 mean is used, as Caffe does when testing")

    @pytest.mark.parametrize(
        "shape", [(3, 4, 11), (3, 8, 6), (1, 8, 11), (8, 11), (8, 11, 3), (2, 3, 8, 11), (4,), (0,)], ids=str
    )
    def test_a_file_that_does_not_fit_is_refused_with_both_shapes(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        np.save(tmp_path / "mean.npy", np.ones(shape, np.float32))
        with pytest.raises(UsageError, match=f"the mean is {'x'.join(map(str, shape))}; the network's input is 3x5x7"):
            mean_from(str(tmp_path / "mean.npy"), 3, (5, 7))

    @pytest.mark.parametrize(
        "values",
        [
            pytest.param(np.ones(3, np.complex64), id="complex"),
            pytest.param(np.array(["1", "2", "3"]), id="text"),
            pytest.param(np.array([True, True, False]), id="bool"),
        ],
    )
    def test_a_file_without_real_numbers_is_refused(self, tmp_path: Path, values: NDArray[Any]) -> None:
        np.save(tmp_path / "mean.npy", values)
        with pytest.raises(UsageError, match=f"it holds {values.dtype}"):
            mean_from(str(tmp_path / "mean.npy"), 3, (5, 7))

    def test_a_file_written_by_python_2_is_read_without_a_word(self, tmp_path: Path) -> None:
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3L,), }".ljust(117) + b"\n"
        values = np.array([1, 2, 3], "<f4")
        (tmp_path / "mean.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + header + values.tobytes())
        assert mean_from(str(tmp_path / "mean.npy"), 3, (5, 7))[0].tolist() == [1, 2, 3]

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_damage_in_a_header_gives_a_mean_or_a_usage_error(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "damaged.npy"
        np.save(path, np.ones(3, np.float32))
        damaged = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, 70))] = data.draw(st.integers(0, 255) | st.sampled_from(b"(){}',:L 0"))
        path.write_bytes(damaged)
        try:
            mean, _ = mean_from(str(path), 3, (5, 7))
        except UsageError:
            return
        assert mean.shape[0] == 3

    def test_an_infinite_value_in_a_file_is_refused(self, tmp_path: Path) -> None:
        np.save(tmp_path / "mean.npy", np.array([1, 1e300, 1]))
        with pytest.raises(UsageError, match=r"mean\.npy: every value must be finite in float32"):
            mean_from(str(tmp_path / "mean.npy"), 3, (5, 7))

    @pytest.mark.parametrize("cut", [0, 5, 100, 130])
    def test_a_damaged_file_is_refused(self, tmp_path: Path, cut: int) -> None:
        np.save(tmp_path / "mean.npy", np.ones(3, np.float64))
        data = (tmp_path / "mean.npy").read_bytes()
        (tmp_path / "mean.npy").write_bytes(data[:cut])
        with pytest.raises(UsageError, match=r"is not a complete \.npy file of real numbers"):
            mean_from(str(tmp_path / "mean.npy"), 3, (5, 7))

    def test_an_archive_named_npy_is_refused(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "mean.npz", mean=np.ones(3))
        (tmp_path / "mean.npz").rename(tmp_path / "mean.npy")
        with pytest.raises(UsageError, match=r"is not a complete \.npy file of real numbers"):
            mean_from(str(tmp_path / "mean.npy"), 3, (5, 7))

    def test_a_binaryproto_is_read_as_a_blob(self, monkeypatch: pytest.MonkeyPatch) -> None:
        blobs = {"some/mean.binaryproto": noise(1, 3, 8, 11)}
        monkeypatch.setattr(caffemodel, "read_blob", lambda path: blobs[str(path)])
        mean, note = mean_from("some/mean.binaryproto", 3, (5, 7))
        np.testing.assert_array_equal(mean, noise(1, 3, 8, 11)[0, :, 1:6, 2:9])
        assert note is not None

    def test_a_broken_binaryproto_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "mean.binaryproto").write_bytes(b"<html>")
        with pytest.raises(WeightsError, match=r"mean\.binaryproto"):
            mean_from(str(tmp_path / "mean.binaryproto"), 3, (5, 7))

    @pytest.mark.skipif(not CIFAR_MEAN.is_file(), reason="the shared Caffe models are not there")
    def test_caffes_own_cifar_mean(self) -> None:
        mean, note = mean_from(str(CIFAR_MEAN), 3, (32, 32))
        assert (mean.shape, note) == ((3, 32, 32), None)
        assert mean.mean(axis=(1, 2)) == pytest.approx([125, 123, 114], abs=1)
