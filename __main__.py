"""Run the command line: `python -m seqmem` is `seqmem`."""

import signal

__all__ = ["main"]


def main() -> None:
    """Run the command line; Ctrl-C while it is imported ends the process, without a traceback."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else it is ignored
    if usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from seqmem import submit

    if usual:  # from here on output may wait to be written
        signal.signal(signal.SIGINT, signal.default_int_handler)
    submit.main()


if __name__ == "__main__":
    main()
