"""`xportdnn export` as a user calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from click.testing import CliRunner

from tests.exporting.nets import sample, small
from tests.simulation.quantized import xilinx
from tests.small_nets import PLAIN, Files, data, layer, write_net, write_pictures
from xportdnn import caffemodel, cli, codefile
from xportdnn.cli.conversion import conversion
from xportdnn.errors import WeightsError

Run: TypeAlias = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Exit code, and what is said on standard error; nothing is written to standard output."""

    def call(*arguments: object) -> tuple[int, str]:
        code = cli._run([str(argument) for argument in arguments], False)
        out, err = capfd.readouterr()
        assert out == ""
        return code, err

    return call


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return write_net(tmp_path, small("Xilinx"))


def test_all_three(run: Run, files: Files, tmp_path: Path) -> None:
    text = small("Xilinx")[: small("Xilinx").index('layer {\n  name: "up"')]
    files = write_net(tmp_path, text)
    npz, model, folder = tmp_path / "new" / "a.npz", tmp_path / "a.caffemodel", tmp_path / "c"
    code, err = run("export", *files.arguments, "--npz", npz, "--caffemodel", model, "--c_dir", folder)
    assert code == 0
    assert codefile.read(npz).names.keys() == caffemodel.read(model).names.keys()
    assert (folder / "network.c").exists()
    for name in (f"{npz}: ", f"{model}: ", f"{folder}: 12 files"):
        assert name in err


def test_zeros_and_shares_are_said(run: Run, files: Files, tmp_path: Path) -> None:
    _, err = run("export", *files.arguments, "--npz", tmp_path / "a.npz", "--verbose")
    assert "deploy.prototxt: 84 of 986 numbers have codes" in err
    assert "xportdnn: a/conv: zeros 0.0 % -> " in err
    assert "deploy.prototxt: zeros 0.0 % -> " in err


def test_quiet(run: Run, files: Files, tmp_path: Path) -> None:
    assert run("export", *files.arguments, "--npz", tmp_path / "a.npz", "--quiet") == (0, "")


def test_what_the_board_changes_is_said(run: Run, tmp_path: Path) -> None:
    residual = sample(tmp_path, "digits_residual", "Xilinx")
    _, err = run("export", *residual.arguments, "--caffemodel", tmp_path / "a.caffemodel")
    assert "warning: the board makes its own integers of these layers' float weights" in err
    assert "(--fold) to have the same: conv1, res2a_branch2a, res2a_branch2b, " in err
    plain = sample(tmp_path, "digits_plain", "Xilinx")
    assert "warning" not in run("export", *plain.arguments, "--caffemodel", tmp_path / "a.caffemodel")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "there is nothing to write"),
        (("--npz", "x", "--caffemodel", "x"), "name the same place"),
        (("--caffemodel", "x", "--pack6"), "--pack6 belongs to --npz"),
        (("--npz", "x", "--input", "a.npy"), "--input belongs to --c_dir"),
        (("--c_dir", "x", "--input", "a.npy", "--dims", "2,5,6"), "exclude each other"),
        (("--npz", "x", "--dims", "2,0,6"), "--dims must be three positive numbers"),
        (("--npz", "x/a", "--caffemodel", "./x/../x/a"), "name the same place"),
        (("--npz", ""), "--npz is empty"),
        (("--caffemodel", ""), "--caffemodel is empty"),
        (("--c_dir", ""), "--c_dir is empty"),
        (("--c_dir", "-"), "--c_dir is a folder"),
    ],
)
def test_options_that_contradict_each_other(arguments: tuple[str, ...], message: str, run: Run, files: Files) -> None:
    code, err = run("export", *files.arguments, *arguments)
    assert code == 2
    assert message in err


@pytest.mark.parametrize("option", ["--npz", "--caffemodel"])
def test_inputs_are_not_overwritten(option: str, run: Run, files: Files) -> None:
    before = files.weights.read_bytes()
    code, err = run("export", *files.arguments, option, files.weights)
    assert code == 2
    assert "is an input of this run" in err
    assert files.weights.read_bytes() == before


def test_places_are_looked_at_first(run: Run, files: Files, tmp_path: Path) -> None:
    """Before anything is read: the caffemodel is not there."""
    files.weights.unlink()
    (tmp_path / "file").touch()
    code, err = run("export", *files.arguments, "--npz", tmp_path / "file" / "a.npz")
    assert code == 1
    assert "a.npz: cannot be written" in err


def quantized_conv(tmp_path: Path) -> Files:
    """A network that C can compute."""
    conv = f"convolution_param {{ num_output: 2 kernel_size: 3 }}\n{xilinx(8, 3, 9, (1.0, 2.0))}"
    return write_net(tmp_path, data(1, 2, 5, 6) + layer("c", "Convolution", "data", "c", conv))


