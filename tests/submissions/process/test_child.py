"""Whatever a model's process sends on its pipes, the result is one clear error."""

import io
import re
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmem.errors import CellError, ModelMemoryError, SubmissionError
from seqmem.measuring.scoring import is_out_of_memory
from seqmem.submissions.process.child import Child
from seqmem.submissions.process.limits import Limits, one_line
from seqmem.submissions.process.protocol import MARK, PREFIX, read_frame, write_frame
from seqmem.tests.processes import all_ended, nothing_left

SHORT = Limits(start_seconds=20, call_seconds=0.5)
PATIENT = Limits(start_seconds=20, call_seconds=30)
SHAPE = (3, 4)

# Follows the protocol up to its first answer; the rest is added by each case.
BEGIN = """
import ctypes, json, os, signal, struct, sys, time  # MARKER
requests, answers = int(sys.argv[1]), int(sys.argv[2])

def take(size):
    data = b""
    while len(data) < size:
        data += os.read(requests, min(size - len(data), 1 << 20)) or sys.exit(0)
    return data

def request():
    _, length, size = struct.unpack(">4sIQ", take(16))
    header = json.loads(take(length))
    take(size)
    return header

def send(data):
    while data:
        data = data[os.write(answers, data):]

def answer(body=b"", size=None, **header):
    text = json.dumps(header).encode()
    send(struct.pack(">4sIQ", b"sqm1", len(text), len(body) if size is None else size))
    send(text + body)

def outputs(serial, **other):
    facts = {"answer": "outputs", "shape": [3, 4], "dtype": "float32", "serial": serial}
    answer(struct.pack("12f", *range(12)), **{**facts, **other})

answer(answer="ready", serial=request()["serial"])
"""
SERVE = "\nwhile True:\n    outputs(request()['serial'])\n"
ONCE = "\nserial = request()['serial']\n"


@pytest.fixture
def marker() -> Iterator[str]:
    """A text that occurs in the command lines of this test's processes only."""
    text = f"marked-{time.monotonic_ns()}"
    with nothing_left(text):
        yield text


def child(script: str, marker: str, limits: Limits = SHORT) -> Child:
    code = BEGIN.replace("MARKER", marker) + script
    return Child([sys.executable, "-I", "-S", "-c", code], limits)


def test_answers_are_received_as_sent(marker: str) -> None:
    with child(SERVE, marker, PATIENT) as process:
        assert process.open({"format": "none"})["answer"] == "ready"
        for size in (0, 1, 1 << 22):  # more than a pipe holds
            values = process.call({}, [bytes(size)], SHAPE)
            assert np.array_equal(values, np.arange(12, dtype=np.float32).reshape(SHAPE))


EARLY = {
    "garbage": ("take(1); send(b'hello'); time.sleep(60)", "it begins with b'hell'"),
    "an answer": ("take(1); outputs(2); time.sleep(60)", "answered before it had read the request"),
    "an end": ("take(1); os.close(answers); time.sleep(60)", "closed its pipes"),
}


@pytest.mark.parametrize("name", EARLY)
def test_what_is_sent_before_the_request_was_read_ends_it_at_once(name: str, marker: str) -> None:
    script, message = EARLY[name]
    with child(f"\n{script}", marker, PATIENT) as process:
        process.open({"format": "none"})
        began = time.monotonic()
        with pytest.raises(CellError, match=message):
            process.call({}, [bytes(1 << 23)], SHAPE)  # more than a pipe holds
    assert time.monotonic() - began < PATIENT.call_seconds / 2


def call_twice(process: Child) -> None:
    """Data sent too late to spoil one call are found before the next."""
    process.call({}, (), SHAPE)
    time.sleep(0.05)
    process.call({}, (), SHAPE)


