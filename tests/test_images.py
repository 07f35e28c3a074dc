"""Decoding: pixel values by hand or by scikit-image, damage of every sort, and silence."""

from __future__ import annotations

import io
import os
import struct
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from xportdnn.errors import ImageError
from xportdnn.images import Kind, decode, load

NASTY = Path(__file__).parents[2] / "shared" / "images" / "nasty"
needs_nasty = pytest.mark.skipif(not NASTY.is_dir(), reason="the shared decoder torture files are not there")
HEIGHT, WIDTH = 5, 7
img_as_float: Any = skimage.util.img_as_float


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape or (HEIGHT, WIDTH, 3), dtype=np.uint8)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def palette_image() -> Image.Image:
    """Indices 0 and 1 in turn: orange and blue."""
    image = Image.new("P", (WIDTH, HEIGHT))
    image.putpalette([255, 128, 0, 0, 0, 255])
    image.paste(1, (0, 0, 3, HEIGHT))
    return image


class WithoutPillowAndNumPy(MetaPathFinder):
    """A finder for `sys.meta_path` that refuses both packages."""

    @classmethod
    def find_spec(cls, name: str, path: Any, target: ModuleType | None = None) -> None:
        if name in ("PIL", "numpy"):
            raise ModuleNotFoundError(f"{name} is imported too early")