def test_no_output_takes_the_place_of_another(run: Run, tmp_path: Path) -> None:
    files, folder = quantized_conv(tmp_path), tmp_path / "c"
    code, err = run("export", *files.arguments, "--c_dir", folder, "--npz", folder / "." / "network.c")
    assert code == 2
    assert "network.c is a file of --c_dir" in err
    assert not folder.exists()
    assert run("export", *files.arguments, "--c_dir", folder, "--npz", folder / "a.npz")[0] == 0


def test_a_file_is_no_folder(run: Run, tmp_path: Path) -> None:
    files = quantized_conv(tmp_path)
    code, err = run("export", *files.arguments, "--c_dir", files.deploy)
    assert code == 1
    assert "deploy.prototxt: is a file; --c_dir takes a folder" in err


def test_nothing_stays_behind_a_refusal(run: Run, tmp_path: Path) -> None:
    """Nor is a folder taken away that was there."""
    files = write_net(tmp_path, data(1, 2, 5, 6) + layer("t", "TanH", "data", "t", xilinx(8, 3, 9)))
    (tmp_path / "old").mkdir()
    folder, npz = tmp_path / "old" / "new" / "c", tmp_path / "other" / "a.npz"
    code, _ = run("export", *files.arguments, "--c_dir", folder, "--npz", npz)
    assert code == 1
    assert not npz.parent.exists()
    assert list((tmp_path / "old").iterdir()) == []


def test_headers_of_an_earlier_network_are_named(run: Run, tmp_path: Path) -> None:
    files = quantized_conv(tmp_path)
    arguments = ("export", *files.arguments, "--c_dir", tmp_path / "c")
    assert "earlier export" not in run(*arguments)[1]
    (tmp_path / "c" / "layers" / "c.h").rename(tmp_path / "c" / "layers" / "old.h")
    _, err = run(*arguments)
    assert "these files are of an earlier export, this network needs none: layers/old.h" in err
    assert (tmp_path / "c" / "layers" / "old.h").exists()


def test_pack6_says_where_it_packs_nothing(run: Run, tmp_path: Path) -> None:
    files = quantized_conv(tmp_path)
    said = "--pack6: nothing was packed"
    assert said in run("export", *files.arguments, "--npz", tmp_path / "a.npz", "--pack6")[1]
    files.deploy.write_text(files.deploy.read_text().replace("bw_params: 8", "bw_params: 6"))
    assert said not in run("export", *files.arguments, "--npz", tmp_path / "a.npz", "--pack6")[1]


def test_quantized_weights_are_not_quantized_again(run: Run, files: Files, tmp_path: Path) -> None:
    npz = tmp_path / "a.npz"
    assert run("export", *files.arguments, "--npz", npz)[0] == 0
    code, err = run("export", "--deploy_model", files.deploy, "--weights", npz, "--npz", tmp_path / "b.npz")
    assert code == 1
    assert "a.npz: holds quantized weights already; give the caffemodel that they were made from" in err


def test_where_only_a_caffemodel_will_do_the_npz_is_named(files: Files, run: Run, tmp_path: Path) -> None:
    npz = tmp_path / "a.npz"
    assert run("export", *files.arguments, "--npz", npz)[0] == 0
    with pytest.raises(WeightsError, match=r"it holds quantized weights .*; give the caffemodel"):
        caffemodel.read(npz)
    npz.write_bytes(npz.read_bytes()[:-30])
    with pytest.raises(WeightsError, match="it holds quantized weights"):
        caffemodel.read(npz)


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        ("bw_params: 8 fl_params: 200", "fl_params is 200; -126 to 126 can be simulated"),
        ("precision: INTEGER_POWER_OF_2_WEIGHTS exp_min: -200 exp_max: 100", "exp_min is -200"),
        ("precision: INTEGER_POWER_OF_2_WEIGHTS exp_min: 3 exp_max: -1", "exp_min is 3 and exp_max -1"),
    ],
    ids=["fl", "far powers", "powers the other way"],
)
def test_formats_that_nothing_can_use_are_not_written(formats: str, message: str, run: Run, tmp_path: Path) -> None:
    product = f"inner_product_param {{ num_output: 2 }}\nquantization_param {{ {formats} }}"
    files = write_net(tmp_path, data(1, 2, 5, 6) + layer("c", "FcRistretto", "data", "c", product))
    code, err = run("export", *files.arguments, "--npz", tmp_path / "a.npz")
    assert code == 1
    assert f'layer "c" (FcRistretto, line 7): {message}' in err


def test_an_input_is_given_once(run: Run, tmp_path: Path) -> None:
    files, array = quantized_conv(tmp_path), tmp_path / "x.npy"
    np.save(array, np.zeros((1, 2, 5, 6), np.float32))
    given = [f"data={array}", f"data={array}"]
    code, err = run("export", *files.arguments, "--c_dir", tmp_path / "c", "--input", given[0], "--input", given[1])
    assert code == 2
    assert "the input 'data' is given twice" in err


