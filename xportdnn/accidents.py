"""What probably happened to a file that is no caffemodel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mmap

_HEADS = (
    (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file (Caffe's .caffemodel.h5 snapshot); save a binary caffemodel instead "
                           "(snapshot_format: BINARYPROTO, or net.save in pycaffe)"),
    (b"version https://git-lfs", "it is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"),
    (b"\x1f\x8b", "it is gzip-compressed; unpack it first"),
)  # fmt: skip


def accident(data: mmap.mmap | bytes, damage: str) -> str:
    """The cause, and what to do about it.

    Args:
        damage: what the reader stumbled over, where nothing else explains it.
    """
    head = bytes(data[:4096])
    for magic, cause in _HEADS:
        if head.startswith(magic):
            return cause
    if head.startswith(b"PK\x03\x04"):
        return _zip(data)
    if not head:
        return "it is empty"
    start = head.lstrip()[:200].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page saved under this name; download the raw file"
    if all(byte >= 32 or byte in b"\t\r\n" for byte in head) and b"layer" in head:
        return "it is text, probably a prototxt; were --deploy_model and --weights swapped?"
    sample = bytes(data[: 1 << 24])
    if b"\n" in sample and sample.count(b"\n") == sample.count(b"\r\n"):
        return (
            f"{damage}; every line feed in it follows a carriage return: a text-mode transfer (git autocrlf, FTP) "
            "damaged it, fetch it again as binary"
        )
    if len(sample) > 64 and max(sample) < 0x80:
        return f"{damage}; no byte in it is above 0x7F: a text-mode upload damaged it, fetch it again as binary"
    return f"{damage}; the file is damaged, cut, or of another format: fetch it again as binary"


def _zip(data: mmap.mmap | bytes) -> str:
    if bytes(data[30:42]) == b"manifest.npy":  # its first file
        return "it holds quantized weights (`xportdnn export --npz`); give the caffemodel that they were made from"
    if b"PK\x05\x06" not in bytes(data[-(22 + 0xFFFF) :]):
        return "it is a zip archive; unpack it first, if it was not cut: its end is missing"
    return "it is a zip archive; unpack it first"
