"""Run the command line: `python -m seqmem` is `seqmem`."""

from seqmem.submit import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