def test_formats_without_integers_are_named_once(run: Run, tmp_path: Path) -> None:
    """With what helps, for each of the two commands."""
    formats = "convolution_param { num_output: 2 kernel_size: 1 }\nquantization_param { precision: MINIFLOAT }"
    text = (
        data(1, 2, 5, 6)
        + layer("c", "ConvolutionRistretto", "data", "c", formats)
        + layer("d", "ConvolutionRistretto", "c", "d", formats)
    )
    files = write_net(tmp_path, text)
    code, err = run("export", *files.arguments, "--c_dir", tmp_path / "c")
    assert code == 1
    assert "simulate and evaluate them with --arithmetic fake, export them without --c_dir:" in err
    assert err.count("MINIFLOAT is no format of integers: c, d") == 1
    np.save(tmp_path / "x.npy", np.zeros((1, 2, 5, 6), np.float32))
    arguments = ("--input", tmp_path / "x.npy", "--blobs_dir", tmp_path / "b", "--arithmetic", "chaidnn")
    assert "or use --arithmetic fake:" in run("simulate", *files.arguments, *arguments)[1]


def test_layers_without_codes_are_named_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    conv = f"convolution_param {{ num_output: 2 kernel_size: 3 }}\n{xilinx(8, 3, 9, (1.0, 2.0, 0.5))}"
    files = write_net(tmp_path, data(1, 2, 5, 6) + layer("c", "Convolution", "data", "c", conv))
    code, err = run("export", *files.arguments, "--npz", tmp_path / "a.npz")
    assert code == 1
    assert 'layer "c" (Convolution, line ' in err
    assert "3 th_params for 2 output channels" in err
    assert not (tmp_path / "a.npz").exists()


def test_a_network_that_is_not_converted(run: Run, tmp_path: Path) -> None:
    files = write_net(tmp_path, PLAIN)
    code, err = run("export", *files.arguments, "--npz", tmp_path / "a.npz")
    assert code == 1
    assert "no layer of this file has formats" in err


def test_simulate_takes_the_npz(run: Run, files: Files, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).uniform(0, 2, (2, 2, 5, 6)).astype(np.float32))
    npz = tmp_path / "a.npz"
    assert run("export", *files.arguments, "--npz", npz)[0] == 0
    for weights, folder in ((files.weights, "one"), (npz, "two")):
        arguments = ["--deploy_model", files.deploy, "--weights", weights, "--input", tmp_path / "x.npy"]
        assert run("simulate", *arguments, "--blobs_dir", tmp_path / folder)[0] == 0
    for path in (tmp_path / "one").iterdir():
        np.testing.assert_array_equal(np.load(path), np.load(tmp_path / "two" / path.name))


def test_evaluate_takes_the_npz(tmp_path: Path) -> None:
    conv = f"convolution_param {{ num_output: 4 kernel_size: 3 }}\n{xilinx(8, 255, 900, (1.0,) * 4)}"
    files = write_net(tmp_path, data(1, 3, 10, 12) + layer("c", "Convolution", "data", "c", conv))
    pictures, npz = write_pictures(tmp_path / "pictures", 2), tmp_path / "a.npz"
    runner = CliRunner()
    assert runner.invoke(conversion, ["export", *files.arguments, "--npz", str(npz)]).exit_code == 0
    measured = []
    for weights in (files.weights, npz):
        arguments = ["--deploy_model", str(files.deploy), "--weights", str(weights), "--images", str(pictures)]
        done = runner.invoke(conversion, ["evaluate", *arguments, "--json", "-", "--quiet", "--workers", "1"])
        measured.append(json.loads(done.stdout))
    saturated = [[layer["saturated"] for layer in each["layers"]] for each in measured]
    assert saturated[0] == saturated[1]
    assert [any("holds quantized weights" in said["text"] for said in each["remarks"]) for each in measured] == [0, 1]


def test_no_board_changes_what_is_in_ristrettos_formats(run: Run, tmp_path: Path) -> None:
    formats = "inner_product_param { num_output: 2 }\nquantization_param { bw_params: 8 fl_params: 5 }"
    files = write_net(tmp_path, data(1, 2, 5, 6) + layer("c", "FcRistretto", "data", "c", formats))
    code, err = run("export", *files.arguments, "--npz", tmp_path / "a.npz")
    assert code == 0
    assert "warning" not in err


def test_the_board_refuses_in_simulate(run: Run, tmp_path: Path) -> None:
    residual = sample(tmp_path, "digits_residual", "Xilinx")
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 24, 24), np.float32))
    npz = tmp_path / "a.npz"
    assert run("export", *residual.arguments, "--npz", npz)[0] == 0
    arguments = ["--deploy_model", residual.deploy, "--weights", npz, "--input", tmp_path / "x.npy"]
    code, err = run("simulate", *arguments, "--arithmetic", "chaidnn", "--blobs_dir", tmp_path / "blobs")
    assert code == 1
    assert "the board makes its own integers of these layers' float weights" in err


def test_help() -> None:
    done = CliRunner().invoke(conversion, ["export", "--help"])
    assert done.exit_code == 0
    for option in ("--npz", "--pack6", "--caffemodel", "--c_dir", "--input", "--dims"):
        assert option in done.output