BROKEN = {
    "sleeps": ("time.sleep(60)", "did not answer within 0.5 s"),
    "exits": ("os._exit(3)", "exited with status 3"),
    "exits early": ("os._exit(0)", "exited with status 0"),
    "segfault": ("ctypes.string_at(0)", "was killed by SIGSEGV"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL, as happens when memory runs out"),
    "garbage": ("send(bytes(range(256)) * 9)", r"sent an invalid answer: it begins with b'\\x00"),
    "a little garbage": ("send(b'sqm'); time.sleep(60)", "did not answer within"),
    "four bytes": ("send(b'sqm2'); time.sleep(60)", "it begins with b'sqm2'"),
    "trickles": (
        "\nfor i in range(600):\n    send(b'sqm1' if i == 0 else bytes(1)); time.sleep(0.1)",
        "did not answer within 0.5 s",
    ),
    "long header": (
        "send(struct.pack('>4sIQ', b'sqm1', 1 << 31, 0))",
        r"a header of 2,147,483,648 bytes, more than 65,536",
    ),
    "not UTF-8": ("send(struct.pack('>4sIQ', b'sqm1', 4, 0) + b'\\xff\\xfe{}')", "is not UTF-8"),
    "not JSON": ("send(struct.pack('>4sIQ', b'sqm1', 4, 0) + b'{{{{')", "is not JSON"),
    "deep": ("send(struct.pack('>4sIQ', b'sqm1', 60000, 0) + b'[' * 60000)", "is not JSON"),
    "no object": ("send(struct.pack('>4sIQ', b'sqm1', 2, 0) + b'[]')", "not a JSON object"),
    "other request": ("outputs(serial + 1)", "answers another request"),
    "other shape": ("outputs(serial, shape=[4, 3])", r"outputs of shape \[4, 3\]"),
    "odd shape": ("outputs(serial, shape={'a': [None]})", "shape {'a': "),
    "other dtype": ("outputs(serial, dtype='float64')", "dtype float64"),
    "ready again": ("answer(answer='ready', serial=serial)", "announces ready"),
    "too large": ("outputs(serial, size=1 << 62)", "in 4,611,686,018,427,387,904 bytes"),
    "too small": ("outputs(serial, size=4)", "in 4 bytes, where .* in 48 bytes were requested"),
    "longer than announced": (
        "outputs(serial); send(b'x'); time.sleep(60)",
        "sent more than an answer",
    ),
    "shorter than announced": (
        "answer(b'123', size=48, answer='outputs', shape=[3, 4], dtype='float32', serial=serial);"
        "os._exit(1)",
        "exited with status 1",
    ),
    "closes its pipes": ("os.close(answers); time.sleep(60)", "closed its pipes"),
    "prints without end": ("\nwhile True: os.write(1, b'x' * 65536)", "did not answer .* 'x{100}"),
    "failure with a body": ("answer(b'1', answer='failed', serial=serial)", "announces failed"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_one_error(case: str, marker: str) -> None:
    script, says = BROKEN[case]
    limits = SHORT if "did not answer" in says else PATIENT
    with child(ONCE + script, marker, limits) as process:
        process.open({})
        with pytest.raises(CellError, match=says) as caught:
            call_twice(process)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600
        assert process.pid is None
        with pytest.raises(CellError, match=re.escape(str(caught.value))):
            process.call({}, (), SHAPE)
        assert all_ended(marker)
    with child(SERVE, marker, PATIENT) as process:  # the next process is not affected
        process.open({})
        process.call({}, (), SHAPE)


def test_more_than_was_announced_is_found_at_once(marker: str) -> None:
    """If it comes with the answer, that answer is refused."""
    facts = "answer='outputs', shape=[3, 4], dtype='float32', serial=serial"
    script = f"{ONCE}answer(bytes(49), size=48, {facts}); time.sleep(60)"
    with child(script, marker, PATIENT) as process:
        process.open({})
        with pytest.raises(CellError, match="sent more than an answer, after its answer"):
            process.call({}, (), SHAPE)


def test_a_request_that_is_not_read_does_not_hang(marker: str) -> None:
    with child("time.sleep(60)", marker) as process:
        process.open({})
        with pytest.raises(CellError, match="did not answer within"):
            process.call({}, [bytes(1 << 24)], SHAPE)


def test_a_printed_gigabyte_is_read_and_discarded(marker: str) -> None:
    """On stdout and stderr, while a request larger than a pipe waits to be read."""
    script = """
for _ in range(1 << 14):
    os.write(1, b"x" * 65535 + b"\\n")
os.write(2, b"last \\x1b[31mwords\\xff")
outputs(request()["serial"])
request()
os._exit(7)
"""
    with child(script, marker, PATIENT) as process:
        process.open({})
        values = process.call({}, [bytes(1 << 22)], SHAPE)
        assert values[2, 3] == 11
        with pytest.raises(CellError, match=r"status 7; .* last \[31mwords�'") as caught:
            process.call({}, (), SHAPE)
        assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("each", "says"),
    [
        ("time.sleep(60)", "started more than 8 processes"),
        ("kept = b'x' * (40 << 20); time.sleep(60)", "more than 200 MiB of memory"),
    ],
)
def test_forks_count_together(each: str, says: str, marker: str) -> None:
    """Seven of 40 MiB each are too much, and so are twenty of any size."""
    forks = 7 if "kept" in each else 20
    script = f"""
{ONCE}
for _ in range({forks}):
    if os.fork() == 0:
        {each}
        os._exit(0)
time.sleep(60)
"""
    limits = Limits(call_seconds=30, processes=8, memory_bytes=200 << 20)
    with child(script, marker, limits) as process:
        process.open({})
        with pytest.raises(CellError, match=says):
            process.call({}, (), SHAPE)
    assert all_ended(marker)


@pytest.mark.parametrize("how", ["exits", "continues"])
def test_forks_end_with_it(how: str, marker: str) -> None:
    """Although the fork holds the pipes open, the end of its parent is found at once."""
    script = f"""
{ONCE}
if os.fork() == 0:
    time.sleep(60)
{"os._exit(5)" if how == "exits" else "outputs(serial); time.sleep(60)"}
"""
    began = time.monotonic()
    with child(script, marker, PATIENT) as process:
        process.open({})
        if how == "exits":
            with pytest.raises(CellError, match="status 5"):
                process.call({}, (), SHAPE)
        else:
            process.call({}, (), SHAPE)
    assert all_ended(marker)
    assert time.monotonic() - began < 10


def test_ctrl_c_ends_the_child(marker: str) -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with child(ONCE + "time.sleep(60)", marker, PATIENT) as process:
            process.open({})
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(KeyboardInterrupt):
                process.call({}, (), SHAPE)
            assert process.pid is None
            assert all_ended(marker)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_the_message_of_a_model_is_reported(marker: str) -> None:
    script = f"""
{ONCE}
answer(answer="failed", kind="model", message="no\\nsuch\\tluck\\x1b", serial=serial)
answer(answer="failed", kind="memory", serial=request()["serial"])
answer(answer="failed", message=["not", "text"], serial=request()["serial"])
outputs(request()["serial"])
time.sleep(60)
"""
    with child(script, marker, PATIENT) as process:
        process.open({})
        with pytest.raises(CellError, match=r"^no such luck$"):
            process.call({}, (), SHAPE)
        with pytest.raises(ModelMemoryError, match="8,192 MiB") as caught:
            process.call({}, (), SHAPE)
        assert is_out_of_memory(caught.value)  # smaller batches are tried
        with pytest.raises(CellError, match="the model failed"):
            process.call({}, (), SHAPE)
        assert process.call({}, (), SHAPE)[0, 1] == 1  # a model that failed gets further requests


def test_a_start_that_fails_is_about_the_submission(marker: str) -> None:
    def start(code: str, limits: Limits = SHORT) -> None:
        with Child([sys.executable, "-I", "-S", "-c", f"# {marker}\n{code}"], limits) as process:
            process.open({})

    with pytest.raises(SubmissionError, match=r"did not load the model within 0.3 s"):
        start("import time; time.sleep(60)", Limits(start_seconds=0.3))
    with pytest.raises(SubmissionError, match=r"status 1; .*ZeroDivisionError"):
        start("1 / 0")
    with pytest.raises(SubmissionError, match=r"cannot be started: .*no/such/program"):
        Child(["/no/such/program"], SHORT).__enter__()


def test_a_closed_child_gets_no_request(marker: str) -> None:
    with child(SERVE, marker) as process:
        process.open({})
    process.close()
    with pytest.raises(CellError, match="process was closed"):
        process.call({}, (), SHAPE)


@given(st.dictionaries(st.text(), st.integers() | st.text()), st.integers(0, 1 << 40))
def test_frames_are_read_as_written(header: dict[str, int | str], size: int) -> None:
    frame = io.BytesIO(write_frame(header, size))
    assert read_frame(frame.read) == (header, size)
    assert frame.read() == b""


@given(st.binary(min_size=PREFIX.size, max_size=PREFIX.size), st.binary(), st.text())
def test_anything_else_is_a_value_error(prefix: bytes, data: bytes, text: str) -> None:
    headers = [PREFIX.pack(MARK, len(each), 0) + each for each in (data, text.encode())]
    for frame in (prefix + data, *headers):
        try:
            read_frame(io.BytesIO(frame).read)
        except ValueError as error:
            assert str(error).isprintable()  # noqa: PT017


@given(st.text())
def test_untrusted_text_becomes_one_printable_line(text: str) -> None:
    assert one_line(text).isprintable()
    assert len(one_line(text * 100)) <= 300
