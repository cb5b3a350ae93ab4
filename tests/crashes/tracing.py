"""Stop a program at its N-th call of the system that changes something, and kill it there or let that call fail.

strace counts such calls for each thread by itself; an upload works on several, and the calls of the later ones would never be the
N-th. So this traces the process itself: a seccomp filter makes the calls in question stop, and they are counted over all threads.
Linux on x86-64 and on 64-bit ARM (where calls cannot be made to fail, only killed).
"""

import contextlib
import ctypes
import errno
import os
import platform
import signal
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_NUMBERS = {
    "x86_64": {
        1: "write", 18: "pwrite64", 20: "writev", 74: "fsync", 75: "fdatasync", 76: "truncate", 77: "ftruncate", 82: "rename",
        83: "mkdir", 84: "rmdir", 85: "creat", 86: "link", 87: "unlink", 257: "openat", 2: "open", 258: "mkdirat", 263: "unlinkat",
        264: "renameat", 285: "fallocate", 296: "pwritev", 316: "renameat2", 328: "pwritev2", 44: "sendto", 46: "sendmsg",
    },
    "aarch64": {
        64: "write", 68: "pwrite64", 66: "writev", 82: "fsync", 83: "fdatasync", 45: "truncate", 46: "ftruncate", 38: "renameat",
        34: "mkdirat", 35: "unlinkat", 56: "openat", 47: "fallocate", 70: "pwritev", 276: "renameat2", 287: "pwritev2",
        206: "sendto", 211: "sendmsg",
    },
}  # fmt: skip
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_ON_DESCRIPTORS = frozenset(
    {"write", "pwrite64", "writev", "pwritev", "pwritev2", "fsync", "fdatasync", "ftruncate", "fallocate", "sendto", "sendmsg"},
)
_FLAGS_AT = {"open": 1, "openat": 2}
_FOLDER_AT = {"openat": 0, "mkdirat": 0, "unlinkat": 0, "renameat": 2, "renameat2": 2}
_PATH_AT = {"openat": 1, "mkdirat": 1, "unlinkat": 1, "renameat": 3, "renameat2": 3, "rename": 1}

_PTRACE_CONT, _PTRACE_SYSCALL, _PTRACE_POKEUSER, _PTRACE_SEIZE, _PTRACE_INTERRUPT, _PTRACE_GET_SYSCALL_INFO = (
    7, 24, 6, 0x4206, 0x4207, 0x420E,
)  # fmt: skip
_OPTIONS = 0x8 | 0x80 | 0x100000  # trace clones, stop where the filter says, and nobody outlives the tracer
_EVENT_SECCOMP, _EVENT_STOP = 7, 128
_ALL_THREADS = 0x40000000
_RAX, _ORIG_RAX = 10 * 8, 15 * 8
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_RET_TRACE, _RET_ALLOW = 0x7FF00000, 0x7FFF0000
_LOAD_NUMBER, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_TEXT_BYTES = 4096
_AT_FDCWD = -100
_REFUSED = "refused: "


class Refused(Exception):
    """This machine does not let a process trace its child."""


@dataclass(frozen=True)
class Call:
    """One call of the system that changes something, about to be made."""

    name: str
    target: str

    def __str__(self) -> str:
        return f"{self.name}({self.target})"


SYNCS = frozenset({"fsync", "fdatasync"})
RETURNED = Call("returned", "")
"""What `Plan.watch` hears when a sync is done, and the thread that asked for it goes on."""