def png_of_16_bit_rgb(values: NDArray[np.uint16]) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class TestPixels:
    def test_rgb_is_divided_by_255(self) -> None:
        pixels = noise()
        image, kind = decode(encoded(Image.fromarray(pixels), "PNG"), 3)
        np.testing.assert_array_equal(image, img_as_float(pixels).astype(np.float32))
        assert (image.dtype.name, str(kind)) == ("float32", "RGB")

    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            pytest.param(np.arange(256, dtype=np.uint8).reshape(8, 32), "gray", id="8-bit"),
            pytest.param(np.arange(65536, dtype=np.uint16).reshape(128, 512), "16-bit gray", id="16-bit"),
        ],
    )
    def test_every_gray_value_is_that_of_img_as_float(self, values: NDArray[Any], kind: str) -> None:
        image, found = decode(encoded(Image.fromarray(values), "PNG"), 1)
        np.testing.assert_array_equal(image[:, :, 0], img_as_float(values).astype(np.float32))
        assert str(found) == kind

    def test_gray_fills_three_equal_channels(self) -> None:
        image, _ = decode(encoded(Image.fromarray(noise(HEIGHT, WIDTH)), "PNG"), 3)
        assert image.shape == (HEIGHT, WIDTH, 3)
        assert (image == image[:, :, :1]).all()

    def test_colours_become_gray_by_scikit_images_weights(self) -> None:
        pixels = noise(31, 43, 3)
        image, _ = decode(encoded(Image.fromarray(pixels), "PNG"), 1)
        np.testing.assert_array_equal(image[:, :, 0], skimage.color.rgb2gray(pixels).astype(np.float32))

    def test_gray_stored_as_rgb_keeps_its_values(self) -> None:
        gray = np.arange(256, dtype=np.uint8).reshape(8, 32)
        image, _ = decode(encoded(Image.fromarray(np.dstack([gray] * 3)), "PNG"), 1)
        np.testing.assert_array_equal(image[:, :, 0], (gray / 255).astype(np.float32))

    @pytest.mark.parametrize("channels", [1, 3])
    def test_alpha_is_dropped_from_gray(self, channels: int) -> None:
        pixels = noise(HEIGHT, WIDTH, 2)
        image, kind = decode(encoded(Image.fromarray(pixels, "LA"), "PNG"), channels)
        np.testing.assert_array_equal(image, np.repeat(np.float32(pixels[:, :, :1] / 255), channels, axis=2))
        assert str(kind) == "gray+alpha"

    def test_alpha_is_dropped_from_colours_also_where_nothing_is_opaque(self) -> None:
        pixels = noise(HEIGHT, WIDTH, 4)
        pixels[0, :, 3] = 0
        image, kind = decode(encoded(Image.fromarray(pixels, "RGBA"), "PNG"), 3)
        np.testing.assert_array_equal(image, np.float32(pixels[:, :, :3] / 255))
        assert str(kind) == "RGBA"

    @pytest.mark.parametrize(
        ("options", "kind"),
        [
            pytest.param({}, "palette", id="opaque"),
            pytest.param({"transparency": 1}, "palette+transparency", id="one-colour"),
            pytest.param({"transparency": bytes([0, 9])}, "palette+transparency", id="alpha-per-colour"),
        ],
    )
    def test_palette_gives_its_colours(self, options: dict[str, Any], kind: str) -> None:
        image, found = decode(encoded(palette_image(), "PNG", **options), 3)
        assert image[0, 0].tolist() == [0, 0, 1]
        assert image[0, 6].tolist() == [1, np.float32(128 / 255), 0]
        assert str(found) == kind

    def test_one_bit_is_0_or_1(self) -> None:
        bits = noise(HEIGHT, WIDTH) > 127
        image, kind = decode(encoded(Image.fromarray(bits), "PNG"), 1)
        np.testing.assert_array_equal(image[:, :, 0], bits)
        assert str(kind) == "1-bit"

    @pytest.mark.parametrize("file_format", ["TIFF", "JPEG"])
    def test_cmyk_is_converted_by_pillow(self, file_format: str) -> None:
        data = encoded(Image.fromarray(noise(HEIGHT, WIDTH, 4), "CMYK"), file_format)
        image, kind = decode(data, 3)
        expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        np.testing.assert_array_equal(image, np.float32(expected / 255))
        assert str(kind) == "CMYK"

    def test_16_bit_colours_keep_their_upper_byte(self) -> None:
        values = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
        image, _ = decode(png_of_16_bit_rgb(values), 3)
        np.testing.assert_allclose(image, values / 65535, atol=1 / 255)

    @pytest.mark.parametrize("order", [pytest.param("<", id="little"), pytest.param(">", id="big")])
    def test_16_bit_tiff_of_either_byte_order(self, order: str) -> None:
        values = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 1800
        mode = "I;16" if order == "<" else "I;16B"
        data = encoded(Image.frombytes(mode, (WIDTH, HEIGHT), values.astype(f"{order}u2").tobytes()), "TIFF")
        image, _ = decode(data, 1)
        np.testing.assert_array_equal(image[:, :, 0], np.float32(values / 65535))

    def test_32_bit_integers_with_16_bit_values_count_as_16_bit(self) -> None:
        values = np.array([[0, 1, 65535]], np.int32)
        image, kind = decode(encoded(Image.fromarray(values), "TIFF"), 1)
        np.testing.assert_array_equal(image[:, :, 0], np.float32(values / 65535))
        assert str(kind) == "16-bit gray"

    def test_16_bit_pgm_is_scaled_by_its_own_maximum(self) -> None:
        image, _ = decode(b"P5 2 1 1023\n" + struct.pack(">HH", 1023, 0), 1)
        assert image.ravel().tolist() == [1, 0]

    def test_floats_within_0_and_1_are_taken_as_they_are(self) -> None:
        values = np.array([[0, 0.25, 1]], np.float32)
        image, kind = decode(encoded(Image.fromarray(values), "TIFF"), 1)
        np.testing.assert_array_equal(image[:, :, 0], values)
        assert str(kind) == "float gray"

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            pytest.param(np.array([[0, 255]], np.float32), "from 0 to 255 instead of 0 to 1", id="float-of-255"),
            pytest.param(np.array([[0, np.nan]], np.float32), "from nan to nan", id="nan"),
            pytest.param(np.array([[-1, 5]], np.int32), "from -1 to 5 instead of 0 to 65535", id="negative"),
            pytest.param(np.array([[0, 65536]], np.int32), "to 65536 instead of 0 to 65535", id="32-bit"),
        ],
    )
    def test_values_of_unknown_scale_are_refused(self, values: NDArray[Any], reason: str) -> None:
        with pytest.raises(ImageError, match=reason):
            decode(encoded(Image.fromarray(values), "TIFF"), 1)

    def test_colours_without_a_conversion_are_refused_by_name(self) -> None:
        with pytest.raises(ImageError, match="stored as LAB"):
            decode(encoded(Image.fromarray(noise(), "LAB"), "TIFF"), 3)


class TestFrames:
    @pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF"])
    def test_the_first_frame_counts(self, file_format: str) -> None:
        frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "lime", "blue")]
        options = {"lossless": True} if file_format == "WEBP" else {}
        image, kind = decode(encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options), 3)
        assert np.unique(image.reshape(-1, 3), axis=0).tolist() == [[1, 0, 0]]
        assert str(kind).endswith(", first frame of several")

    def test_a_single_gif_is_not_called_a_frame(self) -> None:
        assert not decode(encoded(palette_image(), "GIF"), 3)[1].first_of_several


