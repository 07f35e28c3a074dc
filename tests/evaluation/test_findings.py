"""Every rule speaks where it should, names the layers, and is silent elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.evaluation.nets import CLASSIFIER
from tests.small_nets import by_name, net_of
from xportdnn.choices import Arithmetic, Side
from xportdnn.evaluation import findings
from xportdnn.evaluation.findings import Finding
from xportdnn.evaluation.metrics import Energy
from xportdnn.evaluation.outputs import Verdict
from xportdnn.evaluation.ranking import rows
from xportdnn.evaluation.sensitivity import Effect, Part
from xportdnn.evaluation.tally import Answers, Channels, Sums, Tally
from xportdnn.network import Value
from xportdnn.precision import Precision

NET = net_of(CLASSIFIER)


@dataclass(frozen=True)
class Seen:
    """What a layer showed, in the units of a reader: `noise` in the mean over all values, as `signal`."""

    signal: float = 100.0
    noise: float = 0.01
    peak: float = 30.0
    saturated: int = 0
    wrapped: int = 0
    dead: int = 0
    threshold: float | None = 31.0

    def tally(self, count: int = 1000) -> Tally:
        varying = np.arange(5) >= self.dead
        channels = Channels(~varying, np.zeros(5, np.float32), np.zeros(5, np.float32), np.ones(5, np.float32))
        sums = Sums().plus(Energy(count * self.signal, count * self.noise, count * self.signal))
        return Tally(sums, count, count, 0.0, self.peak, self.saturated, self.wrapped, channels)

    def block(self) -> Precision | None:
        """6 bits: 31 steps up to the threshold."""
        if self.threshold is None:
            return None
        return Precision(
            "Xilinx", bw_layer_in=6, bw_layer_out=6, th_layer_in=self.threshold, th_layer_out=self.threshold
        )


SOUND = {
    "data": Seen(), "conv1": Seen(), "relu1": Seen(), "conv2": Seen(), "pool2": Seen(), "prob": Seen(threshold=None),
}  # fmt: skip


def found(
    text: str = CLASSIFIER, arithmetic: Arithmetic = Arithmetic.FAKE, /, **changed: Seen
) -> dict[str, list[Finding]]:
    """The findings of a network of which some layers are not sound, by rule."""
    net = net_of(text)
    seen = SOUND | changed
    tallies = {by_name(net, name).index: each.tally() for name, each in seen.items()}
    blocks = {by_name(net, name).index: block for name, each in seen.items() if (block := each.block()) is not None}
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings.findings(net, rows(net, tallies, blocks), arithmetic):
        by_rule.setdefault(finding.rule, []).append(finding)
    return by_rule


def test_a_sound_network_has_nothing_but_a_place() -> None:
    assert list(found()) == ["place"]


def test_the_place_where_the_sqnr_falls() -> None:
    texts = [finding.text for finding in found(conv2=Seen(noise=1.0), pool2=Seen(noise=1.0))["place"]]
    assert "the SQNR falls most at conv2 (Convolution): by 20.0 dB, to 20.0 dB" in texts


def test_a_layer_that_shares_the_scale_of_a_wider_one() -> None:
    # steps of 1, values of about 1: rounding is 1 / 12 of the energy
    (finding,) = found(pool2=Seen(signal=1.0, noise=1 / 12, peak=4.0))["shared_scale"]
    assert finding.layers == ("pool2", "conv2")
    assert finding.text.startswith(
        "activations of pool2, which share the scale of conv2 (averaged afterwards): they reach 4 and are typically 1, "
        "those of conv2 reach 30, and both have steps of 1, because"
    )
    assert "That rounding is 100 % of the noise here" in finding.text
    # a 1x1 convolution and an average may change places
    assert finding.text.endswith("conv2 is linear and 1x1: averaging first and convolving afterwards gives the same "
                                 "numbers in float, and each then has a scale of its own")  # fmt: skip


def test_a_wider_convolution_does_not_change_places_with_an_average() -> None:
    text = CLASSIFIER.replace("num_output: 7 kernel_size: 1", "num_output: 7 kernel_size: 2")
    (finding,) = found(text, pool2=Seen(signal=1.0, noise=1 / 12, peak=4.0))["shared_scale"]
    assert finding.text.endswith("a smaller threshold for it in --overrides makes the steps finer, and so do 8 bits")


@pytest.mark.parametrize(
    "pool2",
    [Seen(signal=1.0, noise=1.0, peak=4.0), Seen(signal=1.0, noise=1 / 12, peak=20.0)],
    ids=["noise from before", "nearly as wide"],
)
def test_a_shared_scale_that_does_no_harm(pool2: Seen) -> None:
    assert "shared_scale" not in found(pool2=pool2)


def test_saturation() -> None:
    told = found(conv2=Seen(saturated=11, peak=50.0), pool2=Seen(saturated=10))["saturation"]
    assert [finding.layers for finding in told] == [("conv2",)]
    assert told[0].text.startswith("conv2 (Convolution) saturates 1.1 % of its values at 31 (largest |x| 50)")


def test_saturation_on_the_board_has_another_cause() -> None:
    (finding,) = found(CLASSIFIER, Arithmetic.CHAIDNN, conv2=Seen(saturated=11))["saturation"]
    assert finding.text.endswith("; sums that leave the board's registers count as well")


def test_dead_channels() -> None:
    (finding,) = found(conv2=Seen(dead=2))["dead_channels"]
    assert finding.text.startswith("2 of 5 output channels of conv2 (Convolution) hold one value for all pictures")


def test_dead_channels_are_told_once_behind_what_follows_by_channel() -> None:
    # what the ReLU reads is not stored, and pooling only passes on what is dead
    (finding,) = found(conv1=Seen(dead=1), relu1=Seen(dead=2), pool2=Seen(dead=3))["dead_channels"]
    assert finding.text.startswith("2 of 5 output channels of conv1 (Convolution), behind relu1, hold one value")


def test_the_last_layer_is_a_usual_suspect() -> None:
    text = CLASSIFIER.replace('name: "prob"\n  type: "Softmax"', 'name: "prob"\n  type: "InnerProduct"').replace(
        'top: "prob"', 'top: "prob"\n  inner_product_param { num_output: 2 }'
    )
    told = found(text, prob=Seen(noise=1.0))["ends"]
    assert [finding.layers for finding in told] == [("prob",)]
    assert told[0].text.startswith("most is lost in the last layer with weights, prob")
    assert told[0].text.endswith("in float")


def test_wraps() -> None:
    (finding,) = found(conv2=Seen(wrapped=3))["wraps"]
    assert finding.text.startswith("3 sums of conv2 (Convolution) wrap around")


def verdicts(*pairs: tuple[int, int], tied: int = 0) -> list[Verdict]:
    """The classes of the float network and of the quantized one."""
    return [
        Verdict(picture, first, second, None, None, picture < tied, 0.0)
        for picture, (first, second) in enumerate(pairs)
    ]


def answers(signal_varies: bool, quantized_varies: bool) -> dict[Value, Answers]:
    nothing = np.zeros((1, 2), np.float32)
    return {Value("prob", 5): Answers(nothing, nothing, signal_varies, quantized_varies)}


def test_alarm_when_the_output_does_not_vary() -> None:
    (alarm,) = findings.alarms(answers(True, False), verdicts((0, 1), (2, 1)))
    assert alarm.startswith("the quantized output 'prob' is the same for every picture, the float output is not")


@pytest.mark.parametrize(("signal", "quantized"), [(True, True), (False, False)], ids=["both vary", "neither varies"])
def test_no_alarm(signal: bool, quantized: bool) -> None:
    assert findings.alarms(answers(signal, quantized), verdicts((0, 0), (1, 1))) == ()


def test_alarm_when_it_is_always_the_same_class() -> None:
    seen = verdicts(*[(picture % 4, 3) for picture in range(9)], (0, 0))
    (alarm,) = findings.alarms(answers(True, True), seen)
    assert alarm == (
        "the quantized network gives class 3 for 9 of 10 pictures; the float network gives its most frequent class, 0, "
        "for 4"
    )


@pytest.mark.parametrize(
    "pairs",
    [[(3, 3)] * 10, [(picture % 4, 3) for picture in range(4)], [(picture % 4, picture % 2) for picture in range(10)]],
    ids=["float does so too", "few pictures", "two classes"],
)
def test_no_alarm_about_one_class(pairs: list[tuple[int, int]]) -> None:
    assert findings.alarms(answers(True, True), verdicts(*pairs)) == ()


def test_ties() -> None:
    pairs = [(0, 0)] * 20
    assert findings.ties(verdicts(*pairs, tied=1)) == ()
    (finding,) = findings.ties(verdicts(*pairs, tied=2))
    assert finding.text.startswith("for 2 of 20 pictures several classes share the best quantized score")


def effect(name: str | Side, sqnr_db: float | None, identical: bool = False) -> Effect:
    layer, side = (None, name) if isinstance(name, Side) else (by_name(NET, name), None)
    return Effect(Part(layer, side, {}), sqnr_db, 1.0, identical, 90.0, None)


@pytest.mark.parametrize(
    ("weights", "activations", "told"),
    [
        (effect(Side.WEIGHTS, 30.0), effect(Side.ACTIVATIONS, 20.0), "the activations do most of the damage"),
        (effect(Side.WEIGHTS, 20.0), effect(Side.ACTIVATIONS, 30.0), "the weights do most of the damage"),
        (effect(Side.WEIGHTS, 20.0), effect(Side.ACTIVATIONS, 21.0), "neither side does most of the damage"),
        (effect(Side.WEIGHTS, None, True), effect(Side.ACTIVATIONS, 21.0), "the activations do most of the damage"),
    ],
    ids=["activations", "weights", "neither", "weights without loss"],
)
def test_sides(weights: Effect, activations: Effect, told: str) -> None:
    (finding,) = findings.sides(weights, activations)
    assert told in finding.text
    assert "agreement 90.0 %" in finding.text


def test_sides_need_both() -> None:
    assert findings.sides(effect(Side.WEIGHTS, 1.0), None) == ()


def test_one_layer_that_stands_out_alone() -> None:
    (finding,) = findings.alone([effect("pool2", 4.0), effect("conv1", 11.0)])
    assert finding.layers == ("pool2",)
    assert "leaves the output at 4.0 dB; the next layer, conv1, at 11.0 dB" in finding.text
    assert findings.alone([effect("pool2", 4.0), effect("conv1", 6.0)]) == ()
    assert findings.alone([effect("pool2", 4.0)]) == ()


def test_many_findings_of_a_rule_are_cut() -> None:
    told = found(**{name: replace(seen, wrapped=1) for name, seen in SOUND.items()})["wraps"]
    assert len(told) == 5