@dataclass
class Outcome:
    """How a traced program ended: every call it made or was about to make, its own last word, and whether it was killed."""

    calls: list[Call] = field(default_factory=list)
    word: str = ""
    killed: bool = False
    status: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do: count the calls for which `only` is true, kill before the N-th, or let it fail with `error`; 0 means never.

    `watch` hears of every call before it is made, with the number of the thread that makes it, and of the end of every sync.
    """

    only: Callable[[Call], bool]
    kill_at: int = 0
    fail_at: int = 0
    error: int = 0
    watch: Callable[[int, Call], None] = lambda _thread, _call: None


def run(program: Callable[[], str], plan: Plan) -> Outcome:
    """Fork and run `program` in the child, according to plan.

    The string that `program` returns comes back as `word`: what was acknowledged. This process must have one thread and no other
    children.
    """
    machine = platform.machine()
    if machine not in _NUMBERS or (plan.fail_at and machine != "x86_64"):
        raise Refused(f"calls of the system are not known on {machine}")
    said, says = os.pipe()
    waits, go = os.pipe()
    child = os.fork()
    if child == 0:
        _be_the_child(program, says, waits)
    os.close(says)
    os.close(waits)
    outcome = Outcome()
    try:
        _seize(child)
        os.write(go, b"!")
        _follow(child, outcome, says, plan)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)  # it may stand still, waiting for its tracer
        raise
    finally:
        os.close(go)
        with os.fdopen(said) as words:
            outcome.word = words.read()
    if outcome.word.startswith(_REFUSED):
        raise Refused(outcome.word)
    return outcome


def _be_the_child(program: Callable[[], str], says: int, waits: int) -> None:
    word = "the program never ran"
    try:
        os.read(waits, 1)
        _filter()
        word = program()
    except Refused as refused:
        word = f"{_REFUSED}{refused}"
    except BaseException as failure:  # noqa: BLE001 -- whatever it is, the parent hears of it
        word = f"failed: {failure!r}"
    finally:
        os.write(says, word.encode())
        os._exit(0)


def _follow(child: int, outcome: Outcome, says: int, plan: Plan) -> None:
    while True:
        thread, status = os.waitpid(-1, _ALL_THREADS)
        if not os.WIFSTOPPED(status):
            if thread == child:
                outcome.status = status
                outcome.killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
                return
            continue
        event, stop, resume = status >> 16, os.WSTOPSIG(status), _PTRACE_CONT
        if event == 0 and stop == signal.SIGTRAP:
            plan.watch(thread, RETURNED)
        call = _call(child, thread, says) if event == _EVENT_SECCOMP else None
        if call is not None:
            plan.watch(thread, call)
            if plan.only(call):
                outcome.calls.append(call)
                if len(outcome.calls) == plan.kill_at:
                    os.kill(child, signal.SIGKILL)
                    continue
                if len(outcome.calls) == plan.fail_at:
                    _fail(thread, plan.error)
            if call.name in SYNCS:
                resume = _PTRACE_SYSCALL  # which stops it once more, when the sync is done
        # a signal on its way is delivered; stops that are the tracer's own are not signals
        _ptrace(resume, thread, 0, 0 if event or stop == signal.SIGTRAP else stop, lenient=True)


def _seize(child: int) -> None:
    try:
        _ptrace(_PTRACE_SEIZE, child, 0, _OPTIONS)
        _ptrace(_PTRACE_INTERRUPT, child, 0, 0)
    except OSError as refused:
        raise Refused(f"tracing a child is refused here: {refused.strerror}") from refused
    os.waitpid(child, _ALL_THREADS)
    _ptrace(_PTRACE_CONT, child, 0, 0)


def _filter() -> None:
    """Make the calls of the table stop for the tracer, in this process and every thread that it starts."""
    numbers = list(_NUMBERS[platform.machine()])
    program = [(_LOAD_NUMBER, 0, 0, 0)]
    program += [(_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    program += [(_RETURN, 0, 0, _RET_ALLOW), (_RETURN, 0, 0, _RET_TRACE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *each) for each in program))
    given = struct.pack("<H6xQ", len(program), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, given, 0, 0):
        raise Refused("seccomp filters are refused here")


def _call(child: int, thread: int, says: int) -> Call | None:
    """Read which call a thread is about to make; None when it changes nothing that lasts."""
    buffer = ctypes.create_string_buffer(88)
    if _ptrace(_PTRACE_GET_SYSCALL_INFO, thread, len(buffer), ctypes.addressof(buffer), lenient=True) < 0:
        return None  # killed meanwhile
    arch, number, *arguments = struct.unpack_from("<4xI16x7Q", buffer)
    name = _NUMBERS[platform.machine()].get(number) if arch == _AUDIT_ARCH[platform.machine()] else None
    if name is None:
        return None
    flags = arguments[_FLAGS_AT[name]] if name in _FLAGS_AT else os.O_CREAT
    if not flags & os.O_CREAT:
        return None
    if name in _ON_DESCRIPTORS and arguments[0] == says:
        return Call("acknowledge", "")
    if name in _ON_DESCRIPTORS:
        return Call(name, _descriptor(child, arguments[0]))
    path = _text(child, arguments[_PATH_AT.get(name, 0)])
    folder = ctypes.c_int(arguments[_FOLDER_AT[name]]).value if name in _FOLDER_AT else _AT_FDCWD
    return Call(name, path if folder == _AT_FDCWD else str(Path(_descriptor(child, folder), path)))


def _descriptor(child: int, number: int) -> str:
    try:
        return str(Path(f"/proc/{child}/fd/{number}").readlink())
    except OSError:
        return "?"


def _text(child: int, address: int) -> str:
    try:
        with open(f"/proc/{child}/mem", "rb", buffering=0) as memory:  # noqa: PTH123 -- a file that is none
            memory.seek(address)
            return os.fsdecode(memory.read(_TEXT_BYTES).partition(b"\0")[0])
    except OSError:
        return "?"


def _fail(thread: int, error: int) -> None:
    """Let the call that a thread is about to make return an error in place of being made."""
    _ptrace(_PTRACE_POKEUSER, thread, _ORIG_RAX, -1)
    _ptrace(_PTRACE_POKEUSER, thread, _RAX, -error)


def _ptrace(request: int, thread: int, address: int, data: int, *, lenient: bool = False) -> int:
    function = ctypes.CDLL(None, use_errno=True).ptrace
    function.restype = ctypes.c_long
    function.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    answer = int(function(request, thread, address, data))
    if answer < 0:
        number = ctypes.get_errno()
        if not (lenient and number == errno.ESRCH):
            raise OSError(number, os.strerror(number))
    return answer
