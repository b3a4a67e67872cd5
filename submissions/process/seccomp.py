"""System calls that no model needs, denied to its process by libseccomp.

Debian, Fedora and their relatives install libseccomp with the system. Without it, and on other
systems than Linux, there is no filter: it closes what the sandbox and the limits leave open, and
neither of them depends on it.
"""

import ctypes
import errno

__all__ = ["deny_system_calls"]

DENIED = (
    "socket",  # no network, and no service of this machine
    *("shmget", "msgget", "semget", "mq_open"),  # memory that no process holds has no limit
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot"),
    *("open_tree", "move_mount", "fsopen", "fspick", "mount_setattr"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
    *("add_key", "request_key", "keyctl"),  # keys are shared by all namespaces of a user
    # Large, and with many faults in the past.
    *("bpf", "perf_event_open", "userfaultfd"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),
)
NEW_USER_NAMESPACE = 0x10000000  # CLONE_NEWUSER of clone(2)
# Of seccomp.h.
ALLOW, FAIL, MASKED_EQUAL = 0x7FFF0000, 0x00050000, 7


class _Condition(ctypes.Structure):
    """On an argument of a system call: argument & mask == value."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


def deny_system_calls() -> bool:
    """Deny them to this process and all that it starts; return whether there is a filter now.

    They fail with EPERM. It cannot be undone.
    """
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return False
    library.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(library.seccomp_init(ALLOW))
    for name in DENIED:
        _add(library, rules, name, errno.EPERM)
    # The flags of clone3 are in memory, where a filter cannot see them; libraries then use clone.
    _add(library, rules, "clone3", errno.ENOSYS)
    bit = NEW_USER_NAMESPACE
    _add(library, rules, "clone", errno.EPERM, _Condition(0, MASKED_EQUAL, bit, bit))
    loaded: bool = library.seccomp_load(rules) == 0
    library.seccomp_release(rules)
    return loaded


def _add(
    library: ctypes.CDLL, rules: ctypes.c_void_p, name: str, error: int, *conditions: _Condition
) -> None:
    number = library.seccomp_syscall_resolve_name(name.encode())
    array = (_Condition * len(conditions))(*conditions)
    # A name that the library or the processor does not know has a negative number: no rule.
    library.seccomp_rule_add_array(rules, FAIL | error, number, len(conditions), array)