class TestUpright:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
    def test_the_picture_is_turned_by_its_exif(self, file_format: str, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {"lossless": True} if file_format == "WEBP" else {}
        data = encoded(Image.fromarray(noise()), file_format, exif=exif, **options)
        image, kind = decode(data, 3)
        expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
        np.testing.assert_array_equal(image, np.float32(expected / 255))
        assert kind == Kind("RGB", turned_upright=orientation > 1)

    def test_orientation_6_by_hand(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        gray = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)
        image, kind = decode(encoded(Image.fromarray(gray), "PNG", exif=exif), 1)
        np.testing.assert_array_equal(np.rint(image[:, :, 0] * 255), [[153, 0], [204, 51], [255, 102]])
        assert str(kind) == "gray, turned upright by EXIF"

    def test_16_bit_gray_is_turned_too(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 8
        values = np.array([[1, 2, 3]], np.uint16)
        image, _ = decode(encoded(Image.fromarray(values), "PNG", exif=exif), 1)
        np.testing.assert_array_equal(np.rint(image[:, :, 0] * 65535), [[3], [2], [1]])

    @pytest.mark.parametrize(
        "exif",
        [
            pytest.param(b"Exif\0\0", id="empty"),
            pytest.param(b"Exif\0\0no TIFF header at all", id="garbage"),
            pytest.param(b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0", id="cut"),
            pytest.param(
                b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, 9, 0) + bytes(4), id="nine"
            ),
        ],
    )
    def test_bad_exif_is_ignored_without_a_word(self, exif: bytes) -> None:
        data = encoded(Image.fromarray(noise()), "JPEG", exif=exif)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            image, kind = decode(data, 3)
        assert (image.shape, kind.turned_upright, caught) == ((HEIGHT, WIDTH, 3), False, [])


class TestDamage:
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
    @pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000"])
    def test_a_truncated_file_is_refused(self, file_format: str, share: float) -> None:
        data = encoded(Image.fromarray(noise(61, 83, 3)), file_format)
        with pytest.raises(ImageError):
            decode(data[: int(len(data) * share)], 3)

    def test_a_progressive_jpeg_without_its_last_scans_is_refused(self) -> None:
        data = encoded(Image.fromarray(noise(61, 83, 3)), "JPEG", progressive=True)
        with pytest.raises(ImageError, match="broken or incomplete"):
            decode(data[: len(data) * 9 // 10], 3)

    def test_pillows_switch_for_truncated_files_has_no_effect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        data = encoded(Image.fromarray(noise(61, 83, 3)), "JPEG")
        with pytest.raises(ImageError, match="truncated"):
            decode(data[: len(data) // 2], 3)
        assert ImageFile.LOAD_TRUNCATED_IMAGES

    def test_a_png_with_a_damaged_chunk_is_refused(self) -> None:
        data = bytearray(encoded(Image.fromarray(noise(61, 83, 3)), "PNG"))
        data[len(data) // 2] ^= 0xFF
        with pytest.raises(ImageError, match="broken or incomplete"):
            decode(bytes(data), 3)

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            pytest.param(b"", "empty", id="zero-size"),
            pytest.param(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS", id="lfs-pointer"),
            pytest.param(b"\n<!DOCTYPE html><html></html>", "HTML page", id="html"),
            pytest.param(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF", id="heif"),
            pytest.param(b"just some text", "no image format", id="text"),
            pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image format", id="postscript"),
            pytest.param(b"\x89PNG\r\n\x1a\n", "no image format", id="only-a-signature"),
        ],
    )
    def test_what_is_no_image_is_called_what_it_is(self, data: bytes, reason: str) -> None:
        with pytest.raises(ImageError, match=reason):
            decode(data, 3)

    @pytest.mark.parametrize("limit", [pytest.param(20, id="warning"), pytest.param(10, id="error")])
    def test_a_decompression_bomb_is_refused(self, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(ImageError, match="too many pixels"):
            decode(encoded(Image.fromarray(noise()), "PNG"), 3)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_damage_gives_a_picture_or_an_image_error(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "TGA"]))
        damaged = bytearray(encoded(Image.fromarray(noise()), name))
        for _ in range(data.draw(st.integers(1, 6))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        try:
            image, _ = decode(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]), 3)
        except ImageError:
            return
        assert 0 <= image.min() <= image.max() <= 1


class TestSilence:
    def broken_tiff(self) -> bytes:
        """A strip that deflate cannot read: libtiff says so on the stderr descriptor."""
        data = encoded(Image.fromarray(noise(61, 83, 3)), "TIFF", compression="tiff_adobe_deflate")
        return data.replace(b"\x78\x9c", b"\xff\xff")

    def test_libtiff_does_complain_when_nobody_keeps_it_quiet(self, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(OSError, match="-2"):
            Image.open(io.BytesIO(self.broken_tiff())).load()
        assert "ZIPDecode" in capfd.readouterr().err

    def test_libtiff_is_kept_quiet(self, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ImageError):
            decode(self.broken_tiff(), 3)
        os.write(2, b"later words arrive")
        assert capfd.readouterr() == ("", "later words arrive")

    def test_a_process_without_stderr_can_decode(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def closed(descriptor: int) -> int:
            raise OSError(9, "Bad file descriptor")

        monkeypatch.setattr(os, "dup", closed)
        assert decode(encoded(Image.fromarray(noise()), "TIFF"), 3)[0].shape == (HEIGHT, WIDTH, 3)

    def test_the_warning_filters_survive_many_threads(self) -> None:
        before = list(warnings.filters)
        data = encoded(Image.fromarray(noise()), "JPEG", exif=b"Exif\0\0garbage")
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(decode, [data] * 40, [3] * 40))
        assert list(warnings.filters) == before

    @pytest.mark.parametrize("module", ["xportdnn.images", "xportdnn.folder", "xportdnn.transformer"])
    def test_it_is_imported_without_pillow_and_numpy(self, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in sys.modules if name.split(".")[0] in ("xportdnn", "PIL", "numpy")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "meta_path", [WithoutPillowAndNumPy, *sys.meta_path])
        import_module(module)


class TestLoad:
    def test_it_reads_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(encoded(Image.fromarray(noise()), "PNG"))
        np.testing.assert_array_equal(load(path, 3)[0], np.float32(noise() / 255))

    def test_the_content_counts_and_not_the_suffix(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jpg"
        path.write_bytes(encoded(Image.fromarray(noise()), "PNG"))
        np.testing.assert_array_equal(load(path, 3)[0], np.float32(noise() / 255))

    def test_its_errors_name_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match=r"gone\.png: cannot be read: No such file"):
            load(tmp_path / "gone.png", 3)

    def test_other_numbers_of_channels_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="4 channels; images can give 1"):
            load(tmp_path / "a.png", 4)


DECODED = {
    "exif_Landscape_6.jpg": ((1200, 1800), "RGB, turned upright by EXIF"),
    "exif_Portrait_1.jpg": ((1800, 1200), "RGB"),
    "pillow_16_bit_binary.pgm": ((100, 20), "16-bit gray"),
    "pillow_16bit.cropped.tif": ((64, 64), "16-bit gray"),
    "pillow_dispose_bgnd.gif": ((100, 100), "palette, first frame of several"),
    "pillow_exif_imagemagick_orientation.png": ((512, 512), "RGB, turned upright by EXIF"),
    "pillow_hopper_bad_exif.jpg": ((500, 500), "gray"),
    "pillow_hopper_g4.tif": ((128, 128), "1-bit"),
    "pillow_hopper_orientation_6.webp": ((128, 128), "RGB, turned upright by EXIF"),
    "pillow_jpeg_ff00_header.jpg": ((225, 300), "RGB"),
    "pillow_l_trns.png": ((64, 64), "gray+transparency"),
    "pillow_mode_grayscale_alpha.png": ((64, 128), "gray+alpha, first frame of several"),
    "pillow_orientation_rectangle.jpg": ((2, 1), "RGB, turned upright by EXIF"),
    "pillow_tRNS_null_1x1.png": ((1, 1), "palette+transparency"),
    "pillow_tiff_strip_cmyk_16l_jpeg.tif": ((100, 100), "CMYK"),
    "pillow_transparent.png": ((150, 200), "RGBA"),
}
REFUSED = {
    "exifsamples_samplefilehub.heif": "HEIF",
    "pillow_broken.png": "no image format",
    "pillow_crash-2020-10-test.tif": "broken",
    "pillow_shortfile.bmp": "truncated",
    "pillow_truncated_image.png": "truncated",
    "pillow_ultrahdr.jpg": "truncated",
}


@needs_nasty
class TestTortureFiles:
    @pytest.mark.parametrize("name", DECODED)
    def test_it_is_decoded_as(self, name: str) -> None:
        size, kind = DECODED[name]
        image, found = load(NASTY / name, 3)
        assert (image.shape, str(found)) == ((*size, 3), kind)

    @pytest.mark.parametrize("name", REFUSED)
    def test_it_is_refused_without_a_word(self, name: str, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ImageError, match=REFUSED[name]):
            load(NASTY / name, 3)
        assert capfd.readouterr() == ("", "")
