"""Numbers for TensorBoard, without TensorBoard: its event file is a TFRecord of small protobuf messages.

Formats: https://www.tensorflow.org/tutorials/load_data/tfrecord and tensorboard/compat/proto/event.proto (only
wall_time = 1, step = 2, file_version = 3, summary = 5 are written; a summary value has tag = 1, simple_value = 2).
"""

import os
import socket
import struct
import time
from pathlib import Path


class EventFile:
    """An event file in `folder` that scalars are appended to; what was added is there after a crash."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 10**9:010d}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / name
        self._append(_double(1, time.time()) + _bytes(3, b"brain.Event:2"))

    def add(self, scalars: dict[str, float], step: int) -> None:
        """Append one number per tag, all for the same step."""
        values = b"".join(_bytes(1, _bytes(1, tag.encode()) + _float(2, value)) for tag, value in scalars.items())
        self._append(_double(1, time.time()) + _varint_field(2, step) + _bytes(5, values))

    def _append(self, message: bytes) -> None:
        length = struct.pack("<Q", len(message))
        record = length + _masked_crc(length) + message + _masked_crc(message)
        with self.path.open("ab") as file:
            file.write(record)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _float(number: int, value: float) -> bytes:
    return _varint(number << 3 | 5) + struct.pack("<f", value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ 0x82F63B78 * (byte & 1)  # CRC-32C (Castagnoli), reflected
        table.append(byte)
    return table


_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """The CRC-32C of `data`; zlib has only the other CRC-32."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _masked_crc(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
