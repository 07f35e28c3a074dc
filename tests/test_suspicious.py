"""Preprocessing options that can hardly be meant, and those that can."""

from __future__ import annotations

import numpy as np
import pytest

from xportdnn.transformer import Preprocessing, mean_from, suspicious


def steps(raw_scale: float | None, mean: str | None, input_scale: float | None) -> Preprocessing:
    return Preprocessing(
        raw_scale=raw_scale, mean=None if mean is None else mean_from(mean, 3, (5, 7))[0], input_scale=input_scale
    )


class TestSuspicious:
    @pytest.mark.parametrize(
        ("raw_scale", "mean", "input_scale"),
        [
            pytest.param(None, None, None, id="0..1"),
            pytest.param(1.0, None, 1.0, id="0..1-written"),
            pytest.param(255.0, None, None, id="0..255"),
            pytest.param(255.0, "104,117,123", 1.0, id="imagenet"),
            pytest.param(255.0, "103.94,116.78,123.68", 0.017, id="mobilenet"),
            pytest.param(255.0, "127.5", 0.007843, id="mobilenet-ssd"),
            pytest.param(255.0, "127.5", 0.0078125, id="mtcnn"),
            pytest.param(255.0, None, 0.00390625, id="mnist"),
            pytest.param(1.0, "0.5", 2.0, id="-1..1"),
            pytest.param(1.0, "0.485,0.456,0.406", 4.4, id="torch"),
            pytest.param(2.0, "1", None, id="twice-minus-1"),
            pytest.param(-255.0, "-255", None, id="negative-picture"),
        ],
    )
    def test_sound_options_pass(self, raw_scale: float | None, mean: str | None, input_scale: float | None) -> None:
        assert suspicious(-1, -1, steps(raw_scale, mean, input_scale)) is None

    @pytest.mark.parametrize(
        ("given_steps", "said", "meant"),
        [
            pytest.param(
                steps(0.007843, "1,1,1", None),
                "every picture -1 to -0.9922",
                "--raw_scale 255 --mean_value 127.5,127.5,127.5 --input_scale 0.007843 was meant, which gives -1 to 1",
                id="minus-1-to-1-in-raw_scale",
            ),
            pytest.param(
                steps(0.017, "103.94,116.78,123.68", 1.0),
                "-123.7 to -103.9",
                "--raw_scale 255 --mean_value 103.9,116.8,123.7 --input_scale 0.017 was meant",
                id="scale-before-mean",
            ),
            pytest.param(
                steps(None, "104,117,123", None),
                "-123 to -103",
                "--raw_scale 255 --mean_value 104,117,123 was meant, which gives -123 to 151",
                id="raw_scale-forgotten",
            ),
            pytest.param(
                steps(0.00390625, None, None),
                "0 to 0.003906",
                "--raw_scale 255 --input_scale 0.00390625 was meant",
                id="mnist-scale-before",
            ),
            pytest.param(
                steps(0.00390625, None, 2.0),
                "0 to 0.007812",
                "--raw_scale 255 --input_scale 0.0078125 was meant",
                id="both-scales",
            ),
            pytest.param(
                steps(None, "127.5", 0.007843),
                "almost one value",
                "--raw_scale 255 --mean_value 127.5,127.5,127.5 --input_scale 0.007843 was meant",
                id="raw_scale-of-1",
            ),
            pytest.param(
                steps(65025.0, None, None),
                "0 to 6.502e+04",
                "--raw_scale 255 was meant, which gives 0 to 255",
                id="255*255",
            ),
            pytest.param(
                steps(255.0, "104,117,123", 255.0),
                "far too large",
                "--raw_scale 255 --mean_value 104,117,123 was meant",
                id="255-twice",
            ),
            pytest.param(steps(0.0, None, None), "0 to 0 ", "--raw_scale 255 was meant", id="zero"),
            pytest.param(
                steps(255.0, "104117123", None), "-1.041e+08", "(pixel * raw_scale - mean_value)", id="commas-forgotten"
            ),
            pytest.param(
                Preprocessing(raw_scale=0.00390625, mean=np.full((3, 5, 7), 120, np.float32)),
                "-120 to -120",
                "--raw_scale 255 --input_scale 0.00390625 was meant, which gives -0.4688 to 0.5273",
                id="mean-file",
            ),
        ],
    )
    def test_others_are_told_with_what_was_probably_meant(
        self, given_steps: Preprocessing, said: str, meant: str
    ) -> None:
        sentence = suspicious(-0.5, 0.25, given_steps)
        assert sentence is not None
        assert said in sentence
        assert meant in sentence
        assert "(the first: -0.5 to 0.25)" in sentence
