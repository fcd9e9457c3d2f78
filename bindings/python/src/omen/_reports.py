"""Names for the numbers of the header, and its reports as dataclasses."""
from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, Optional, TypeVar, Union, get_args

from ._arrays import short
from ._errors import InvalidArgument
from ._library import lib
from ._native import ffi

Metric = Literal["l2", "inner_product", "cosine"]
MetricName = Union[Metric, Literal["ip"]]
Mode = Literal["read_write_create", "read_write", "read_only", "create_new"]
Sync = Literal["commit", "each", "none"]
Quality = Literal["normal", "fast", "best"]
Codec = Literal["auto", "windows", "scalar", "formula"]
Limit = Literal["ratio", "error"]

Report = TypeVar("Report")


class Choice:
    """The words of a Literal and their numbers. With the prefix "OMEN_SYNC_", "each" is OMEN_SYNC_EACH."""

    def __init__(self, what: str, prefix: str, words: Any, also: Optional[dict[str, str]] = None) -> None:
        self.what, self.also = what, also or {}
        self.numbers: dict[str, int] = {word: getattr(lib, prefix + word.upper()) for word in get_args(words)}
        self.words: dict[int, Any] = {number: word for word, number in self.numbers.items()}

    def number(self, word: str) -> int:
        """The number of a word or of an alias in `also`. Raises InvalidArgument for any other word."""
        number = self.numbers.get(self.also.get(word, word)) if isinstance(word, str) else None
        if number is None:
            raise InvalidArgument(f"{self.what}: found {word!r}, expected one of {', '.join(self.numbers)}")
        return number


METRIC = Choice("metric", "OMEN_", Metric, also={"ip": "inner_product"})
MODE = Choice("mode", "OMEN_", Mode)
SYNC = Choice("sync", "OMEN_SYNC_", Sync)
QUALITY = Choice("quality", "OMEN_QUALITY_", Quality)
CODEC = Choice("codec", "OMEN_CODEC_", Codec)
LIMIT = Choice("limit", "OMEN_LIMIT_", Limit)
_IN_WORDS = {"metric": METRIC, "codec": CODEC, "limit": LIMIT}


@dataclass(frozen=True)
class Stats:
    """The struct omen_store_stats. include/omen.h describes each member."""

    vectors: int
    deleted: int
    bytes_on_disk: int
    raw_bytes: int
    segments: int
    raw_vectors: int
    compressed_vectors: int
    generation: int
    dim: int
    metric: Metric
    relative_mse: float
    worst_relative_error: float
    error_bound: float
    drift: float


@dataclass(frozen=True)
class CompressReport:
    """The struct omen_compress_report. include/omen.h describes each member."""

    vectors: int
    bytes_before: int
    bytes_after: int
    code_bytes: int
    codebook_bytes: int
    relative_mse: float
    worst_relative_error: float
    ratio: float
    seconds: float
    codec: Codec
    limit: Limit
    held_out_relative_mse: float


@dataclass(frozen=True)
class VerifyReport:
    """The struct omen_verify_report: how much was read. include/omen.h describes each member."""

    files: int
    blocks: int
    bytes: int
    vectors: int


def empty(struct: str) -> Any:
    """A new struct of the header with its struct_size set."""
    return ffi.new(f"struct {struct} *", {"struct_size": ffi.sizeof(f"struct {struct}")})


def fill(options: Any, **values: Any) -> None:
    """Sets members of a struct. Raises InvalidArgument with the name of a value that its member cannot hold."""
    for name, value in values.items():
        try:
            setattr(options, name, value)
        except (TypeError, OverflowError) as error:
            raise InvalidArgument(f"{name}: found {short(value)}: {error}") from None


def filled(report: type[Report], struct: Any) -> Report:
    """Copies what the library wrote into a struct to its dataclass."""
    values = {field.name: getattr(struct, field.name) for field in fields(report)}  # type: ignore[arg-type]
    for name, choice in _IN_WORDS.items():
        if name in values:
            values[name] = choice.words[values[name]]
    return report(**values)
